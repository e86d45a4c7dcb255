"""Regression to the weighted mean of the neighbours: what a deterministic planner learns."""

import torch
from torch import Tensor

from kdp_core.drift.common import Diagnostics, raw_magnitude


@torch.no_grad()
def mean_field(x: Tensor, y: Tensor, weights: Tensor, diagnostics: Diagnostics | None = None) -> Tensor:
    """Return V (N, G, F) = sum_j w_j y_j - x for samples ``x`` (N, G, F), data ``y`` (N, k, F), weights (N, k).

    A weight of 0 pads.
    """
    y = y.masked_fill((weights == 0)[..., None], 0.0)
    V = (weights / weights.sum(dim=1, keepdim=True))[:, None, :] @ y - x
    if diagnostics is not None:
        diagnostics["raw_magnitude"] = raw_magnitude(V)
    return V
