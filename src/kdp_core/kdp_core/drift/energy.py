"""Energy score of each condition's samples (Gneiting & Raftery 2007, Sec. 4.3) and its descent direction."""

import torch
from torch import Tensor

from kdp_core.drift.common import Diagnostics, pairwise_distances, raw_magnitude


def _normalised(weights: Tensor) -> Tensor:
    """Return ``weights`` (N, k) divided by their sum for each condition."""
    return weights / weights.sum(dim=1, keepdim=True)


def energy_loss(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Return the energy score (N,) of samples ``x`` (N, G, F) against data ``y`` (N, k, F).

    Per condition 2 sum_j w_j mean_g |x_g - y_j| - mean_{g != g'} |x_g - x_g'|, which is the unbiased energy
    distance less the constant term of the data. ``weights`` (N, k) >= 0; 0 pads. G >= 2.
    """
    samples = x.shape[1]
    y = y.masked_fill((weights == 0)[..., None], 0.0)
    attraction = (pairwise_distances(x, y) * _normalised(weights)[:, None, :]).sum(dim=2).mean(dim=1)
    return 2.0 * attraction - pairwise_distances(x, x).sum(dim=(1, 2)) / (samples * (samples - 1))


@torch.no_grad()
def energy_field(x: Tensor, y: Tensor, weights: Tensor, diagnostics: Diagnostics | None = None) -> Tensor:
    """Return V (N, G, F) = -G/2 times the gradient of ``energy_loss`` in ``x``.

    The factor makes the gradient of ``field_loss(x, V)`` that of the mean energy score over F, whatever G is.
    Coinciding points exert no force. Arguments as in ``energy_loss``.
    """
    samples = x.shape[1]
    y = y.masked_fill((weights == 0)[..., None], 0.0)
    to_data, to_samples = pairwise_distances(x, y), pairwise_distances(x, x)
    pull = (_normalised(weights)[:, None, :] / to_data).masked_fill(to_data == 0.0, 0.0)
    push = (1.0 / to_samples).masked_fill(to_samples == 0.0, 0.0) / (samples - 1)
    V = pull @ y - pull.sum(2, keepdim=True) * x - push @ x + push.sum(2, keepdim=True) * x
    if diagnostics is not None:
        diagnostics["raw_magnitude"] = raw_magnitude(V)
    return V
