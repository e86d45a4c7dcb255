"""Diffuser as a planner: loss and sampler against float64 loops, training, resume, pool, one ONNX graph."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from kdp_core import controller
from kdp_core.baselines.denoising_mlp import TimeEmbedding
from kdp_core.baselines.diffuser import DiffuserModel
from kdp_core.baselines.diffuser_config import DiffuserConfig, UnetSize
from kdp_core.baselines.noise_schedule import cosine_betas
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.export import check_parity, export_artifact, export_onnx
from kdp_core.generator import NetworkSize
from kdp_core.onnx_graph import only_windows
from kdp_core.planner import Planner, open_session
from kdp_core.scorer import ScorerConfig, draw_pool, train_scorer
from kdp_core.spec import Channel, Goal, Spec
from kdp_core.tasks.generic import GenericTask
from kdp_core.train_config import TrainConfig
from kdp_core.trainer import Trainer
from kdp_core.windows import WindowBatch, fit_normaliser

NETWORK = NetworkSize(d_noise=3, width=8, blocks=1, scorer_width=8)
UNET = UnetSize(width=4, multipliers=(1, 2), groups=2)


@pytest.fixture
def even_spec(small_spec: Spec, make_batch) -> tuple[Spec, WindowBatch]:
    """Four rows, which a U-Net of two levels needs, and a clamped goal."""
    spec = small_spec.model_copy(update={"horizon": 4})
    batch = make_batch(spec, 40)
    return spec.model_copy(update={"normaliser": fit_normaliser(batch, spec)}), batch


def model_of(spec: Spec, batch: WindowBatch, config: DiffuserConfig, components: int = 0) -> DiffuserModel:
    torch.manual_seed(0)
    model = DiffuserModel(spec, NETWORK, components, config)
    model.fit(batch, components)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=0.3 if "bias" in name else 0.7 / parameter[0].numel() ** 0.5)
    return model.requires_grad_(False)


CASES = {
    "unet": DiffuserConfig(network="unet", unet=UNET, diffusion_steps=6),
    "unet-film-ddim": DiffuserConfig(
        unet=replace(UNET, conditioning="film"), diffusion_steps=9, sampler="ddim", sample_steps=4
    ),
    "mlp": DiffuserConfig(network="mlp", diffusion_steps=5, temperature=0.5),
    "mlp-epsilon": DiffuserConfig(network="mlp", predict="epsilon", diffusion_steps=20, sample_steps=7),
    "mlp-noisy-ddim": DiffuserConfig(network="mlp", sampler="ddim", eta=0.5, clip_denoised=False),
    "mlp-one-step": DiffuserConfig(network="mlp", diffusion_steps=1),
}


@pytest.fixture(params=list(CASES))
def model(request: pytest.FixtureRequest, even_spec: tuple[Spec, WindowBatch]) -> DiffuserModel:
    spec, batch = even_spec
    return model_of(spec, batch, CASES[request.param], 0 if request.param.startswith("unet") else 7)


def loop(model: DiffuserModel, noise: np.ndarray, condition: torch.Tensor) -> np.ndarray:
    """One sample (C,) by the published formulas in float64, one number after the other; network as it is."""
    d, config = model.generator, model.config
    steps, count = config.diffusion_steps, config.sample_steps or config.diffusion_steps
    abar = np.cumprod(1.0 - cosine_betas(steps))
    times = [round(t) for t in np.linspace(steps - 1, 0, count)]
    eta = 1.0 if config.sampler == "ddpm" else config.eta
    n = d.n
    x = config.temperature * noise[:n].astype(np.float64)
    used = n
    for i, t in enumerate(times):
        told = d.network.time(torch.tensor([t]))
        encoded = d.network.encode(condition)
        given = d.network(torch.from_numpy(x).float()[None], told, encoded)[0].double().numpy()
        after = abar[times[i + 1]] if i + 1 < count else 1.0
        sigma = eta * math.sqrt((1 - after) / (1 - abar[t]) * (1 - abar[t] / after))
        new = np.zeros(n)
        for j in range(n):
            start = given[j]
            if config.predict == "epsilon":
                start = (x[j] - math.sqrt(1 - abar[t]) * given[j]) / math.sqrt(abar[t])
            if config.clip_denoised:
                start = min(max(start, float(d.low[j])), float(d.high[j]))
            e = (x[j] - math.sqrt(abar[t]) * start) / math.sqrt(1 - abar[t])
            new[j] = math.sqrt(after) * start + math.sqrt(1 - after - sigma**2) * e
            if sigma > 0:
                new[j] += sigma * config.temperature * noise[used + j]
        x, used = new, used + (n if sigma > 0 else 0)
    assert used == len(noise)
    return x * d.spread.numpy() + d.shift.numpy()


def test_sampler_is_the_loop_over_published_formulas(model: DiffuserModel) -> None:
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((2, 3, model.d_noise)).astype(np.float32)
    condition = torch.from_numpy(rng.standard_normal((2, len(model.condition_mean))).astype(np.float32))
    got = model.generator(torch.from_numpy(noise), condition)
    assert got.shape == (2, 3, model.d_coordinates)
    for i in range(2):
        for g in range(3):
            expected = loop(model, noise[i, g], condition[i : i + 1])
            np.testing.assert_allclose(got[i, g].numpy(), expected, atol=2e-4, rtol=2e-4)


def test_graph_gives_what_pytorch_gives_for_any_number_of_candidates(
    even_spec: tuple[Spec, WindowBatch],
) -> None:
    """Without noise on the steps; ``trained`` below has it."""
    model = model_of(*even_spec, CASES["unet-film-ddim"])
    assert check_parity(model, export_onnx(model), (1, 2, 7)) < 1e-4


def test_ddim_is_deterministic_in_its_first_noise(even_spec: tuple[Spec, WindowBatch]) -> None:
    config = DiffuserConfig(network="mlp", sampler="ddim", sample_steps=5)
    model = model_of(*even_spec, config, 7)
    assert model.d_noise == 7 and model.nfe == 5
    noisy = model_of(*even_spec, replace(config, eta=1.0), 7)
    assert noisy.d_noise == 5 * 7
    noise, condition = torch.randn(1, 1, 35), torch.zeros(1, len(model.condition_mean))
    first = model.generator(noise[..., :7], condition)
    assert torch.equal(first, model.generator(noise[..., :7], condition))
    other = noise.clone()
    other[..., 20:] += 1.0
    assert not torch.equal(noisy.generator(noise, condition), noisy.generator(other, condition))


def test_windows_are_clamped(model: DiffuserModel) -> None:
    state, context = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[0.3, 4.0, 5.0]])
    windows, scores = model(state, context, torch.randn(6, model.d_noise))
    assert windows.shape == (6, 4, 5) and scores.shape == (6,)
    assert (windows[:, 0, :3] == state).all() and (windows[:, -1, :2] == context[0, 1:]).all()


@pytest.mark.parametrize("predict", ["x0", "epsilon"])
def test_loss_is_the_weighted_error_at_the_drawn_levels(
    even_spec: tuple[Spec, WindowBatch], predict: str
) -> None:
    model = model_of(*even_spec, DiffuserConfig(network="mlp", predict=predict, diffusion_steps=6), 7)
    d, n = model.generator, 5
    coordinates, condition = torch.randn(n, 7), torch.randn(n, len(model.condition_mean))
    weight = torch.linspace(0.5, 2.0, 7)
    got = d.loss(coordinates, condition, weight, torch.Generator().manual_seed(3)).item()
    rng = torch.Generator().manual_seed(3)
    times = torch.randint(6, (n,), generator=rng)
    noise = torch.randn(n, 1, 7, generator=rng).double().numpy()
    abar = np.cumprod(1.0 - cosine_betas(6))
    total = 0.0
    for i in range(n):
        start = (coordinates[i] - d.shift).double().numpy() / d.spread.double().numpy()
        a = abar[times[i]]
        x = math.sqrt(a) * start + math.sqrt(1 - a) * noise[i, 0]
        told, encoded = d.network.time(times[i : i + 1]), d.network.encode(condition[i : i + 1])
        given = d.network(torch.from_numpy(x).float()[None], told, encoded)[0].double().numpy()
        target = start if predict == "x0" else noise[i, 0]
        total += sum(float(weight[j]) * (given[j] - target[j]) ** 2 for j in range(7))
    assert got == pytest.approx(total / (7 * n), rel=1e-4)


def test_unet_diffuses_windows_in_the_normalisers_units(even_spec: tuple[Spec, WindowBatch]) -> None:
    spec, batch = even_spec
    model = model_of(spec, batch, CASES["unet"])
    windows = torch.from_numpy(batch.windows)
    x = (model.encode(windows) - model.generator.shift) / model.generator.spread
    torch.testing.assert_close(x, model.flatten(windows), atol=1e-5, rtol=1e-5)
    assert (x > model.generator.low).all() and (x < model.generator.high).all()


def test_loss_weights_count_the_first_action_and_later_rows_less(even_spec: tuple[Spec, WindowBatch]) -> None:
    config = replace(CASES["unet"], first_action_weight=10.0, discount=0.5)
    model = model_of(*even_spec, config)
    got = model.loss_weight(torch.tensor([1.0, 1.0, 1.0, 2.0, 2.0]))
    mean = (1 + 0.5 + 0.25 + 0.125) / 4
    expected = []
    for t in range(4):
        for c in range(5):
            if (t == 0 and c < 3) or (t == 3 and c < 2):
                continue
            row = (2.0 if c >= 3 else 1.0) * 0.5**t / mean
            expected.append(20.0 if t == 0 else row)
    assert got.tolist() == pytest.approx(expected)


def train_config(network: str, **more) -> TrainConfig:
    return TrainConfig(
        method="diffuser",
        steps=7,
        conditions=6,
        samples=2,
        components=0 if network == "unet" else 5,
        warmup=2,
        network=NETWORK,
        diffuser=DiffuserConfig(network=network, unet=UNET, diffusion_steps=4),
        **more,
    )


@pytest.mark.parametrize("network", ["unet", "mlp"])
def test_resume_is_exact(tmp_path: Path, even_spec: tuple[Spec, WindowBatch], network: str) -> None:
    spec, batch = even_spec
    config = train_config(network)
    whole = Trainer(batch, spec, config, tmp_path / "whole", None)
    start = {name: value.clone() for name, value in whole.model.state_dict().items()}
    whole.run()
    Trainer(batch, spec, config, tmp_path / "parts", None).run(until=4)
    resumed = Trainer(batch, spec, config, tmp_path / "parts", None)
    assert resumed.resume() and resumed.step == 4
    resumed.run()
    for mine, other in ((whole.model, resumed.model), (whole.average, resumed.average)):
        for name, value in mine.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name
    assert any(not torch.equal(start[name], value) for name, value in whole.average.state_dict().items())


def test_another_sampler_goes_on_from_the_same_checkpoint(
    tmp_path: Path, even_spec: tuple[Spec, WindowBatch]
) -> None:
    spec, batch = even_spec
    config = train_config("mlp")
    Trainer(batch, spec, config, tmp_path, None).run()
    sampled = replace(config.diffuser, sampler="ddim", sample_steps=2, temperature=0.5)
    other = Trainer(batch, spec, replace(config, diffuser=sampled), tmp_path, None)
    assert other.resume() and other.step == 7 and other.average.nfe == 2
    trained = replace(config.diffuser, predict="epsilon")
    with pytest.raises(DataError, match="was written with another config"):
        Trainer(batch, spec, replace(config, diffuser=trained), tmp_path, None).resume()
    with pytest.raises(DataError, match="was written with another config"):
        Trainer(batch, spec, replace(config, method="kdp"), tmp_path, None).resume()


def test_checkpoints_of_one_step_planners_do_not_depend_on_the_baseline(
    tmp_path: Path, even_spec: tuple[Spec, WindowBatch]
) -> None:
    spec, batch = even_spec
    config = TrainConfig(network=NETWORK, components=5)
    header = Trainer(batch, spec, config, tmp_path, None)._header()["config"]
    later = {"base_share", "base_learning_rate", "first_action_weight"}  # where they are not used
    later |= {"final_temperatures", "final_share", "consistency", "q_learning"}
    assert set(asdict(config)) - set(header) == {"method", "diffuser", "scorer", "checkpoint_every"} | later
    assert not {"base_blocks", "scorer_actions"} & set(header["network"])


class Rising:
    """Windows whose last action is large are good."""

    def labels(self, windows: np.ndarray, conditions: WindowBatch) -> np.ndarray:
        return windows[..., -1, -1]


def test_scorer_learns_from_a_pool_of_windows(even_spec: tuple[Spec, WindowBatch]) -> None:
    spec, batch = even_spec
    model = model_of(spec, batch, CASES["mlp"], 7).requires_grad_(True)
    config = ScorerConfig(steps=120, conditions=16, samples=4, pool=70, learning_rate=1e-2)
    seen: list[tuple[int, int]] = []
    pool = draw_pool(model, batch, config, 0, lambda done, total: seen.append((done, total)))
    assert pool.rows.shape == (70,) and pool.coordinates.shape == (70, 4, 7) and seen[-1] == (70, 70)
    again = draw_pool(model, batch, config, 0)
    assert torch.equal(pool.coordinates, again.coordinates)
    calls = []
    model.generator.register_forward_hook(lambda *_: calls.append(1))
    assert train_scorer(model, batch, config, Rising(), 0, pool=pool) > 0.5
    assert not calls


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A small Diffuser of both modes of one number, exported; and the share of the major mode."""
    torch.set_num_threads(1)
    spec = Spec(
        name="modes",
        task="generic",
        rate_hz=1.0,
        horizon=1,
        state=(Channel(name="x", unit="m"),),
        action=(Channel(name="u", unit="m"),),
        goal=Goal(),
    )
    rng = np.random.default_rng(0)
    n = 600
    x, u = rng.normal(size=n), np.where(rng.random(n) < 0.7, 1.0, -1.0) + 0.1 * rng.normal(size=n)
    windows = np.stack([x, u], axis=-1)[:, None].astype(np.float32)
    none = np.zeros((n, 0), np.float32)
    batch = WindowBatch(windows, windows[:, 0, :1], none, np.arange(n), np.full(n, -1), np.zeros(n), none)
    spec = spec.model_copy(update={"normaliser": fit_normaliser(batch, spec)})
    config = TrainConfig(
        method="diffuser",
        steps=500,
        conditions=256,
        samples=1,
        components=0,
        warmup=20,
        learning_rate=4e-3,
        ema=0.98,
        network=NetworkSize(width=48, blocks=1, scorer_width=8),
        diffuser=DiffuserConfig(network="mlp", predict="epsilon"),
        checkpoint_every=10_000,
    )
    folder = tmp_path_factory.mktemp("diffuser")
    model = Trainer(batch, spec, config, folder, None).run()
    provenance = {"method": "diffuser", "network": "mlp", "sampler": "ddpm", "nfe": model.nfe}
    return export_artifact(model, folder / "artifact", provenance), float((u > 0).mean())


def test_trained_planner_proposes_both_modes(trained: tuple[Path, float]) -> None:
    planner = Planner.load(trained[0])
    assert planner.nfe == 20 and planner.d_noise == 20
    plan = planner.plan(np.array([0.2]), candidates=1500, rng=np.random.default_rng(0))
    u = plan.windows[:, 0, 1]
    assert (u > 0).mean() == pytest.approx(trained[1], abs=0.08)
    near = (np.abs(np.abs(u) - 1.0) < 0.35).mean()
    assert near > 0.9
    same = planner.plan(np.array([0.2]), candidates=1500, rng=np.random.default_rng(0))
    assert np.array_equal(plan.windows, same.windows)


def test_one_graph_holds_all_steps_and_can_do_without_scorer(trained: tuple[Path, float]) -> None:
    graph = onnx.load(trained[0] / "planner.onnx")
    assert [node.op_type for node in graph.graph.node].count("Scan") == 1
    bare = only_windows(graph)
    assert [v.name for v in bare.graph.output] == ["windows"] and len(bare.graph.node) < len(graph.graph.node)
    rng = np.random.default_rng(0)
    shapes = {"state": (1, 1), "context": (1, 0), "noise": (4, 20)}
    feeds = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    windows = open_session(graph.SerializeToString(), 1).run(["windows"], feeds)[0]
    assert np.array_equal(windows, open_session(bare.SerializeToString(), 1).run(None, feeds)[0])


def test_controller_runs_it_as_any_planner(
    trained: tuple[Path, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        controller, "make_task", lambda name, horizon: GenericTask(Spec.load(trained[0] / "spec.json"))
    )
    loaded = controller.Controller.load(trained[0], candidates=9, seed=1)
    loaded.options = replace(loaded.options, ranking="learned")
    first, second = (loaded.step({"observation": np.array([0.2])}) for _ in range(2))
    assert not first.safe and first.plan is not None and first.plan.noise.shape == (9, 20)
    # the last chosen noise leads the next candidates, as for one-step planners
    assert np.array_equal(second.plan.noise[0], first.plan.noise[first.plan.index])


def test_model_card_names_sampler_and_evaluations(trained: tuple[Path, float]) -> None:
    card = (trained[0] / "MODEL_CARD.md").read_text()
    assert "Diffuser (network `mlp`, sampler `ddpm`, 20 network evaluations per plan)" in card


def test_time_embedding_tells_all_levels_apart() -> None:
    torch.manual_seed(0)
    embedded = TimeEmbedding(32, 16)(torch.arange(100))
    assert embedded.shape == (100, 16)
    assert (torch.cdist(embedded, embedded) + torch.eye(100)).min() > 1e-3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"diffusion_steps": 0}, "train.diffuser.diffusion_steps must be at least 1, got 0"),
        ({"sample_steps": 21}, "train.diffuser.sample_steps must be 0 to 20, got 21"),
        ({"eta": 1.5}, "train.diffuser.eta must be 0 to 1"),
        ({"temperature": -1.0}, "train.diffuser.temperature must be at least 0"),
        ({"first_action_weight": 0.0}, "train.diffuser.first_action_weight must be greater than 0"),
    ],
)
def test_impossible_settings(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        DiffuserConfig(**change)


def test_unet_takes_no_decoder(even_spec: tuple[Spec, WindowBatch]) -> None:
    with pytest.raises(ConfigError, match=r"train\.components must be 0 for train\.diffuser\.network 'unet'"):
        DiffuserModel(even_spec[0], NETWORK, 5, CASES["unet"])
