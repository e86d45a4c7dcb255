"""The energy score against loops, and its field against finite differences of the score."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdp_core.drift import energy_field, energy_loss, field_loss


def batch(seed: int, N: int = 3, G: int = 4, k: int = 3, F: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(N, G, F, generator=generator, dtype=torch.float64)
    y = torch.randn(N, k, F, generator=generator, dtype=torch.float64)
    return x, y, torch.rand(N, k, generator=generator, dtype=torch.float64) + 0.1


def reference(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    N, G, _ = x.shape
    loss = np.zeros(N)
    for n in range(N):
        for g in range(G):
            for j in range(y.shape[1]):
                loss[n] += 2.0 * weights[n, j] / weights[n].sum() * np.linalg.norm(x[n, g] - y[n, j]) / G
            for h in range(G):
                if h != g:
                    loss[n] -= np.linalg.norm(x[n, g] - x[n, h]) / (G * (G - 1))
    return loss


def test_loss_equals_loops() -> None:
    x, y, weights = batch(0)
    np.testing.assert_allclose(energy_loss(x, y, weights), reference(x.numpy(), y.numpy(), weights.numpy()))


@pytest.mark.parametrize("k", [1, 3])
def test_field_is_the_negative_gradient_by_finite_differences(k: int) -> None:
    x, y, weights = batch(1, k=k)
    V, step = energy_field(x, y, weights), 1e-6
    arrays = y.numpy(), weights.numpy()
    for index in np.ndindex(*x.shape):
        plus, minus = x.numpy().copy(), x.numpy().copy()
        plus[index] += step
        minus[index] -= step
        slope = (reference(plus, *arrays).sum() - reference(minus, *arrays).sum()) / (2.0 * step)
        assert V[index].item() == pytest.approx(-slope * x.shape[1] / 2.0, abs=1e-7)


def test_field_loss_has_the_gradient_of_the_mean_score() -> None:
    x, y, weights = batch(2)
    x.requires_grad_()
    (by_score,) = torch.autograd.grad(energy_loss(x, y, weights).mean(), x)
    (by_field,) = torch.autograd.grad(field_loss(x, energy_field(x, y, weights)), x)
    torch.testing.assert_close(by_field, by_score / x.shape[2])


def test_coinciding_points_exert_no_force_and_no_nan() -> None:
    for dtype in (torch.float32, torch.float64):
        x = torch.zeros(1, 3, 2, dtype=dtype)
        y = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], dtype=dtype)
        V = energy_field(x, y, torch.ones(1, 2, dtype=dtype))
        torch.testing.assert_close(V, torch.tensor([0.3, 0.4], dtype=dtype).expand(1, 3, 2))


def field_by_loop(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    V = np.zeros(x.shape)
    for n, g in np.ndindex(*x.shape[:2]):
        for j in range(y.shape[1]):
            way = y[n, j] - x[n, g]
            if way.any():
                V[n, g] += weights[n, j] / weights[n].sum() * way / np.linalg.norm(way)
        for h in range(x.shape[1]):
            way = x[n, g] - x[n, h]
            if way.any():
                V[n, g] += way / np.linalg.norm(way) / (x.shape[1] - 1)
    return V


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e6])
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_samples_on_data_points_far_from_zero_against_loops(scale: float, weight: float) -> None:
    """Dividing by the smallest number instead of leaving the pair out gave infinity times the point."""
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        x, y, weights = (part.to(dtype) for part in batch(4, N=2))
        y = y * scale
        x[0, 1], x[1, 2], x[1, 3] = y[0, 2], y[1, 0], y[1, 0]
        if weight == 1.0:
            weights = torch.zeros_like(weights)
            weights[0, 2] = weights[1, 0] = 1.0
        V = energy_field(x, y, weights)
        assert V.isfinite().all()
        loop = field_by_loop(*(part.double().numpy() for part in (x, y, weights)))
        np.testing.assert_allclose(V.numpy(), loop, atol=tolerance)


@pytest.mark.parametrize("garbage", [1e6, float("nan")])
def test_padded_neighbours_have_no_effect(garbage: float) -> None:
    x, y, weights = batch(3)
    padded_y = torch.cat([torch.full_like(y[:, :1], garbage), y], dim=1)
    padded_w = torch.cat([torch.zeros_like(weights[:, :1]), weights], dim=1)
    torch.testing.assert_close(energy_loss(x, padded_y, padded_w), energy_loss(x, y, weights))
    torch.testing.assert_close(energy_field(x, padded_y, padded_w), energy_field(x, y, weights))


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)), st.permutations(range(3)), st.integers(0, 1000))
def test_field_follows_permutations(p: list[int], q: list[int], seed: int) -> None:
    x, y, weights = batch(seed)
    torch.testing.assert_close(
        energy_field(x[:, p], y[:, q], weights[:, q]), energy_field(x, y, weights)[:, p]
    )
