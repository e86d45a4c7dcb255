"""Algorithm 1: exact resume, schedule, averaging, and what the fields learn on two modes."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kdp_core.base_step import INITIAL_SPREAD, base_loss
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.generator import Base, NetworkSize
from kdp_core.neighbourhood import Neighbourhood
from kdp_core.spec import Channel, KeyPart, Spec
from kdp_core.train_config import TrainConfig
from kdp_core.trainer import Trainer, learning_rate_scale
from kdp_core.windows import WindowBatch, fit_normaliser, keys

NETWORK = NetworkSize(d_noise=3, width=8, blocks=1, scorer_width=8)
TINY = TrainConfig(
    steps=7,
    conditions=6,
    samples=3,
    neighbours=3,
    components=5,
    warmup=2,
    network=NETWORK,
    checkpoint_every=100,
)


def trainer_of(batch: WindowBatch, spec: Spec, config: TrainConfig, out: Path) -> Trainer:
    torch.set_num_threads(1)
    hood = Neighbourhood(keys(batch, spec), batch.group, None, config.neighbours, config.key_temperature)
    return Trainer(batch, spec, config, out, hood)


@pytest.mark.parametrize("field", ["joint", "kdp", "energy", "mean"])
def test_resume_is_exact(tmp_path: Path, fitted_spec: Spec, small_batch: WindowBatch, field: str) -> None:
    config = replace(TINY, field=field)
    whole = trainer_of(small_batch, fitted_spec, config, tmp_path / "whole")
    whole.run()
    broken_off = trainer_of(small_batch, fitted_spec, config, tmp_path / "parts")
    broken_off.run(until=4)
    broken_off._train_step()  # work after the last checkpoint is lost and done again
    resumed = trainer_of(small_batch, fitted_spec, config, tmp_path / "parts")
    assert resumed.resume() and resumed.step == 4
    resumed.run()
    for mine, other in ((whole.model, resumed.model), (whole.average, resumed.average)):
        for name, value in mine.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name
    start = trainer_of(small_batch, fitted_spec, config, tmp_path / "new").model.state_dict()
    assert not torch.equal(start["generator.head.weight"], whole.model.state_dict()["generator.head.weight"])


@pytest.mark.parametrize("until", [2, 4, 5])
def test_resume_is_exact_before_at_and_after_the_end_of_the_base(
    tmp_path: Path, fitted_spec: Spec, small_batch: WindowBatch, until: int
) -> None:
    config = replace(TINY, network=replace(NETWORK, base_blocks=1), base_share=0.6)
    assert config.base_steps == 4 and TINY.base_steps == 0
    whole = trainer_of(small_batch, fitted_spec, config, tmp_path / "whole")
    whole.run()
    trainer_of(small_batch, fitted_spec, config, tmp_path / "parts").run(until=until)
    resumed = trainer_of(small_batch, fitted_spec, config, tmp_path / "parts")
    assert resumed.resume() and resumed.step == until
    resumed.run()
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name


def test_the_base_learns_first_and_stays_then(
    tmp_path: Path, fitted_spec: Spec, small_batch: WindowBatch
) -> None:
    config = replace(TINY, network=replace(NETWORK, base_blocks=1), base_share=0.6)
    trainer = trainer_of(small_batch, fitted_spec, config, tmp_path)
    start, data = (
        {k: v.clone() for k, v in trainer.model.generator.state_dict().items()},
        trainer.data.clone(),
    )
    trainer.run(until=4)
    learned = {k: v.clone() for k, v in trainer.average.generator.state_dict().items()}
    assert all(torch.equal(v, start[k]) for k, v in learned.items() if not k.startswith("base."))
    assert not torch.equal(learned["base.head.weight"], start["base.head.weight"])
    trainer.run()
    generator = trainer.average.generator
    end = generator.state_dict()
    assert all(torch.equal(v, learned[k]) for k, v in end.items() if k.startswith("base."))
    assert not torch.equal(end["head.weight"], start["head.weight"])
    torch.testing.assert_close(trainer.data + generator.base(trainer.condition), data)
    torch.testing.assert_close(end["spread"], INITIAL_SPREAD * trainer.data.std(0).clamp_min(1e-3))
    noise, told = torch.randn(2, 4, NETWORK.d_noise), trainer.condition[:2]
    around = generator(noise, told) - generator.residual(noise, generator.encoder(told)[:, None])
    torch.testing.assert_close(around, generator.base(told)[:, None].expand_as(around))


def test_base_finds_the_mean_of_a_linear_law() -> None:
    """Windows y = A c + noise: the mean window of a condition is A c."""
    rng = torch.Generator().manual_seed(0)
    condition, law = torch.randn(2000, 2, generator=rng), torch.tensor([[1.0, -2.0], [0.5, 3.0], [0.0, 1.0]])
    data = condition @ law.T + 0.5 * torch.randn(2000, 3, generator=rng)
    torch.manual_seed(0)
    base = Base(2, 3, 32, 1)
    optimiser = torch.optim.Adam(base.parameters(), lr=1e-2)
    for step in range(400):
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * learning_rate_scale(step, 400, 10)
        rows = torch.randint(2000, (256,), generator=rng)
        optimiser.zero_grad()
        base_loss(base, condition, data, torch.ones(3), rows, 0.0, rng).backward()
        optimiser.step()
    test = torch.randn(200, 2, generator=rng)
    assert (base(test) - test @ law.T).square().mean().sqrt().item() < 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"field": "kdp"}, "base_blocks must be 0"),
        ({"method": "diffuser"}, "base_blocks must be 0"),
        ({"base_share": 1.0}, "base_share must be between 0 and 1"),
        ({"steps": 1}, "steps must be at least 2"),
        ({"base_learning_rate": 0.0}, "base_learning_rate"),
    ],
)
def test_a_base_that_cannot_be_is_one_line(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(TINY, network=replace(NETWORK, base_blocks=1), **changes)


def test_final_temperatures_are_those_of_the_last_share_of_the_fields_steps() -> None:
    config = replace(TINY, steps=20, final_temperatures=(0.1,), final_share=0.75)
    found = [config.temperatures_at(step) for step in range(20)]
    assert found == [TINY.temperatures] * 5 + [(0.1,)] * 15
    with_base = replace(config, network=replace(NETWORK, base_blocks=1), base_share=0.6)  # 12 steps of it
    assert [s for s in range(12, 20) if with_base.temperatures_at(s) == (0.1,)] == list(range(14, 20))
    assert replace(TINY, final_share=0.1).temperatures_at(6) == TINY.temperatures
    for wrong, message in (
        ({"final_temperatures": (0.1, 0.0)}, "final_temperatures must be numbers greater than 0, or none"),
        ({"final_share": 1.0}, "final_share must be between 0 and 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(TINY, **wrong)


def test_final_temperatures_change_the_weights_and_whose_checkpoint_it_is(
    tmp_path: Path, fitted_spec: Spec, small_batch: WindowBatch
) -> None:
    config = replace(TINY, final_temperatures=(2.0,), final_share=0.5)
    heads = []
    for number, one in enumerate((TINY, config, replace(TINY, final_share=0.5))):
        trainer = trainer_of(small_batch, fitted_spec, one, tmp_path / str(number))
        trainer.run()
        heads.append(trainer.model.generator.head.weight)
    assert not torch.equal(heads[0], heads[1]) and torch.equal(heads[0], heads[2])
    with pytest.raises(DataError, match="another config"):
        trainer_of(small_batch, fitted_spec, config, tmp_path / "0").resume()


def test_nothing_to_resume(tmp_path: Path, fitted_spec: Spec, small_batch: WindowBatch) -> None:
    assert not trainer_of(small_batch, fitted_spec, TINY, tmp_path).resume()


def test_another_runs_checkpoint_is_refused(
    tmp_path: Path, fitted_spec: Spec, small_batch: WindowBatch
) -> None:
    trainer_of(small_batch, fitted_spec, TINY, tmp_path).run(until=1)
    with pytest.raises(DataError, match="was written with another config") as caught:
        trainer_of(small_batch, fitted_spec, replace(TINY, learning_rate=1e-3), tmp_path).resume()
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    with pytest.raises(DataError, match="another contract"):
        trainer_of(small_batch, fitted_spec.model_copy(update={"name": "x"}), TINY, tmp_path).resume()
    with pytest.raises(DataError, match="another number of windows"):
        trainer_of(small_batch.take(np.arange(30)), fitted_spec, TINY, tmp_path).resume()


def test_a_checkpoint_of_other_data_is_refused(
    tmp_path: Path, fitted_spec: Spec, small_batch: WindowBatch
) -> None:
    """As many windows of the same shape under the same name: only their hash tells them apart."""
    hood = trainer_of(small_batch, fitted_spec, TINY, tmp_path).neighbourhood

    def trainer(data_hash: str) -> Trainer:
        return Trainer(small_batch, fitted_spec, TINY, tmp_path, hood, data_hash)

    trainer("a" * 64).run(until=1)
    assert trainer("a" * 64).resume()
    with pytest.raises(DataError, match=r"other data \(data_sha256 differs\)") as caught:
        trainer("b" * 64).resume()
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_learning_rate_is_warm_up_and_half_a_cosine() -> None:
    steps, warmup = 110, 10
    got = [learning_rate_scale(step, steps, warmup) for step in range(steps)]
    assert got[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert got[10] == pytest.approx(1.0) and got[60] == pytest.approx(0.5)
    assert got[35] == pytest.approx(math.cos(math.pi / 8) ** 2)
    assert min(got) == pytest.approx(1e-3) and learning_rate_scale(0, 5, 0) == 1.0


def test_average_follows_by_the_decay(tmp_path: Path, fitted_spec: Spec, small_batch: WindowBatch) -> None:
    trainer = trainer_of(small_batch, fitted_spec, replace(TINY, ema=0.15), tmp_path)
    expected = [p.detach().clone() for p in trainer.average.generator.parameters()]
    for step in range(3):
        trainer._train_step()
        trainer.step += 1
        decay = min(0.15, (1 + step) / (10 + step))
        for mean, own in zip(expected, trainer.model.generator.parameters(), strict=True):
            mean.mul_(decay).add_((1 - decay) * own.detach())
    for mean, got in zip(expected, trainer.average.generator.parameters(), strict=True):
        torch.testing.assert_close(got, mean)
        assert not got.requires_grad


def test_action_weight_counts_in_coordinates(
    tmp_path: Path, fitted_spec: Spec, small_batch: WindowBatch
) -> None:
    trainer = trainer_of(small_batch, fitted_spec, replace(TINY, action_weight=3.0, components=0), tmp_path)
    row = [1.0] * 3 + [3.0] * 2
    expected = [row[c] for t in range(5) for c in range(5) if not ((t == 0 and c < 3) or (t == 4 and c < 2))]
    assert trainer.weight.tolist() == pytest.approx(expected)


def two_modes() -> tuple[WindowBatch, Spec]:
    """One number per window: +1 (70 %) or -1, whatever the condition."""
    spec = Spec(
        name="modes",
        task="generic",
        rate_hz=1.0,
        horizon=1,
        state=(Channel(name="x", unit="m"),),
        action=(Channel(name="u", unit="m"),),
        key=(KeyPart(channel="x"),),
    )
    rng = np.random.default_rng(0)
    n = 400
    x, u = rng.normal(size=n), np.where(rng.random(n) < 0.7, 1.0, -1.0) + 0.03 * rng.normal(size=n)
    windows = np.stack([x, u], axis=-1)[:, None].astype(np.float32)
    none = np.zeros((n, 0), np.float32)
    batch = WindowBatch(windows, windows[:, 0, :1], none, np.arange(n), np.full(n, -1), np.zeros(n), none)
    return batch, spec.model_copy(update={"normaliser": fit_normaliser(batch, spec)})


def test_joint_learns_both_modes_and_mean_their_mean(tmp_path: Path) -> None:
    batch, spec = two_modes()
    drawn = {}
    for field in ("joint", "mean"):
        network = NetworkSize(d_noise=4, width=32, blocks=1, scorer_width=8)
        config = TrainConfig(
            field=field,
            steps=500,
            conditions=32,
            neighbours=16,
            key_temperature=10.0,
            components=0,
            warmup=20,
            learning_rate=4e-3,
            ema=0.97,
            network=network,
            checkpoint_every=10_000,
        )
        model = trainer_of(batch, spec, config, tmp_path / field).run()
        with torch.no_grad():
            noise = torch.randn(600, 4, generator=torch.Generator().manual_seed(1))
            drawn[field] = model(torch.zeros(1, 1), torch.zeros(1, 0), noise)[0][:, 0, 1].numpy()
    near = [np.mean(np.abs(drawn["joint"] - mode) < 0.3) for mode in (1.0, -1.0)]
    assert near[0] > 0.4 and near[1] > 0.12 and sum(near) > 0.8
    assert np.abs(drawn["mean"] - 0.4).max() < 0.5  # between the modes, where no data are


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "train.steps must be at least 1, got 0"),
        ({"samples": 1}, "train.samples must be at least 2 for field 'joint'"),
        ({"neighbours": 100_000}, "train.neighbours must be 1 to 4096, got 100000"),
        ({"ema": 1.0}, r"train.ema must be in \[0, 1\)"),
        ({"learning_rate": float("nan")}, "train.learning_rate must be greater than 0, got nan"),
        ({"temperatures": ()}, "train.temperatures must be"),
        ({"temperatures": (0.1, -1.0)}, "train.temperatures must be"),
        ({"condition_noise": -0.1}, "train.condition_noise must be at least 0"),
    ],
)
def test_impossible_configurations(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TrainConfig(**change)
