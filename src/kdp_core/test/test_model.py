"""Decoder, normaliser and clamp of the model against NumPy, on a spec that clamps state and goal."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kdp_core.generator import NetworkSize
from kdp_core.model import KdpModel, clamped_entries, fit_decoder
from kdp_core.spec import Goal, KeyPart, Spec
from kdp_core.windows import WindowBatch, fit_normaliser

SIZE = NetworkSize(d_noise=4, width=8, blocks=1, scorer_width=8)


def model_of(spec: Spec, batch: WindowBatch, components: int) -> KdpModel:
    torch.manual_seed(0)
    model = KdpModel(spec, SIZE, components)
    model.fit(batch, components)
    return model


def test_clamped_entries(small_spec: Spec) -> None:
    expected = np.zeros((5, 5), bool)
    expected[0, :3] = True  # the state now
    expected[4, :2] = True  # the goal: position at the last row
    assert (clamped_entries(small_spec).numpy() == expected).all()


def test_decoder_against_svd() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(50, 12)) @ rng.normal(size=(12, 12)) + rng.normal(size=12)
    mean, basis, spread = fit_decoder(flat, 4)
    centred = flat - flat.mean(axis=0)
    _, singular, vectors = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(mean, flat.mean(axis=0))
    np.testing.assert_allclose(basis @ basis.T, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(basis.T @ basis, vectors[:4].T @ vectors[:4], atol=1e-8)
    np.testing.assert_allclose(spread, singular[:4] / np.sqrt(50), rtol=1e-8)


@pytest.mark.parametrize("components", [0, 12, 99])
def test_without_components_it_is_the_identity(components: int) -> None:
    flat = np.random.default_rng(0).normal(size=(50, 12))
    flat[:, 3] = 1.0
    mean, basis, spread = fit_decoder(flat, components)
    np.testing.assert_array_equal(basis, np.eye(12))
    np.testing.assert_allclose(mean, flat.mean(axis=0))
    assert spread[3] == 1e-3 and np.allclose(np.delete(spread, 3), np.delete(flat.std(axis=0), 3))


def test_decode_undoes_encode(fitted_spec: Spec, small_batch: WindowBatch) -> None:
    model = model_of(fitted_spec, small_batch, 0)
    windows = torch.from_numpy(small_batch.windows)
    coordinates = model.encode(windows)
    assert coordinates.shape == (40, 20)
    back = model.decode(
        coordinates[:, None], torch.from_numpy(small_batch.state), torch.from_numpy(small_batch.context)
    )
    torch.testing.assert_close(back[:, 0], windows, atol=2e-5, rtol=1e-5)


def test_coordinates_are_distances_of_whitened_free_entries(
    fitted_spec: Spec, small_batch: WindowBatch
) -> None:
    model = model_of(fitted_spec, small_batch, 0)
    n, free = fitted_spec.normaliser, ~clamped_entries(fitted_spec).numpy()
    std = np.array(n.state_std + n.action_std)
    a, b = small_batch.windows[3], small_batch.windows[8]
    expected = np.linalg.norm(((a - b) / std)[free])
    x = model.encode(torch.from_numpy(np.stack([a, b])))
    assert (x[0] - x[1]).norm().item() == pytest.approx(expected, rel=1e-4)


def test_few_components_project(fitted_spec: Spec, small_batch: WindowBatch) -> None:
    model = model_of(fitted_spec, small_batch, 3)
    flat = model.flatten(torch.from_numpy(small_batch.windows)).double().numpy()
    centred = flat - flat.mean(axis=0)
    v = np.linalg.svd(centred, full_matrices=False)[2][:3]
    x = model.encode(torch.from_numpy(small_batch.windows)).double().numpy()
    np.testing.assert_allclose(x @ model.basis.double().numpy(), centred @ v.T @ v, atol=1e-4)


@pytest.mark.parametrize("components", [0, 3])
def test_clamp_holds_exactly(fitted_spec: Spec, small_batch: WindowBatch, components: int) -> None:
    model = model_of(fitted_spec, small_batch, components)
    torch.nn.init.normal_(model.generator.head.weight, std=3.0)
    state, context = torch.randn(1, 3) * 7.3, torch.randn(1, 3) * 5.1
    windows, scores = model(state, context, torch.randn(6, 4))
    assert windows.shape == (6, 5, 5) and scores.shape == (6,)
    assert (windows[:, 0, :3] == state).all() and (windows[:, -1, :2] == context[:, 1:]).all()
    free = windows[:, ~model.clamped]
    assert (free.std(dim=0) > 1e-4).any()  # the rest is the generator's


def test_condition_is_whitened_state_context_and_goal(fitted_spec: Spec, small_batch: WindowBatch) -> None:
    model, n = model_of(fitted_spec, small_batch, 0), fitted_spec.normaliser
    got = (
        model.condition(torch.from_numpy(small_batch.state), torch.from_numpy(small_batch.context))
        .detach()
        .numpy()
    )
    raw = np.concatenate([small_batch.state, small_batch.context], axis=1)
    mean = np.array(n.state_mean + n.context_mean + n.state_mean[:2])
    std = np.array(n.state_std + n.context_std + n.state_std[:2])
    np.testing.assert_allclose(got, (raw - mean) / std, atol=1e-5)


def relative_spec(spec: Spec) -> Spec:
    """Speed counts from its present value, as does the push (2) from the position; no goal."""
    position, speed = spec.state
    changed = {
        "state": (position.model_copy(update={"relative_to": "position"}), speed),
        "action": (spec.action[0].model_copy(update={"relative_to": "position"}),),
        "goal": Goal(),
        "key": (KeyPart(channel="wind"),),
        "normaliser": None,
    }
    return Spec.model_validate(spec.model_copy(update=changed).model_dump())


def test_relative_channels_count_from_the_present_state(small_spec: Spec, make_batch: Callable) -> None:
    spec = relative_spec(small_spec)
    batch = make_batch(spec, 40)
    spec = spec.model_copy(update={"normaliser": fit_normaliser(batch, spec)})
    model = model_of(spec, batch, 0)
    state, context = torch.from_numpy(batch.state), torch.from_numpy(batch.context)
    windows = torch.from_numpy(batch.windows)
    x = model.encode(windows)
    torch.testing.assert_close(model.decode(x[:, None], state, context)[:, 0], windows, atol=2e-5, rtol=1e-5)
    moved, push = windows.clone(), slice(spec.d_state, spec.d_window)
    moved[..., :2] += 5.0
    moved[..., push] += 5.0
    torch.testing.assert_close(model.encode(moved), x, atol=1e-4, rtol=1e-4)
    shifted = state + torch.tensor([5.0, 5.0, 0.0])
    torch.testing.assert_close(model.condition(shifted, context), model.condition(state, context))
    n, relative = spec.normaliser, batch.windows[..., :2] - batch.windows[:, :1, :2]
    np.testing.assert_allclose(n.state_mean[:2], relative.mean(axis=(0, 1)), atol=1e-5)
    np.testing.assert_allclose(n.state_std[2], batch.windows[..., 2].std(), rtol=1e-4)
