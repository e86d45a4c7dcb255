"""Settings of offline Q-learning beside a sampled policy; defaults: Diffusion-QL's (arXiv 2208.06193)."""

from __future__ import annotations

from dataclasses import dataclass

from kdp_core.exceptions import ConfigError
from kdp_core.ranges import at_least, positive


@dataclass(frozen=True)
class QLearningConfig:
    """How the critics are trained and what they count for."""

    weight: float = 0.0
    """eta, of the actions' value over its own size, in the policy's loss; 0: no critics."""
    discount: float = 0.99
    """Of the next state's value."""
    learning_rate: float = 1e-3
    """Of the critics (AdamW, constant)."""
    target_rate: float = 0.005
    """Share by which the slow copies move towards the critics in each step."""

    def __post_init__(self) -> None:
        at_least(self, 0, "weight", prefix="train.q_learning.")
        positive(self, "learning_rate", prefix="train.q_learning.")
        for name in ("discount", "target_rate"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigError(
                    f"train.q_learning.{name} must be between 0 and 1, got {getattr(self, name)}"
                )
