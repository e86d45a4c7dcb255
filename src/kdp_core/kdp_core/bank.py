"""The bank of all windows: which windows have the keys nearest to an anchor's, at most a few of each episode.

Overlapping windows of one episode are almost copies of each other. Without the limit per episode, the k
nearest windows of an anchor would be its own shifted copies and say nothing about what else can happen there.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from kdp_core.exceptions import DataError

TREE_DIMENSIONS = 16  # from here on a k-d tree visits most of its points and matrix products are faster
_BLOCK_NUMBERS = 1 << 26  # of the (anchors, windows) matrix held at once: 256 MB

Progress = Callable[[int, int], None]
Result = tuple[NDArray[np.int64], NDArray[np.float64]]


def neighbours(
    keys: NDArray[np.float32],
    k: int,
    groups: NDArray[np.int64],
    max_per_group: int = 1,
    anchors: NDArray[np.int64] | None = None,
    block: int = 2048,
    progress: Progress | None = None,
) -> Result:
    """Exact k nearest windows of each anchor by Euclidean distance of keys.

    An anchor is its own first neighbour, at distance 0, and counts for its own episode.

    Args:
        keys: (N, P) whitened keys.
        k: neighbours per anchor, itself included.
        groups: (N,) episode of each window.
        max_per_group: most neighbours of one episode.
        anchors: (A,) indices of windows; all of them by default.
        block: anchors per step (fewer where N is so large that memory would not suffice).
        progress: called with (anchors done, anchors in all) after each step.

    Returns:
        indices int64 (A, k) by increasing distance and distances float64 (A, k); where the episodes do not
        hold k windows within the limit, the rest is -1 and infinity.

    Raises:
        DataError: the keys are not finite.
        ValueError: the arguments do not fit together.
    """
    keys = np.asarray(keys)
    groups = np.asarray(groups)
    anchors = np.arange(len(keys)) if anchors is None else np.asarray(anchors, dtype=np.int64)
    _check(keys, k, groups, max_per_group, anchors, block)
    labels = np.unique(groups, return_inverse=True)[1]
    method = _by_tree if keys.shape[1] < TREE_DIMENSIONS else _by_products
    return method(keys, k, labels, max_per_group, anchors, block, progress or (lambda done, total: None))


def _by_tree(
    keys: NDArray[np.float32],
    k: int,
    labels: NDArray[np.int64],
    limit: int,
    anchors: NDArray[np.int64],
    block: int,
    progress: Progress,
) -> Result:
    """Ask a k-d tree for more and more windows until k of them keep the limit."""
    exact = keys.astype(np.float64)
    tree = cKDTree(exact)
    indices, distances = _empty(len(anchors), k)
    for start in range(0, len(anchors), block):
        rows = np.arange(start, min(start + block, len(anchors)))
        asked = min(len(keys), 4 * k * limit)
        while len(rows):
            near = tree.query(exact[anchors[rows]], asked)[1].reshape(len(rows), asked)
            unfinished = []
            for row, candidates in zip(rows, near, strict=True):
                anchor = anchors[row]
                chosen, away = _select(exact, labels, anchor, candidates, k, limit)
                if len(chosen) < k and asked < len(keys):
                    unfinished.append(row)
                else:
                    indices[row, : len(chosen)], distances[row, : len(chosen)] = chosen, away
            rows = np.array(unfinished, dtype=np.int64)
            asked = min(len(keys), 4 * asked)
        progress(min(start + block, len(anchors)), len(anchors))
    return indices, distances


def _by_products(
    keys: NDArray[np.float32],
    k: int,
    labels: NDArray[np.int64],
    limit: int,
    anchors: NDArray[np.int64],
    block: int,
    progress: Progress,
) -> Result:
    """Blocked matrix products in float32 find the candidates, float64 decides among them.

    One product gives s = |b|^2 / 2 - a.b = (|a - b|^2 - |a|^2) / 2 for all windows b of an anchor a. Its
    rounding error is bounded, so every window that could be among the k nearest is a candidate and the result
    is exact.
    """
    order = np.argsort(
        labels, kind="stable"
    )  # episodes side by side, so that the nearest of each is one reduction
    labels_sorted = labels[order]
    starts = np.flatnonzero(np.r_[True, labels_sorted[1:] != labels_sorted[:-1]])
    exact = (keys - keys.mean(axis=0, dtype=np.float64))[
        order
    ]  # centred: smaller norms, smaller rounding errors
    half = 0.5 * np.einsum("np,np->n", exact, exact)
    right = np.ascontiguousarray(np.c_[exact, half].T, dtype=np.float32)
    left = np.c_[-exact, np.ones(len(exact))].astype(np.float32)
    norms = np.sqrt(2 * half)
    unit = (keys.shape[1] + 4) * np.finfo(np.float32).eps
    errors = unit * (norms * norms.max() + 2 * half.max())  # of s, per anchor, worst case
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))

    indices, distances = _empty(len(anchors), k)
    rows_at_once = max(1, min(block, len(anchors), _BLOCK_NUMBERS // len(keys)))
    products = np.empty((rows_at_once, len(keys)), dtype=np.float32)
    for start in range(0, len(anchors), rows_at_once):
        places = position[anchors[start : start + rows_at_once]]
        scores = np.matmul(left[places], right, out=products[: len(places)])
        bounds = _kth_score(scores, starts, k, limit) + 2 * errors[places]
        for row, (place, score, bound) in enumerate(zip(places, scores, bounds, strict=True), start):
            candidates = np.flatnonzero(score <= bound)
            chosen, away = _select(exact, labels_sorted, place, candidates, k, limit)
            indices[row, : len(chosen)], distances[row, : len(chosen)] = order[chosen], away
        progress(min(start + rows_at_once, len(anchors)), len(anchors))
    return indices, distances


def _kth_score(
    scores: NDArray[np.float32], starts: NDArray[np.int64], k: int, limit: int
) -> NDArray[np.float64]:
    """For each row of scores (B, N), a value that the k-th nearest within the limit does not exceed, (B,).

    The nearest windows of k different episodes are one admissible choice; with fewer episodes the `limit`
    nearest windows of each are needed.
    """
    if len(starts) >= k:
        best = np.minimum.reduceat(scores, starts, axis=1)
    else:
        parts = np.split(scores, starts[1:], axis=1)
        best = np.concatenate(
            [np.partition(part, min(limit, part.shape[1]) - 1, axis=1)[:, :limit] for part in parts], axis=1
        )
    if best.shape[1] < k:
        return np.full(len(scores), np.inf)
    return np.partition(best, k - 1, axis=1)[:, k - 1].astype(np.float64)


def _select(
    exact: NDArray[np.float64],
    labels: NDArray[np.int64],
    anchor: int,
    candidates: NDArray[np.int64],
    k: int,
    limit: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k nearest of the candidates and the anchor, at most `limit` of each label, and their distances."""
    candidates = np.concatenate([[anchor], candidates[candidates != anchor]])
    difference = exact[candidates] - exact[anchor]
    squares = np.einsum("cp,cp->c", difference, difference)
    candidates_by_distance = np.argsort(
        squares, kind="stable"
    )  # stable: the anchor stays before its duplicates
    sorted_labels = labels[candidates[candidates_by_distance]]
    if limit == 1:
        allowed = np.sort(np.unique(sorted_labels, return_index=True)[1])
    else:
        by_label = np.argsort(sorted_labels, kind="stable")
        run = sorted_labels[by_label]
        first = np.searchsorted(run, run)  # where the run of equal labels begins
        allowed = np.sort(by_label[np.arange(len(run)) - first < limit])
    chosen = candidates_by_distance[allowed[:k]]
    return candidates[chosen], np.sqrt(squares[chosen])


def _empty(rows: int, k: int) -> Result:
    return np.full((rows, k), -1, dtype=np.int64), np.full((rows, k), np.inf)


def _check(
    keys: NDArray[np.float32],
    k: int,
    groups: NDArray[np.int64],
    limit: int,
    anchors: NDArray[np.int64],
    block: int,
) -> None:
    if keys.ndim != 2 or 0 in keys.shape:
        raise ValueError(f"keys have shape {keys.shape}, expected (windows, dimensions), both at least 1")
    if groups.shape != (len(keys),):
        raise ValueError(f"groups have shape {groups.shape}, expected ({len(keys)},)")
    if min(k, limit, block) < 1:
        raise ValueError(f"k = {k}, max_per_group = {limit}, block = {block}: expected at least 1 each")
    if anchors.ndim != 1 or (len(anchors) and (anchors.min() < 0 or anchors.max() >= len(keys))):
        raise ValueError(f"anchors: expected indices from 0 to {len(keys) - 1}")
    finite = np.isfinite(keys).all(axis=1)
    if not finite.all():
        raise DataError(f"keys: window {int(np.flatnonzero(~finite)[0])} is not finite")
