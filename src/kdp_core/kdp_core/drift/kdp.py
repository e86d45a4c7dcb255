"""The paper's keyed drift field (arXiv 2603.14056, Eq. 9 to 13, Algorithm 1), with Table IV's switches."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kdp_core.drift.common import Diagnostics, local_distances, pairwise_distances, raw_magnitude


@dataclass(frozen=True)
class KdpOptions:
    """Options of ``kdp_field``; the defaults are the paper's method, each switch is a row of its Table IV."""

    temperatures: tuple[float, ...] = (0.05, 0.2, 0.5)
    """Softmax temperatures tau_m, averaged over (row "single temperature": give one)."""
    distances: Literal["key", "window"] = "key"
    """Space of the neighbourhood ("window" is the row "full-window distances")."""
    mask_self: bool = True
    """Keep a sample out of its own negatives, D-_ii = inf (False: row "self-negatives included")."""
    repulsion: bool = True
    """Subtract the mean of nearby samples (False: row "no repulsion", attraction only)."""
    normalise: bool = True
    """Divide each V_i by its root mean square over H D, Sec. IV-D (False: row "no normalisation")."""
    eps: float = 1e-6
    """Added to the root mean square before dividing."""


def _distances(a: Tensor, b: Tensor, options: KdpOptions) -> Tensor:
    """Return distances (B, B'): exact between short keys, by matrix products between long windows."""
    if options.distances == "window":
        return local_distances(a[None], b[None])[0]
    return pairwise_distances(a, b)


def _mean_softmax(distances: Tensor, temperatures: tuple[float, ...]) -> Tensor:
    """Return W (B, B'), softmax_j(-D / tau) averaged over tau: V is linear in W, so one product does."""
    W = torch.softmax(-distances / temperatures[0], dim=1)
    for tau in temperatures[1:]:
        W += torch.softmax(-distances / tau, dim=1)
    return W / len(temperatures)


@torch.no_grad()
def kdp_field(
    x: Tensor,
    y: Tensor,
    key_x: Tensor,
    key_y: Tensor,
    mask: Tensor,
    options: KdpOptions = KdpOptions(),
    diagnostics: Diagnostics | None = None,
) -> Tensor:
    """Return V (B, H, D) for samples ``x`` (B, H, D) and data windows ``y`` (B', H, D) of one mini-batch.

    ``key_x`` (B, P) and ``key_y`` (B', P) are the keys of samples and data; ``mask`` (H, D) is True at the
    free entries (``~clamp_mask``). B >= 2 unless self-negatives are included or repulsion is off.
    """
    near_x, near_y = (x.flatten(1), y.flatten(1)) if options.distances == "window" else (key_x, key_y)
    V = _mean_softmax(_distances(near_x, near_y, options), options.temperatures) @ y.flatten(1)
    if options.repulsion:
        d_negative = _distances(near_x, near_x, options)
        if options.mask_self:
            d_negative.fill_diagonal_(torch.inf)
        V -= _mean_softmax(d_negative, options.temperatures) @ x.flatten(1)
    V = V.view_as(x) * mask
    if diagnostics is not None:
        diagnostics["raw_magnitude"] = raw_magnitude(V[:, mask])
    if options.normalise:
        V = V / (V.square().mean(dim=(1, 2), keepdim=True).sqrt() + options.eps)
    return V
