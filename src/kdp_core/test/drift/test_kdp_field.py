"""The keyed field against Algorithm 1 written naively in float64, and each switch of Table IV."""

from dataclasses import replace
from math import exp, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdp_core.clamp import clamp_mask
from kdp_core.drift import KdpOptions, kdp_field

FREE = ~clamp_mask(3, 2, 1)
VARIANTS = {
    "paper": KdpOptions(),
    "full-window distances": KdpOptions(distances="window"),
    "self-negatives included": KdpOptions(mask_self=False),
    "no repulsion": KdpOptions(repulsion=False),
    "no normalisation": KdpOptions(normalise=False),
    "single temperature": KdpOptions(temperatures=(0.2,)),
}


def batch(seed: int, size: int = 6, spread: float = 0.3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return x, y (size, 3, 3) and keys (size, 2) in float64; x has the keys of y, as after the clamp."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, 3, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(size, 3, 3, generator=generator, dtype=torch.float64)
    y[:, 0, :2] *= spread
    x[:, 0, :2] = y[:, 0, :2]
    return x, y, x[:, 0, :2].clone(), y[:, 0, :2].clone()


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return sqrt(sum((float(p) - float(q)) ** 2 for p, q in zip(a.ravel(), b.ravel(), strict=True)))


def algorithm_1(
    x: Tensor, y: Tensor, key_x: Tensor, key_y: Tensor, free: Tensor, o: KdpOptions
) -> np.ndarray:
    """Return V (B, H, D) by the loops of Algorithm 1, Eq. 9 to 13, with the normalisation of Sec. IV-D."""
    x, y, key_x, key_y, free = (a.numpy() for a in (x, y, key_x, key_y, free))
    B, H, D = x.shape
    near_x, near_y = (x, y) if o.distances == "window" else (key_x, key_y)
    V = np.zeros((B, H, D))
    for i in range(B):
        for tau in o.temperatures:
            positive = [exp(-distance(near_x[i], near_y[j]) / tau) for j in range(B)]
            negative = [exp(-distance(near_x[i], near_x[j]) / tau) for j in range(B)]
            if o.mask_self:
                negative[i] = 0.0
            for j in range(B):
                V[i] += positive[j] / sum(positive) * y[j] / len(o.temperatures)
                if o.repulsion:
                    V[i] -= negative[j] / sum(negative) * x[j] / len(o.temperatures)
        V[i] = V[i] * free
        if o.normalise:
            V[i] = V[i] / (sqrt((V[i] ** 2).sum() / (H * D)) + o.eps)
    return V


@pytest.mark.parametrize("name", VARIANTS)
def test_field_equals_algorithm_1(name: str) -> None:
    for seed in range(3):
        arguments = batch(seed)
        V = kdp_field(*arguments, FREE, VARIANTS[name])
        np.testing.assert_allclose(V.numpy(), algorithm_1(*arguments, FREE, VARIANTS[name]), atol=1e-10)


def test_field_equals_algorithm_1_in_float32() -> None:
    arguments = batch(7, size=40)
    V = kdp_field(*(a.float() for a in arguments), FREE)
    np.testing.assert_allclose(V.numpy(), algorithm_1(*arguments, FREE, KdpOptions()), atol=2e-5)


def test_each_switch_changes_the_field() -> None:
    arguments = batch(3)
    fields = {name: kdp_field(*arguments, FREE, options) for name, options in VARIANTS.items()}
    for name, V in fields.items():
        if name != "paper":
            assert (V - fields["paper"]).abs().max() > 1e-3, name


def test_full_window_distances_see_the_future_and_keys_do_not() -> None:
    x, y, key_x, key_y = batch(4)
    moved = x.clone()
    moved[5, 1:] += 2.0
    for distances, sees in (("key", False), ("window", True)):
        options = KdpOptions(distances=distances)
        change = kdp_field(moved, y, key_x, key_y, FREE, options) - kdp_field(
            x, y, key_x, key_y, FREE, options
        )
        assert bool(change[5].abs().max() > 1e-6) is sees  # the field at 5 ignores where 5 itself is going


def test_self_negatives_weigh_the_sample_itself_most() -> None:
    x, y, key_x, key_y = batch(5, spread=100.0)
    options = KdpOptions(mask_self=False, normalise=False)
    V = kdp_field(x, y, key_x, key_y, FREE, options)
    torch.testing.assert_close(V, (y - x) * FREE)  # far keys: attraction and repulsion are one-hot
    masked = kdp_field(x, y, key_x, key_y, FREE, replace(options, mask_self=True))
    assert (masked - V).abs().max() > 0.1


def test_without_repulsion_the_samples_do_not_matter() -> None:
    x, y, key_x, key_y = batch(6)
    options = KdpOptions(repulsion=False)
    assert torch.equal(
        kdp_field(x, y, key_x, key_y, FREE, options), kdp_field(3.0 * x, y, key_x, key_y, FREE, options)
    )


@pytest.mark.parametrize("normalise", [True, False])
def test_normalisation_gives_unit_mean_square_and_the_raw_size_is_reported(normalise: bool) -> None:
    arguments = batch(8)
    diagnostics: dict[str, Tensor] = {}
    V = kdp_field(*arguments, FREE, KdpOptions(normalise=normalise), diagnostics)
    raw = kdp_field(*arguments, FREE, KdpOptions(normalise=False))
    mean_square = V.square().mean(dim=(1, 2))
    assert torch.allclose(mean_square, torch.ones_like(mean_square), atol=1e-4) is normalise
    torch.testing.assert_close(diagnostics["raw_magnitude"].exp(), raw[:, FREE].square().mean().sqrt())


def test_clamped_entries_never_move() -> None:
    for options in VARIANTS.values():
        assert not kdp_field(*batch(9), FREE, options)[:, ~FREE].any()


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)), st.permutations(range(6)), st.integers(0, 1000))
def test_field_follows_permuted_samples_and_ignores_the_order_of_data(
    p: list[int], q: list[int], seed: int
) -> None:
    x, y, key_x, key_y = batch(seed)
    V = kdp_field(x, y, key_x, key_y, FREE)
    torch.testing.assert_close(kdp_field(x[p], y[q], key_x[p], key_y[q], FREE), V[p])
