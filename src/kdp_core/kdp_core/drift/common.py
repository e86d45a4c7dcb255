"""What all drift fields share: distances, the loss on the drifted target, the size of the raw field."""

import torch
from torch import Tensor

Diagnostics = dict[str, Tensor]
"""A field that is given such a dict writes ``raw_magnitude`` (scalar) into it."""


def pairwise_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return Euclidean distances (..., A, B) between rows of ``a`` (..., A, F) and ``b`` (..., B, F).

    Differences are taken before squaring: the quicker |a|^2 + |b|^2 - 2ab loses the small distances that
    decide the softmax at a low temperature (error about 1e-3 in float32 where the true distance is 0).
    """
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def local_distances(a: Tensor, b: Tensor) -> Tensor:
    """Return Euclidean distances (N, A, B) between ``a`` (N, A, F) and ``b`` (N, B, F), for long rows.

    Several times quicker than ``pairwise_distances``. Centring on each group's mean keeps the error near 1e-3
    of the group's radius, which is harmless where distances are compared with the group's own scale.
    """
    centre = a.mean(dim=1, keepdim=True)
    a, b = a - centre, b - centre
    squares = a.square().sum(2)[:, :, None] + b.square().sum(2)[:, None, :]
    return torch.baddbmm(squares, a, b.transpose(1, 2), alpha=-2.0).clamp_min_(0.0).sqrt_()


def raw_magnitude(V: Tensor) -> Tensor:
    """Return log of the root mean square of a field V (any shape) before normalisation, a scalar.

    Normalisation makes the loss constant at equilibrium, so this is the curve that shows convergence.
    """
    return V.square().mean().clamp_min(1e-30).sqrt().log()


def loss_weight(d_state: int, d_action: int, lambda_state: float = 1.0, lambda_action: float = 1.0) -> Tensor:
    """Return the weights (D,) of the channels of a window: lambda_s for states, lambda_a for actions."""
    return torch.cat([torch.full((d_state,), lambda_state), torch.full((d_action,), lambda_action)])


def field_loss(x: Tensor, V: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Return the weighted mean of |x - stopgrad(x + V)|^2, a scalar whose gradient moves ``x`` along ``V``.

    ``weight`` broadcasts against ``x``: (D,) from ``loss_weight`` for windows (..., H, D), or (F,) for
    flattened free entries. It is the paper's sum over t of lambda_s |ds|^2 + lambda_a |da|^2 up to the
    constant number of entries. Clamped entries need V = 0, which every field gives.
    """
    return (weight * (x - (x + V).detach()).square()).mean()
