"""Consistency policies: levels, scalings and sampler by the published formulas, training, export."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kdp_core.baselines import consistency
from kdp_core.baselines.consistency import ConsistencyModel
from kdp_core.baselines.consistency_config import ConsistencyConfig
from kdp_core.exceptions import ConfigError
from kdp_core.export import check_parity, export_artifact, export_onnx
from kdp_core.generator import NetworkSize
from kdp_core.planner import Planner
from kdp_core.spec import Spec
from kdp_core.tasks.generic import generic_spec
from kdp_core.train_config import TrainConfig
from kdp_core.trainer import Trainer
from kdp_core.windows import WindowBatch, fit_normaliser

NETWORK = NetworkSize(width=8, blocks=1, scorer_width=8)
USUAL = ConsistencyConfig()


def model_of(spec: Spec, batch: WindowBatch, config: ConsistencyConfig) -> ConsistencyModel:
    torch.manual_seed(0)
    model = ConsistencyModel(spec, NETWORK, 0, config)
    model.fit(batch, 0)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, std=0.3 if "bias" in name else 0.7 / parameter[0].numel() ** 0.5)
    return model.requires_grad_(False)


def test_levels_are_those_of_karras() -> None:
    """(eps^(1/7) + (i - 1) / (N - 1) (T^(1/7) - eps^(1/7)))^7, number by number."""
    found = consistency.karras_levels(18, USUAL)
    low, high = 0.002 ** (1 / 7), 80.0 ** (1 / 7)
    assert found == pytest.approx([(low + i / 17 * (high - low)) ** 7 for i in range(18)])


def test_levels_become_more() -> None:
    counts = [consistency.level_count(share, USUAL) for share in np.linspace(0.0, 1.0, 21)]
    assert counts == sorted(counts) and (counts[0], counts[-1]) == (2, 150)
    assert counts[5] == 76  # ceil(sqrt(0.25 (151^2 - 4) + 4) - 1) + 1


def test_the_smallest_level_is_the_identity() -> None:
    c_skip, c_out, c_in = consistency.scalings(torch.tensor([0.002, 2.0]), 0.002)
    assert c_skip[0] == 1.0 and c_out[0] == 0.0
    assert float(c_skip[1]) == pytest.approx(0.25 / (1.998**2 + 0.25))
    assert float(c_out[1]) == pytest.approx(0.5 * 1.998 / np.sqrt(4.25))
    assert float(c_in[1]) == pytest.approx(1.0 / np.sqrt(4.25))


@pytest.mark.parametrize("levels", [(80.0,), (80.0, 2.0), (80.0, 9.0, 0.5)])
def test_sampler_is_the_published_loop(
    fitted_spec: Spec, small_batch: WindowBatch, levels: tuple[float, ...]
) -> None:
    """Algorithm 1 of arXiv 2303.01469 on x itself, in float64 around the network."""
    model = model_of(fitted_spec, small_batch, ConsistencyConfig(sample_levels=levels, temperature=0.7))
    generator, n = model.generator, model.generator.n
    assert (model.nfe, model.d_noise) == (len(levels), len(levels) * n)
    rng = torch.Generator().manual_seed(1)
    noise, condition = torch.randn(3, model.d_noise, generator=rng), torch.randn(3, 6, generator=rng)
    condition = condition[:, : len(model.condition_mean)]
    x = 80.0 * 0.7 * noise[:, :n].double()
    for number, level in enumerate(levels):
        if number:
            x = x + np.sqrt(level**2 - 0.002**2) * 0.7 * noise[:, number * n : (number + 1) * n].double()
        told = generator.network.time(torch.tensor([250.0 * np.log(level)]))
        scaled = (x / np.sqrt(level**2 + 0.25)).float()
        predicted = generator.network(scaled, told, generator.network.encode(condition)).double()
        skip, out = 0.25 / ((level - 0.002) ** 2 + 0.25), 0.5 * (level - 0.002) / np.sqrt(level**2 + 0.25)
        x = (skip * x + out * predicted).clamp(generator.low.double(), generator.high.double())
    expected = (x * generator.spread + generator.shift).float()
    found = generator(noise[:, None], condition)[:, 0]
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=2e-4)


def linear_law(rows: int = 3000) -> tuple[WindowBatch, Spec]:
    """One row: a = 2 s_0 - s_1 + 0.3 N(0, 1)."""
    rng = np.random.default_rng(0)
    state = rng.normal(size=(rows, 2))
    action = state @ [2.0, -1.0] + 0.3 * rng.normal(size=rows)
    windows = np.concatenate([state, action[:, None]], axis=1)[:, None].astype(np.float32)
    batch = WindowBatch(
        windows, windows[:, 0, :2], np.zeros((rows, 0), np.float32), np.arange(rows), np.full(rows, -1),
        action.astype(np.float32), np.zeros((rows, 0), np.float32),
    )  # fmt: skip
    spec = generic_spec("toy", 2, 1, 1)
    return batch, spec.model_copy(update={"normaliser": fit_normaliser(batch, spec)})


def test_training_finds_mean_and_spread_and_survives_export(tmp_path: Path) -> None:
    batch, spec = linear_law()
    config = TrainConfig(
        method="consistency", steps=1000, conditions=16, samples=16, components=0, learning_rate=2e-3,
        network=NetworkSize(width=64, blocks=2, scorer_width=8), ema=0.99, condition_noise=0.0,
        checkpoint_every=10_000,
    )  # fmt: skip
    torch.set_num_threads(1)
    model = Trainer(batch, spec, config, tmp_path, None).run()
    path = export_artifact(model, tmp_path / "artifact", {"method": "consistency", "nfe": model.nfe})
    planner, rng = Planner.load(path), np.random.default_rng(1)
    assert planner.nfe == 2
    errors, spreads = [], []
    for state in rng.normal(size=(20, 2)):
        noise = rng.standard_normal((200, planner.d_noise), dtype=np.float32)
        actions = planner.propose(state, np.zeros(0), noise)[0][:, 0, 2]
        errors.append(actions.mean() - state @ [2.0, -1.0])
        spreads.append(actions.std())
    assert np.sqrt(np.mean(np.square(errors))) < 0.35  # the data's spread is 2.3
    assert 0.1 < np.median(spreads) < 1.4  # too wide (0.3 is right), as short trainings are
    assert "Consistency policy" in (path / "MODEL_CARD.md").read_text()


def test_export_agrees_with_torch(fitted_spec: Spec, small_batch: WindowBatch) -> None:
    model = model_of(fitted_spec, small_batch, USUAL)
    assert check_parity(model, export_onnx(model)) < 1e-4


def test_resume_is_exact(tmp_path: Path, fitted_spec: Spec, small_batch: WindowBatch) -> None:
    config = TrainConfig(
        method="consistency", steps=6, conditions=4, samples=2, components=0, network=NETWORK,
        checkpoint_every=100,
    )  # fmt: skip
    whole = Trainer(small_batch, fitted_spec, config, tmp_path / "whole", None)
    whole.run()
    Trainer(small_batch, fitted_spec, config, tmp_path / "parts", None).run(until=3)
    sampled_otherwise = replace(config, consistency=ConsistencyConfig(temperature=0.5))
    resumed = Trainer(small_batch, fitted_spec, sampled_otherwise, tmp_path / "parts", None)
    assert resumed.resume() and resumed.step == 3
    resumed.run()
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sample_levels": ()}, "sample_levels must fall from sigma_max 80.0"),
        ({"sample_levels": (2.0, 80.0)}, "sample_levels must fall"),
        ({"sample_levels": (40.0, 2.0)}, "sample_levels must fall"),
        ({"sigma_min": 100.0}, "sigma_min must be smaller than sigma_max"),
        ({"first_levels": 10, "last_levels": 5}, "first_levels must be at most last_levels 5, got 10"),
        ({"first_levels": 1}, "first_levels must be at least 2"),
        ({"rho": 0.0}, "rho must be greater than 0"),
    ],
)
def test_wrong_settings_are_one_line(wrong: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=f"train.consistency.{message}"):
        ConsistencyConfig(**wrong)
