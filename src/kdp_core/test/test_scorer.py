"""The scorer learns a known label; rank correlation against SciPy."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from kdp_core.generator import NetworkSize
from kdp_core.model import KdpModel
from kdp_core.scorer import ScorerConfig, rank_correlation, train_scorer
from kdp_core.spec import Spec
from kdp_core.windows import WindowBatch


def model_of(spec: Spec, batch: WindowBatch) -> KdpModel:
    torch.manual_seed(0)
    model = KdpModel(spec, NetworkSize(d_noise=4, width=16, blocks=1, scorer_width=32), 6)
    model.fit(batch, 6)
    return model


class Linear:
    """A judge whose verdict is a fixed weighted sum of a window's entries."""

    def labels(self, windows: np.ndarray, conditions: object) -> np.ndarray:
        weight = np.random.default_rng(5).normal(size=windows.shape[-2:])
        return (windows * weight).sum(axis=(-1, -2))


def test_a_linear_label_is_learned(fitted_spec: Spec, small_batch: WindowBatch) -> None:
    model = model_of(fitted_spec, small_batch)
    frozen = {k: v.clone() for k, v in model.generator.state_dict().items()}
    config = ScorerConfig(steps=250, conditions=24, samples=6, learning_rate=5e-3)
    untrained = train_scorer(
        model_of(fitted_spec, small_batch), small_batch, ScorerConfig(steps=1, conditions=24), Linear(), 0
    )
    learned = train_scorer(model, small_batch, config, Linear(), seed=0)
    assert learned > 0.9 > untrained
    assert all(torch.equal(v, frozen[k]) for k, v in model.generator.state_dict().items())


def test_returns_are_learned_without_a_judge(fitted_spec: Spec, small_batch: WindowBatch) -> None:
    model = model_of(fitted_spec, small_batch)
    config = ScorerConfig(steps=250, conditions=24, samples=4, learning_rate=5e-3)
    assert train_scorer(model, small_batch, config, None, seed=0) > 0.9


@pytest.mark.parametrize("shape", [(7, 12), (40, 1)])
def test_rank_correlation_against_scipy(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=shape)
    b = a + rng.normal(size=shape)
    rows = [(a.ravel(), b.ravel())] if shape[1] == 1 else list(zip(a, b, strict=True))
    expected = np.mean([spearmanr(x, y).statistic for x, y in rows])
    assert rank_correlation(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected)
