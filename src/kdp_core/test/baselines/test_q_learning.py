"""Critics against returns that can be written down, and what they make of a policy."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kdp_core.baselines.diffuser_config import DiffuserConfig
from kdp_core.baselines.q_learning_config import QLearningConfig
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.generator import NetworkSize
from kdp_core.run_config import RunConfig
from kdp_core.scorer import value_correlation
from kdp_core.spec import Goal, Spec
from kdp_core.tasks.control import ControlOptions
from kdp_core.tasks.generic import generic_spec
from kdp_core.train_config import TrainConfig
from kdp_core.trainer import Trainer
from kdp_core.windows import WindowBatch, fit_normaliser

DISCOUNT = 0.8
CONFIG = TrainConfig(
    method="diffuser", steps=400, conditions=16, samples=12, components=0, learning_rate=2e-3, ema=0.99,
    diffuser=DiffuserConfig(network="mlp", diffusion_steps=5, predict="epsilon", first_action_weight=1.0),
    network=NetworkSize(width=32, blocks=2, scorer_width=32), checkpoint_every=10_000, condition_noise=0.0,
    q_learning=QLearningConfig(weight=1.0, discount=DISCOUNT, target_rate=0.05, learning_rate=3e-3),
)  # fmt: skip


def two_steps(rows: int = 4000, ends: bool = True) -> tuple[WindowBatch, Spec]:
    """In state 0 reward a leads to state 1, whose reward 5 + 2 a ends the episode; a ~ N(0, 1) / 2."""
    rng = np.random.default_rng(0)
    state = rng.integers(0, 2, rows).astype(np.float64)
    action = 0.5 * rng.normal(size=rows)
    reward = np.where(state == 0, action, 5.0 + 2.0 * action)
    windows = np.stack([state, action], axis=1)[:, None].astype(np.float32)
    goes_on = np.where(state == 0, 1.0, 0.0 if ends else 1.0)
    extras = np.stack([reward, goes_on, np.ones(rows)], axis=1).astype(np.float32)
    batch = WindowBatch(
        windows, windows[:, 0, :1], np.zeros((rows, 0), np.float32), np.arange(rows), np.full(rows, -1),
        reward.astype(np.float32), extras,
    )  # fmt: skip
    spec = generic_spec("chain", 1, 1, 1)
    return batch, spec.model_copy(update={"normaliser": fit_normaliser(batch, spec)})


def values(trainer: Trainer, state: float, actions: list[float]) -> np.ndarray:
    """Q of the exported scorer."""
    model = trainer.average
    windows = torch.tensor([[[state, a]] for a in actions])
    with torch.no_grad():
        condition = model.condition(torch.tensor([state]), torch.zeros(0))
        return model.scorer(model.encode(windows), condition).numpy()


def test_critics_find_the_value_of_two_steps(tmp_path: Path) -> None:
    """Policy that imitates alone: E[a] = 0, so Q(0, a) = a + 0.8 * 5 and Q(1, a) = 5 + 2 a."""
    torch.set_num_threads(1)
    batch, spec = two_steps()
    config = replace(CONFIG, q_learning=replace(CONFIG.q_learning, weight=1e-9))
    trainer = Trainer(batch, spec, config, tmp_path, None)
    model = trainer.run()
    assert values(trainer, 1.0, [-0.5, 0.0, 0.5]) == pytest.approx([4.0, 5.0, 6.0], abs=0.3)
    assert values(trainer, 0.0, [-0.5, 0.0, 0.5]) == pytest.approx([3.5, 4.0, 4.5], abs=0.5)
    assert value_correlation(model, batch, 0) > 0.5


def test_a_recording_that_stops_is_not_an_end(tmp_path: Path) -> None:
    """State 1 for ever: Q(1, a) = 5 + 2 a + 0.8 * 25 and Q(0, a) = a + 0.8 * 25."""
    torch.set_num_threads(1)
    batch, spec = two_steps(ends=False)
    config = replace(CONFIG, q_learning=replace(CONFIG.q_learning, weight=1e-9))
    trainer = Trainer(batch, spec, config, tmp_path, None)
    trainer.run()
    assert values(trainer, 1.0, [0.0])[0] == pytest.approx(25.0, abs=2.5)
    assert values(trainer, 0.0, [0.0])[0] == pytest.approx(20.0, abs=2.5)


@pytest.mark.parametrize("method", ["diffuser", "consistency"])
def test_the_policy_moves_to_what_is_worth_more(tmp_path: Path, method: str) -> None:
    torch.set_num_threads(1)
    batch, spec = two_steps()
    means = []
    for weight in (1e-9, 5.0):
        q_learning = replace(CONFIG.q_learning, weight=weight)
        config = replace(CONFIG, steps=250, method=method, q_learning=q_learning)
        trainer = Trainer(batch, spec, config, tmp_path / str(weight), None)
        model = trainer.run()
        noise = torch.randn(400, model.d_noise, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            windows, _ = model(torch.tensor([[1.0]]), torch.zeros(1, 0), noise)
        means.append(windows[:, 0, 1].mean().item())
    assert abs(means[0]) < 0.25 and means[1] > means[0] + 0.2


def test_resume_is_exact(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    batch, spec = two_steps(200)
    config = replace(CONFIG, steps=6, conditions=4, samples=2)
    whole = Trainer(batch, spec, config, tmp_path / "whole", None)
    whole.run()
    Trainer(batch, spec, config, tmp_path / "parts", None).run(until=4)
    resumed = Trainer(batch, spec, config, tmp_path / "parts", None)
    assert resumed.resume() and resumed.step == 4
    resumed.run()
    assert whole.q_learning is not None and resumed.q_learning is not None
    pairs = ((whole.average, resumed.average), (whole.q_learning.critics, resumed.q_learning.critics))
    for mine, other in pairs:
        for name, value in mine.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name


def test_windows_without_transitions_are_refused(
    tmp_path: Path, fitted_spec: Spec, small_batch: WindowBatch
) -> None:
    with pytest.raises(
        ConfigError, match=r"needs windows of 1 row with transitions .* got windows of 5 rows"
    ):
        Trainer(small_batch, fitted_spec, CONFIG, tmp_path, None)
    batch, spec = two_steps(50)
    batch.extras = np.zeros((50, 0), np.float32)
    with pytest.raises(ConfigError, match="with 0 numbers of 3"):
        Trainer(batch, spec, CONFIG, tmp_path, None)
    batch, spec = two_steps(50)
    batch.extras[:, 0] = 0.0
    with pytest.raises(ConfigError, match="data without rewards: all are 0"):
        Trainer(batch, spec, CONFIG, tmp_path, None)


def test_what_follows_on_a_context_is_not_known(
    tmp_path: Path, small_spec: Spec, make_batch: Callable[..., WindowBatch]
) -> None:
    spec = small_spec.model_copy(update={"horizon": 1, "goal": Goal()})
    batch = make_batch(spec, 30)
    batch.extras = np.ones((30, 2 + spec.d_state), np.float32)
    spec = spec.model_copy(update={"normaliser": fit_normaliser(batch, spec)})
    with pytest.raises(ConfigError, match=r"data with context or goals, .* got 1 such numbers"):
        Trainer(batch, spec, CONFIG, tmp_path, None)


def test_how_samples_are_drawn_matters_to_critics(tmp_path: Path) -> None:
    batch, spec = two_steps(50)
    config = replace(CONFIG, steps=2, conditions=4, samples=2)
    changed = replace(CONFIG.diffuser, temperature=0.5)
    for weight, refused in ((0.0, False), (1.0, True)):
        out = tmp_path / str(weight)
        one = replace(config, q_learning=replace(config.q_learning, weight=weight))
        Trainer(batch, spec, one, out, None).run()
        other = Trainer(batch, spec, replace(one, diffuser=changed), out, None)
        if refused:
            with pytest.raises(DataError, match="another config"):
                other.resume()
        else:
            assert other.resume()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"task": "flight"}, "task must be control with train.q_learning.weight, got flight"),
        ({"horizon": 8}, "horizon must be 1 with"),
        ({"control": ControlOptions(DISCOUNT)}, "control.transitions must be True with .* got False"),
        ({"control": ControlOptions(0.5, 1, True)}, "q_learning.discount must be 0.5 with .* got 0.8"),
        ({"train": replace(CONFIG, diffuser=DiffuserConfig())}, "network must be mlp with"),
    ],
)
def test_a_run_that_cannot_have_critics_is_refused_before_it_begins(wrong: dict, message: str) -> None:
    right = {"task": "control", "horizon": 1, "control": ControlOptions(DISCOUNT, 1, True), "train": CONFIG}
    RunConfig(**right)
    with pytest.raises(ConfigError, match=message):
        RunConfig(**{**right, **wrong})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "kdp"}, "q_learning.weight must be 0 for method 'kdp'"),
        (
            {"network": NetworkSize(scorer_actions=1)},
            "q_learning.weight must be 0 .* with network.scorer_actions",
        ),
    ],
)
def test_critics_that_cannot_be_are_one_line(wrong: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **wrong)
    with pytest.raises(ConfigError, match=r"q_learning.discount must be between 0 and 1, got 1.0"):
        QLearningConfig(discount=1.0)
