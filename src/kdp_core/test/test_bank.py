"""The bank's neighbours against a float64 loop that looks at every window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kdp_core.bank import neighbours
from kdp_core.exceptions import DataError


def brute_force(
    keys: NDArray[np.float32], k: int, groups: NDArray[np.int64], limit: int, anchor: int
) -> tuple[list[int], list[float]]:
    """Windows by distance (the anchor first, then by index), taken while their episode is below the limit."""
    away = [
        float(np.sqrt(np.sum((key.astype(np.float64) - keys[anchor].astype(np.float64)) ** 2)))
        for key in keys
    ]
    order = sorted(range(len(keys)), key=lambda i: (away[i], i != anchor, i))
    taken: dict[int, int] = {}
    chosen = []
    for i in order:
        if taken.get(int(groups[i]), 0) < limit and len(chosen) < k:
            taken[int(groups[i])] = taken.get(int(groups[i]), 0) + 1
            chosen.append(i)
    return chosen, [away[i] for i in chosen]


def overlapping_windows(rng: np.random.Generator, lengths: list[int], size: int) -> tuple[NDArray, NDArray]:
    """Keys that change slowly within an episode, in shuffled order, with labels that are not consecutive."""
    episodes = [rng.normal(size=size) + np.cumsum(0.1 * rng.normal(size=(n, size)), axis=0) for n in lengths]
    keys = np.concatenate(episodes).astype(np.float32)
    groups = np.repeat(7 * np.arange(len(lengths)) + 3, lengths)
    shuffled = rng.permutation(len(keys))
    return keys[shuffled], groups[shuffled]


@pytest.mark.parametrize("size", [3, 15, 16, 40])
@pytest.mark.parametrize(("k", "limit"), [(1, 1), (8, 1), (8, 3), (30, 2)])
def test_same_as_brute_force(size: int, k: int, limit: int) -> None:
    rng = np.random.default_rng(size * 100 + k)
    keys, groups = overlapping_windows(rng, [1, 2, 40, 5] + [12] * 20, size)
    anchors = rng.choice(len(keys), 60, replace=False)
    indices, distances = neighbours(keys, k, groups, limit, anchors, block=17)
    for row, anchor in enumerate(anchors):
        chosen, away = brute_force(keys, k, groups, limit, anchor)
        filled = len(chosen)
        assert indices[row, :filled].tolist() == chosen
        np.testing.assert_allclose(distances[row, :filled], away, rtol=1e-9, atol=1e-12)
        assert (indices[row, filled:] == -1).all() and np.isinf(distances[row, filled:]).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.sampled_from([1, 4, 16, 21]),
    k=st.integers(1, 12),
    limit=st.integers(1, 4),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    steps=st.sampled_from([1.0, 1e-3, 1e3]),
)
def test_distances_hold_with_many_ties(
    seed: int, size: int, k: int, limit: int, lengths: list[int], steps: float
) -> None:
    """Keys on a coarse grid far from the origin: float32 products alone would confuse and misorder them."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(lengths)), lengths)
    keys = (rng.integers(0, 3, (len(groups), size)) * steps + 50.0).astype(np.float32)
    indices, distances = neighbours(keys, k, groups, limit)
    for anchor in range(len(keys)):
        away = brute_force(keys, k, groups, limit, anchor)[1]
        filled = indices[anchor] >= 0
        assert indices[anchor, 0] == anchor
        assert filled.sum() == len(away)
        np.testing.assert_allclose(distances[anchor, filled], away, rtol=1e-6, atol=1e-9 * steps)
        assert np.bincount(groups[indices[anchor, filled]]).max() <= limit
        assert len(set(indices[anchor, filled])) == len(away)


def test_tight_clusters_far_apart_are_ordered_beyond_float32_products() -> None:
    """Squared norms of 2e7 against squared distances of 1e-3: products in float32 cannot tell them apart."""
    rng = np.random.default_rng(4)
    keys = (1000.0 * np.repeat([-1.0, 1.0], 60)[:, None] + 0.01 * rng.normal(size=(120, 20))).astype(
        np.float32
    )
    groups = np.arange(120) // 2
    indices = neighbours(keys, 5, groups)[0]
    for anchor in range(0, 120, 7):
        assert indices[anchor].tolist() == brute_force(keys, 5, groups, 1, anchor)[0]


@pytest.mark.parametrize("size", [2, 20])
def test_an_anchor_precedes_its_exact_copies(size: int) -> None:
    keys = np.ones((200, size), np.float32)
    indices, distances = neighbours(keys, 3, np.arange(200), anchors=np.array([150, 7]))
    assert indices[:, 0].tolist() == [150, 7]
    assert (distances == 0).all() and (indices >= 0).all()


@pytest.mark.parametrize("size", [2, 20])
def test_progress_ends_at_the_total(size: int) -> None:
    calls: list[tuple[int, int]] = []
    keys = np.random.default_rng(0).normal(size=(50, size)).astype(np.float32)
    neighbours(keys, 2, np.arange(50), block=20, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(20, 50), (40, 50), (50, 50)]


@pytest.mark.parametrize("size", [2, 20])
def test_no_anchors_give_no_rows(size: int) -> None:
    indices, distances = neighbours(
        np.ones((5, size), np.float32), 2, np.arange(5), anchors=np.array([], np.int64)
    )
    assert indices.shape == distances.shape == (0, 2)


def test_wrong_arguments_are_refused() -> None:
    keys, groups = np.ones((5, 2), np.float32), np.arange(5)
    with pytest.raises(ValueError, match=r"groups have shape \(4,\)"):
        neighbours(keys, 2, groups[:4])
    with pytest.raises(ValueError, match="k = 0"):
        neighbours(keys, 0, groups)
    with pytest.raises(ValueError, match="indices from 0 to 4"):
        neighbours(keys, 1, groups, anchors=np.array([5]))
    with pytest.raises(ValueError, match="keys have shape"):
        neighbours(keys[:0], 1, groups[:0])
    keys[3, 1] = np.nan
    with pytest.raises(DataError, match="window 3 is not finite"):
        neighbours(keys, 1, groups)
