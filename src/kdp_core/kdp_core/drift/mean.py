"""Regression to the weighted mean of the neighbours: what a deterministic planner learns."""

import torch
from torch import Tensor

from kdp_core.drift.common import Diagnostics, raw_magnitude


@torch.no_grad()
def mean_field(x: Tensor, y: Tensor, weights: Tensor, diagnostics: Diagnostics | None = None) -> Tensor:
    """Return V = sum_j w_j y_j - x, all (N, G, F), for data ``y`` (N, k, F) with ``weights`` (N, k).

    A weight of 0 pads.
    """
    y = y.masked_fill((weights == 0)[..., None], 0.0)
    V = (weights / weights.sum(dim=1, keepdim=True))[:, None, :] @ y - x
    if diagnostics is not None:
        diagnostics["raw_magnitude"] = raw_magnitude(V)
    return V
