"""The joint drift field, the default: drifting models' rule (arXiv 2602.04770) in a key neighbourhood.

Unlike the keyed field it depends on where each sample lies, so samples of one condition spread over the modes
of that condition's data instead of moving together towards their mean.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kdp_core.drift.common import Diagnostics, local_distances, raw_magnitude

FLOOR = 1e-6  # under the root of the affinity, so that far samples still feel a field


def _affinity(logits: Tensor, absent: Tensor, samples_softmax: bool) -> Tensor:
    """Return A (N, G, k + G) from logits of the same shape; ``absent`` (N, 1, k + G) marks padding."""
    over_targets = torch.softmax(logits, dim=2)
    if not samples_softmax:
        return over_targets
    over_samples = torch.softmax(logits.masked_fill(absent, 0.0), dim=1)
    A = (over_targets * over_samples).clamp_min(FLOOR).sqrt()
    return A.masked_fill(absent, 0.0)


@torch.no_grad()
def joint_field(
    x: Tensor,
    y: Tensor,
    log_weights: Tensor,
    temperatures: Sequence[float] = (0.05, 0.2, 0.5),
    beta: float = 0.0,
    samples_softmax: bool = True,
    diagnostics: Diagnostics | None = None,
) -> Tensor:
    """Return V (N, G, F) for samples ``x`` (N, G, F) of N conditions and their neighbours ``y`` (N, k, F).

    F counts the free (unclamped) entries of a window, or coordinates of an orthonormal basis of them.
    ``log_weights`` (N, k) are the log w_ij of the neighbours up to a constant per condition; -inf pads a
    condition that has fewer than k (at least one must be finite). G >= 2.

    With D+ (G, k) and D- (G, G; diagonal inf), s the mean of D+ over the batch, and per temperature::

        L = [-D+ / (s tau) + log(k w),  -D- / (s tau)]
        A = sqrt(softmax of L over targets * softmax of L over samples) = [A+, A-]
        V = (A+ sum A-) y - (A- sum A+) x,  divided by its batch RMS, mean over temperatures

    ``samples_softmax=False`` leaves out the second softmax and the root. ``beta`` adds
    beta (sum_j w_ij y_ij - mean of the other samples), a pull of the samples' mean onto the neighbours' mean.
    """
    samples, neighbours = x.shape[1], y.shape[1]
    log_w = torch.log_softmax(log_weights, dim=1)
    padding = torch.isinf(log_w)
    y = y.masked_fill(padding[..., None], 0.0)
    targets = torch.cat([y, x], dim=1)
    distances = local_distances(x, targets)
    distances[:, :, neighbours:].diagonal(dim1=1, dim2=2).fill_(torch.inf)
    d_positive = distances[:, :, :neighbours]
    present = (~padding)[:, None, :].expand_as(d_positive)
    scale = d_positive[present].mean().clamp_min(1e-12)
    log_kw = log_w + (~padding).sum(dim=1, keepdim=True, dtype=x.dtype).log()
    bias = torch.cat([log_kw, log_kw.new_zeros(len(x), samples)], dim=1)[:, None, :]

    V = torch.zeros_like(x)
    magnitude = x.new_zeros(())
    for tau in temperatures:
        A = _affinity(bias - distances / (scale * tau), torch.isinf(bias), samples_softmax)
        A_positive, A_negative = A.split([neighbours, samples], dim=2)
        sum_positive, sum_negative = A_positive.sum(2, keepdim=True), A_negative.sum(2, keepdim=True)
        V_tau = torch.cat([A_positive * sum_negative, A_negative * -sum_positive], dim=2) @ targets
        V += V_tau / V_tau.square().mean().sqrt().clamp_min(1e-12)
        magnitude += raw_magnitude(V_tau)
    V /= len(temperatures)
    if diagnostics is not None:
        diagnostics["raw_magnitude"] = magnitude / len(temperatures)
    if beta:
        others = (x.sum(dim=1, keepdim=True) - x) / (samples - 1)
        V += beta * (log_w.exp()[:, None, :] @ y - others)
    return V
