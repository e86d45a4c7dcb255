"""Neighbourhoods against a double loop, with and without scenes, and their padding."""

import numpy as np
import pytest
import torch

from kdp_core.neighbourhood import Neighbourhood

TAU = 0.7


def by_loop(
    keys: np.ndarray, group: np.ndarray, scene: np.ndarray, anchor: int, k: int
) -> list[tuple[float, int]]:
    """(distance, window), nearest first, one window per episode of the anchor's scene, itself for its own."""
    best: dict[int, tuple[float, int]] = {}
    for other in range(len(keys)):
        if scene[other] == scene[anchor]:
            away = (
                -1.0 if other == anchor else float(np.linalg.norm(keys[other].astype(float) - keys[anchor]))
            )
            best[int(group[other])] = min(best.get(int(group[other]), (np.inf, -1)), (away, other))
    return [(max(away, 0.0), other) for away, other in sorted(best.values())[:k]]


@pytest.mark.parametrize("with_scenes", [True, False])
@pytest.mark.parametrize("dimensions", [3, 20])
def test_against_a_loop(with_scenes: bool, dimensions: int) -> None:
    rng = np.random.default_rng(dimensions)
    n, k = 60, 5
    keys = rng.normal(size=(n, dimensions)).astype(np.float32)
    group = rng.integers(0, 12, n)
    scene = group % 3 if with_scenes else np.zeros(n, int)  # an episode lies in one world
    found = Neighbourhood(keys, group, scene if with_scenes else None, k, TAU)
    shortest = n
    for anchor in range(n):
        expected = by_loop(keys, group, scene, anchor, k)
        shortest = min(shortest, len(expected))
        index, weights = found.index[anchor].tolist(), found.log_weights[anchor].exp().numpy()
        assert index[: len(expected)] == [other for _, other in expected]
        raw = np.exp([-away / TAU for away, _ in expected])
        np.testing.assert_allclose(weights[: len(expected)], raw / raw.sum(), rtol=2e-3)
        assert set(index[len(expected) :]) <= {anchor}  # padding: the anchor itself, with no weight
        assert (weights[len(expected) :] == 0).all()
    assert shortest == (4 if with_scenes else 5)


def test_draw_gives_rows_of_the_anchors() -> None:
    keys = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    hood = Neighbourhood(keys, np.arange(30), None, 4, TAU)
    anchors, index, log_weights = hood.draw(200, torch.Generator().manual_seed(1))
    assert len(set(anchors.tolist())) > 25
    assert torch.equal(index, hood.index[anchors]) and torch.equal(log_weights, hood.log_weights[anchors])
    assert torch.equal(index[:, 0], anchors)


@pytest.mark.parametrize("with_scenes", [True, False])
def test_more_neighbours_than_there_are_episodes_cost_nothing(with_scenes: bool) -> None:
    """Rows as long as was asked for filled the memory, or every step, with padding."""
    keys = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    group = np.arange(60) // 5
    scene = group % 3 if with_scenes else None
    groups = 4 if with_scenes else 12
    found, enough = (Neighbourhood(keys, group, scene, k, TAU) for k in (10**9, groups))
    assert found.index.shape == (60, groups)
    assert torch.equal(found.index, enough.index) and torch.equal(found.log_weights, enough.log_weights)
