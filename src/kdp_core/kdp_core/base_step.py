"""The regression base of a generator: learned first, on data windows; the field then learns what is left.

Regression finds where the windows of a condition lie within a few hundred steps. A field, whose neighbours
belong to other conditions, gets there slowly; it is needed for how they are spread (docs/method-notes.md).
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdp_core.generator import Base
from kdp_core.model import KdpModel

INITIAL_SPREAD = 4.0
"""Of the generator's output scale over what is left, so that samples begin wider spread than the data.

The joint field draws them together; in many dimensions it lets them collapse if they begin closer.
"""
BLOCK = 8192
"""Windows whose mean is computed at once."""


def base_loss(
    base: Base,
    condition: Tensor,
    data: Tensor,
    weight: Tensor,
    rows: Tensor,
    noise: float,
    rng: torch.Generator,
) -> Tensor:
    """Weighted squared error of the mean windows, a scalar.

    Args:
        base: what is trained.
        condition: (W, d) whitened conditions of all data windows.
        data: (W, C) their coordinates.
        weight: (C,) of the coordinates.
        rows: (B,) the batch.
        noise: standard deviation of noise on the condition.
        rng: its source.
    """
    chosen = condition[rows]
    chosen = chosen + noise * torch.randn(chosen.shape, generator=rng)
    return (weight * (base(chosen) - data[rows]).square()).mean()


@torch.no_grad()
def count_from_base(base: Base, model: KdpModel, condition: Tensor, data: Tensor) -> Tensor:
    """The data's coordinates (W, C) counted from their conditions' mean windows.

    Gives ``model``'s generator the base's weights and the spread of what is left.
    """
    residual = data - torch.cat([base(part) for part in condition.split(BLOCK)])
    own = model.generator.base
    assert own is not None
    own.load_state_dict(base.state_dict())
    model.generator.spread.copy_(INITIAL_SPREAD * residual.std(dim=0).clamp_min(1e-3))
    return residual
