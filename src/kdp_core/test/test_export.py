"""Export of a small model with a clamped goal: parity with PyTorch, what is written, what stops it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import kdp_core.model
from kdp_core.artifact import FILES, SUMS, load_artifact
from kdp_core.exceptions import ArtifactError
from kdp_core.export import check_parity, export_artifact, export_onnx
from kdp_core.generator import NetworkSize, folded
from kdp_core.model import KdpModel
from kdp_core.planner import Planner
from kdp_core.spec import Channel, Goal, Spec
from kdp_core.windows import Normaliser


def small_model(base_blocks: int = 0) -> KdpModel:
    spec = Spec(
        name="small",
        task="generic",
        rate_hz=10.0,
        horizon=4,
        state=(Channel(name="position", unit="m", size=2),),
        action=(Channel(name="push", unit="N"),),
        context=(Channel(name="wind", unit="m/s"),),
        goal=Goal(mode="clamp", channels=("position",)),
        normaliser=Normaliser(
            state_mean=(1, 2),
            state_std=(0.5, 3),
            action_mean=(0,),
            action_std=(2,),
            context_mean=(4,),
            context_std=(1.5,),
        ),
    )
    torch.manual_seed(0)
    size = NetworkSize(d_noise=3, width=8, blocks=1, scorer_width=8, base_blocks=base_blocks)
    model = KdpModel(spec, size, 5)
    model.basis.copy_(torch.linalg.qr(torch.randn(model.d_free, 5))[0].T)
    model.decoder.normal_()
    model.decoder[:, model.clamped.flatten()] = 0.0  # as KdpModel.fit leaves it
    model.offset.normal_()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


@pytest.fixture(scope="module")
def model() -> KdpModel:
    return small_model()


@pytest.fixture(scope="module")
def exported(model: KdpModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "artifact"
    return export_artifact(model, path, {"field": "joint", "seed": 3, "where": Path("a")})


def test_a_base_is_in_the_graph() -> None:
    """The graph agrees with the module, in which samples lie around the base's window (and it moves them)."""
    model = small_model(base_blocks=1)
    content = export_onnx(model)
    check_parity(model, content)
    with torch.no_grad():
        model.generator.base.head.bias += 1.0
    with pytest.raises(ArtifactError, match="differ by"):
        check_parity(model, content)


def test_a_diverged_planner_is_exported_all_the_same(tmp_path: Path) -> None:
    """Tables have them as rows; nothing is demanded of digits that mean nothing."""
    model = small_model()
    with torch.no_grad():
        model.generator.head.weight.normal_(0.0, 1e7)
    path = export_artifact(model, tmp_path / "artifact", {"field": "kdp"})
    windows, _ = Planner.load(path).propose(
        np.zeros(model.spec.d_state, np.float32),
        np.zeros(model.spec.d_context + model.spec.d_goal, np.float32),
        np.ones((2, model.d_noise), np.float32),
    )
    assert np.abs(windows).max() > 1e6


def test_what_is_not_finite_is_never_written(tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        model.generator.head.bias[0] = torch.nan
    with pytest.raises(ArtifactError, match="not finite"):
        export_artifact(model, tmp_path / "artifact", {"field": "joint"})
    assert not (tmp_path / "artifact").exists()


def test_folded_networks_compute_the_same_and_leave_the_model_alone() -> None:
    model = small_model(base_blocks=1)
    for network in (model.generator, model.generator.base, model.scorer):
        network.spread.uniform_(0.5, 3.0)
    model.scorer.value_mean.fill_(-4.0)
    model.scorer.value_std.fill_(7.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    light = folded(model)
    noise, condition = torch.randn(2, 4, 3), torch.randn(2, len(model.condition_mean))
    expected = model.generator(noise, condition)
    torch.testing.assert_close(light.generator(noise, condition), expected)
    torch.testing.assert_close(light.scorer(expected, condition), model.scorer(expected, condition))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not torch.equal(light.generator.head.weight, model.generator.head.weight)


def test_files_and_provenance(exported: Path, model: KdpModel) -> None:
    assert sorted(p.name for p in exported.iterdir()) == sorted((*FILES, SUMS))
    provenance = json.loads((exported / "provenance.json").read_text())
    assert provenance["seed"] == 3 and provenance["where"] == "a" and 0 <= provenance["onnx_parity"] < 1e-3
    weights = load_file(exported / "weights.safetensors")
    assert all(torch.equal(weights[k], v) for k, v in model.state_dict().items())
    assert "`joint`" in (exported / "MODEL_CARD.md").read_text()
    assert load_artifact(exported).spec == model.spec


def test_graph_tells_nothing_of_the_machine(exported: Path) -> None:
    source = Path(kdp_core.model.__file__).parent
    assert str(source).encode() not in (exported / "planner.onnx").read_bytes()


@pytest.mark.parametrize("k", [1, 2, 33])
def test_planner_gives_what_pytorch_gives(exported: Path, model: KdpModel, k: int) -> None:
    planner = Planner.load(exported)
    rng = np.random.default_rng(k)
    state, context, noise = (rng.normal(size=n).astype(np.float32) for n in (2, 3, (k, 3)))
    windows, scores = planner.propose(state, context, noise)
    with torch.no_grad():
        expected = model(*(torch.from_numpy(v) for v in (state[None], context[None], noise)))
    np.testing.assert_allclose(windows, expected[0].numpy(), atol=2e-4)
    np.testing.assert_allclose(scores, expected[1].numpy(), atol=2e-4)
    assert (windows[:, 0, :2] == state).all() and (windows[:, -1, :2] == context[1:]).all()


def test_plan_takes_the_goal_by_itself(exported: Path) -> None:
    plan = Planner.load(exported).plan(np.zeros(2), np.ones(1), np.array([0.25, -0.5]), candidates=5)
    assert (plan.window[-1, :2] == [0.25, -0.5]).all()


def test_a_graph_of_other_weights_is_refused(exported: Path, model: KdpModel) -> None:
    graph = (exported / "planner.onnx").read_bytes()
    assert check_parity(model, graph, (2,)) < 1e-3
    bias = model.scorer.head.bias
    with torch.no_grad():
        bias += 1.0
    with pytest.raises(ArtifactError, match="ONNX and PyTorch differ by"):
        check_parity(model, graph, (2,))
    with torch.no_grad():
        bias -= 1.0
