"""For every anchor condition its nearest data windows in key space, drawn as training batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from kdp_core.bank import neighbours as nearest


class Neighbourhood:
    """Nearest windows of every anchor: index (A, k) and log weights log w_ij = -d / tau_kappa, normalised.

    ``scenes`` (N,) limits the search to windows of the same scene (world): windows of another world share no
    obstacles and are far in any sensible key, and the search stays small. At most one window of each group is
    a neighbour, so k is no larger than the groups (of a scene) are many.
    """

    def __init__(
        self,
        keys: np.ndarray,
        group: np.ndarray,
        scenes: np.ndarray | None,
        k: int,
        key_temperature: float,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        n = len(keys)
        k = min(k, _most_groups(group, scenes))
        index = np.full((n, k), -1, np.int64)
        distance = np.full((n, k), np.inf, np.float32)
        if scenes is None:
            index[:], distance[:] = nearest(keys, k, group)
        else:
            order = np.argsort(scenes, kind="stable")
            bounds = np.flatnonzero(np.diff(scenes[order])) + 1
            parts = np.split(order, bounds)
            for number, part in enumerate(parts):
                index[part], distance[part] = _nearest_in_scene(keys[part], group[part], part, k)
                if progress is not None and number % 256 == 0:
                    progress(number / len(parts))
        self.keys = torch.from_numpy(keys)
        missing = index < 0
        self.index = torch.from_numpy(np.where(missing, index[:, :1], index))
        weights = np.where(missing, -np.inf, -distance / key_temperature)
        self.log_weights = torch.log_softmax(torch.from_numpy(weights.astype(np.float32)), dim=1)

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw n anchors: their rows (n,), neighbours (n, k) and log weights (n, k)."""
        anchors = torch.randint(len(self.keys), (n,), generator=generator)
        return anchors, self.index[anchors], self.log_weights[anchors]


def _most_groups(group: np.ndarray, scenes: np.ndarray | None) -> int:
    """Number of groups, or of the groups of the scene that has most of them."""
    if scenes is None:
        return len(np.unique(group))
    pairs = np.unique(np.stack([scenes, group], axis=1), axis=0)
    return int(np.unique(pairs[:, 0], return_counts=True)[1].max())


def _nearest_in_scene(
    keys: np.ndarray, group: np.ndarray, rows: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Brute force inside one scene, at most one window per group, the anchor itself for its own group."""
    squares = (keys * keys).sum(axis=1)
    distance = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2.0 * keys @ keys.T, 0.0))
    np.fill_diagonal(distance, -1.0)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
    ordered = distance[:, order]
    best = np.minimum.reduceat(ordered, starts, axis=1)
    ends = np.r_[starts[1:], len(order)]
    which = np.stack([s + ordered[:, s:e].argmin(axis=1) for s, e in zip(starts, ends, strict=True)], axis=1)
    index = np.full((len(keys), k), -1, np.int64)
    found = np.full((len(keys), k), np.inf, np.float32)
    count = min(k, best.shape[1])
    chosen = np.argsort(best, axis=1, kind="stable")[:, :count]
    index[:, :count] = rows[order[np.take_along_axis(which, chosen, axis=1)]]
    found[:, :count] = np.maximum(np.take_along_axis(best, chosen, axis=1), 0.0)
    return index, found
