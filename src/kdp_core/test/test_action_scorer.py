"""The scorer of actions against toys where the worth of each action is known."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from kdp_core.action_scorer import ActionScorer
from kdp_core.exceptions import ConfigError
from kdp_core.export import check_parity, export_onnx
from kdp_core.generator import NetworkSize, folded
from kdp_core.model import KdpModel
from kdp_core.scorer import ScorerConfig, train_scorer
from kdp_core.spec import Spec
from kdp_core.tasks.generic import generic_spec
from kdp_core.windows import WindowBatch, fit_normaliser

NOISE = 0.15
BETTER = np.array([1.0, -1.0])
ROWS, HORIZON = 3000, 3


def recorded(worth: float = 1.0) -> tuple[WindowBatch, Spec]:
    """Policy a = sin(2 s) + noise; returns s_0 + worth (1, -1) . noise / 0.15 + N(0, 1), all of row 0."""
    rng = np.random.default_rng(0)
    state = rng.uniform(-1.0, 1.0, (ROWS, HORIZON, 2))
    noise = NOISE * rng.normal(size=(ROWS, HORIZON, 2))
    windows = np.concatenate([state, np.sin(2 * state) + noise], axis=-1).astype(np.float32)
    value = state[:, 0, 0] + worth * noise[:, 0] @ BETTER / NOISE + rng.normal(size=ROWS)
    batch = WindowBatch(
        windows=windows,
        state=windows[:, 0, :2],
        context=np.zeros((ROWS, 0), np.float32),
        group=np.arange(ROWS),
        scene=np.full(ROWS, -1),
        value=value.astype(np.float32),
        extras=np.zeros((ROWS, 0), np.float32),
    )
    spec = generic_spec("toy", 2, 2, HORIZON)
    return batch, spec.model_copy(update={"normaliser": fit_normaliser(batch, spec)})


def agreement(model: KdpModel, batch: WindowBatch, truth: Callable[[np.ndarray], np.ndarray]) -> float:
    """Spearman's correlation of scores with ``truth(noise (40, 2))`` among a state's actions, the mean."""
    rng = np.random.default_rng(1)
    found = []
    for row in range(40):
        windows = np.repeat(batch.windows[row][None], 40, axis=0)
        noise = NOISE * rng.normal(size=(40, 2))
        windows[:, 0, 2:] = np.sin(2 * windows[0, 0, :2]) + noise
        with torch.no_grad():
            condition = model.condition(torch.from_numpy(batch.state[row]), torch.zeros(0))
            scores = model.scorer(model.encode(torch.from_numpy(windows)), condition)
        found.append(spearmanr(scores.numpy(), truth(noise)).statistic)
    return float(np.mean(found))


def trained(worth: float, actions: int = 1) -> tuple[KdpModel, WindowBatch]:
    batch, spec = recorded(worth)
    torch.manual_seed(0)
    size = NetworkSize(d_noise=4, width=16, blocks=1, scorer_width=32, scorer_actions=actions)
    model = KdpModel(spec, size, 0)
    model.fit(batch, 0)
    train_scorer(model, batch, ScorerConfig(steps=300, conditions=64, samples=4), None, seed=0)
    return model, batch


def improved(worth: float) -> Callable[[np.ndarray], np.ndarray]:
    """Log density of mu exp(Q / beta) in closed form; beta = 1 is the noise of the returns."""
    return lambda noise: worth * noise @ BETTER / NOISE - 0.5 * (noise / NOISE) ** 2 @ np.ones(2)


@pytest.mark.parametrize("worth", [0.0, 0.5, 3.0])
def test_it_ranks_actions_by_the_improved_policy(worth: float) -> None:
    """Usual ones first where returns tell nothing of actions, better ones where they do, in proportion."""
    model, batch = trained(worth)
    found = agreement(model, batch, improved(worth))
    assert found > 0.85  # the rest is the noise on windows, which flattens the value (ScorerConfig)
    other = improved(3.0 - worth) if worth != 0.5 else improved(-worth)
    assert found > agreement(model, batch, other) + 0.3


def test_it_sees_actions_through_the_decoder() -> None:
    """``judged`` takes the first action out of coordinates of any basis, and nothing else."""
    batch, spec = recorded()
    model = KdpModel(spec, NetworkSize(scorer_actions=1), 9)
    model.fit(batch, 9)
    coordinates = model.encode(torch.from_numpy(batch.windows[:50]))
    state = torch.from_numpy(batch.state[:50])
    decoded = model.decode(coordinates[:, None], state, torch.zeros(50, 0))[:, 0, 0, 2:]
    whitened = (decoded - model.row_mean[2:]) / model.row_std[2:]
    mean = model.mean[:2]  # free entries begin with the first action, as the first state is clamped
    torch.testing.assert_close(coordinates @ model.scorer.judged, whitened - mean, atol=1e-4, rtol=1e-4)


def test_the_graph_agrees_with_the_module() -> None:
    model, _ = trained(1.0, 2)
    assert model.scorer.rarity.min() > 0.0
    assert isinstance(model.scorer, ActionScorer) and 0.1 < model.scorer.unit[:2].max() < 0.6
    check_parity(model, export_onnx(model))
    coordinates, condition = torch.randn(2, 5, model.d_coordinates), torch.randn(2, 2)
    expected = model.scorer(coordinates, condition)
    torch.testing.assert_close(folded(model).scorer(coordinates, condition), expected, atol=1e-3, rtol=1e-4)


def test_it_can_be_trained_again() -> None:
    """What the first training fixed, the mean and how rare an action is, is learned anew."""
    model, batch = trained(0.0)
    first = model.scorer.rarity.clone()
    train_scorer(model, batch, ScorerConfig(steps=40, conditions=64, samples=4), None, seed=0)
    assert not torch.equal(model.scorer.rarity, first) and model.scorer.rarity.min() > 0.0


class Judge:
    """Any judge of windows."""

    def labels(self, windows: np.ndarray, conditions: WindowBatch) -> np.ndarray:
        return windows.sum(axis=(-1, -2))


def test_what_does_not_fit_is_refused() -> None:
    batch, spec = recorded()
    with pytest.raises(ConfigError, match="at most the horizon 3, got 4"):
        KdpModel(spec, NetworkSize(scorer_actions=4), 0)
    model = KdpModel(spec, NetworkSize(scorer_actions=1), 0)
    model.fit(batch, 0)
    with pytest.raises(ConfigError, match="scorer_actions must be 0 for task 'generic'"):
        train_scorer(model, batch, ScorerConfig(steps=10), Judge(), seed=0)
