"""The learning-rate schedule of generator and scorer."""

import math


def learning_rate_scale(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then half a cosine to zero; in (0, 1]."""
    if step < warmup:
        return (step + 1) / warmup
    return max(1e-3, 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))))
