"""The joint field against its formula written as loops in float64."""

from math import exp, inf, log, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdp_core.drift import joint_field

TEMPERATURES = (0.05, 0.2, 0.5)


def batch(seed: int, N: int = 4, G: int = 5, k: int = 3, F: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Return x (N, G, F), y (N, k, F) and normalised log weights (N, k) in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(N, G, F, generator=generator, dtype=torch.float64)
    y = torch.randn(N, k, F, generator=generator, dtype=torch.float64)
    log_weights = torch.log_softmax(torch.randn(N, k, generator=generator, dtype=torch.float64), dim=1)
    return x, y, log_weights


def softmax(values: list[float]) -> list[float]:
    top = max(values)
    exponentials = [exp(v - top) for v in values]
    return [e / sum(exponentials) for e in exponentials]


def reference(
    x: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    taus=TEMPERATURES,
    beta: float = 0.0,
    samples_softmax: bool = True,
) -> np.ndarray:
    """Return V (N, G, F) by loops; ``w`` (N, k) are weights that sum to 1 for each condition."""
    N, G, F = x.shape
    k = y.shape[1]
    d_plus = np.zeros((N, G, k))
    d_minus = np.full((N, G, G), inf)
    for i in range(N):
        for g in range(G):
            for j in range(k):
                d_plus[i, g, j] = sqrt(sum((x[i, g] - y[i, j]) ** 2))
            for h in range(G):
                if h != g:
                    d_minus[i, g, h] = sqrt(sum((x[i, g] - x[i, h]) ** 2))
    s = d_plus.mean()
    V = np.zeros((N, G, F))
    for tau in taus:
        V_tau = np.zeros((N, G, F))
        for i in range(N):
            L = np.zeros((G, k + G))
            for g in range(G):
                L[g, :k] = [-d_plus[i, g, j] / (s * tau) + log(k * w[i, j]) for j in range(k)]
                L[g, k:] = [-d_minus[i, g, h] / (s * tau) for h in range(G)]
            rows = np.array([softmax(list(L[g])) for g in range(G)])
            columns = np.array([softmax(list(L[:, t])) for t in range(k + G)]).T
            A = np.sqrt(np.maximum(rows * columns, 1e-6)) if samples_softmax else rows
            for g in range(G):
                sum_plus, sum_minus = A[g, :k].sum(), A[g, k:].sum()
                for j in range(k):
                    V_tau[i, g] += A[g, j] * sum_minus * y[i, j]
                for h in range(G):
                    V_tau[i, g] -= A[g, k + h] * sum_plus * x[i, h]
        V += V_tau / sqrt((V_tau**2).mean()) / len(taus)
    for i in range(N):
        for g in range(G):
            others = [x[i, h] for h in range(G) if h != g]
            V[i, g] += beta * (sum(w[i, j] * y[i, j] for j in range(k)) - sum(others) / (G - 1))
    return V


@pytest.mark.parametrize("options", [{}, {"beta": 0.3}, {"samples_softmax": False}, {"temperatures": (0.2,)}])
def test_field_equals_the_formula(options: dict) -> None:
    for seed in range(3):
        x, y, log_weights = batch(seed)
        V = joint_field(x, y, log_weights, **{"temperatures": TEMPERATURES, **options})
        expected = {"taus" if key == "temperatures" else key: value for key, value in options.items()}
        want = reference(x.numpy(), y.numpy(), log_weights.exp().numpy(), **expected)
        np.testing.assert_allclose(V.numpy(), want, atol=1e-10)


def test_field_equals_the_formula_in_float32_far_from_the_origin() -> None:
    x, y, log_weights = batch(3, N=6, G=8, k=16, F=64)
    x, y = 0.1 * x + 2.0, 0.1 * y + 2.0
    V = joint_field(x.float(), y.float(), log_weights.float(), TEMPERATURES)
    np.testing.assert_allclose(
        V.numpy(), reference(x.numpy(), y.numpy(), log_weights.exp().numpy()), atol=2e-3
    )


@pytest.mark.parametrize("samples_softmax", [True, False])
@pytest.mark.parametrize("garbage", [0.0, 1e6, float("nan")])
def test_padded_neighbours_have_no_effect(garbage: float, samples_softmax: bool) -> None:
    x, y, log_weights = batch(1)
    options = {"temperatures": TEMPERATURES, "beta": 0.5, "samples_softmax": samples_softmax}
    padded_y = torch.cat([y[:, :1], torch.full_like(y[:, :2], garbage), y[:, 1:]], dim=1)
    padded_w = torch.cat(
        [log_weights[:, :1], torch.full_like(log_weights[:, :2], -inf), log_weights[:, 1:]], dim=1
    )
    torch.testing.assert_close(
        joint_field(x, padded_y, padded_w, **options), joint_field(x, y, log_weights, **options)
    )


def test_a_condition_with_fewer_neighbours_equals_the_formula_alone() -> None:
    x, y, log_weights = batch(2, N=1)
    log_weights[0, 2] = -inf
    weights = torch.softmax(log_weights[:, :2], dim=1)
    want = reference(x.numpy(), y[:, :2].numpy(), weights.numpy())
    np.testing.assert_allclose(joint_field(x, y, log_weights, TEMPERATURES).numpy(), want, atol=1e-10)


def test_weights_count_up_to_a_constant() -> None:
    x, y, log_weights = batch(5)
    V = joint_field(x, y, log_weights)
    torch.testing.assert_close(joint_field(x, y, log_weights + 3.0), V)
    assert (joint_field(x, y, torch.zeros_like(log_weights)) - V).abs().max() > 1e-3


def test_field_is_a_restoring_force_on_the_spread() -> None:
    """Too wide samples are drawn in and too narrow ones pushed out, which the keyed field does not do."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(8, 64, 2, generator=generator)
    x = torch.randn(8, 64, 2, generator=generator)
    for scale, outwards in ((0.2, True), (4.0, False)):
        V = joint_field(scale * x, y, torch.zeros(8, 64))
        assert bool((V * x).sum() > 0) is outwards


def test_raw_magnitude_tells_equilibrium_from_start_although_the_field_is_normalised() -> None:
    generator = torch.Generator().manual_seed(1)
    y, x = torch.randn(4, 32, 3, generator=generator), torch.randn(4, 32, 3, generator=generator)
    near: dict[str, Tensor] = {}
    far: dict[str, Tensor] = {}
    joint_field(x, y, torch.zeros(4, 32), diagnostics=near)
    joint_field(x + 3.0, y, torch.zeros(4, 32), diagnostics=far)
    assert near["raw_magnitude"] < far["raw_magnitude"] - 0.5


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)), st.permutations(range(3)), st.permutations(range(4)), st.integers(0, 1000))
def test_field_follows_permutations(p: list[int], q: list[int], r: list[int], seed: int) -> None:
    x, y, log_weights = batch(seed)
    V = joint_field(x, y, log_weights, beta=0.2)
    permuted = joint_field(x[r][:, p], y[r][:, q], log_weights[r][:, q], beta=0.2)
    torch.testing.assert_close(permuted, V[r][:, p])


def test_field_carries_no_gradient() -> None:
    x, y, log_weights = batch(4)
    assert not joint_field(x.requires_grad_(), y, log_weights).requires_grad
