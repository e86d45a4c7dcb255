"""Recorded maze episodes to windows whose goals are told in hindsight: where the point came to later on.

A window follows the recording from row t to row t + tau; the position there is its goal, and it holds there
(no velocity, no action) until its end. Half of the windows go as far as the recording and the horizon let
them, the others have a random tau, so that plans near their goal arrive and stay instead of putting it off
until the last row.
"""

from __future__ import annotations

import zlib

import numpy as np

from kdp_core.datasets.episodes import Episode
from kdp_core.exceptions import DataError
from kdp_core.spec import Spec
from kdp_core.tasks.maze_labels import time_at_goal
from kdp_core.windows import WindowBatch

OFFSET_ROWS = 16
"""Recorded rows between the beginnings of two windows."""
AS_FAR_AS_POSSIBLE = 0.5
"""Share of the windows whose goal is as far along the recording as possible."""


def maze_windows(episode: Episode, spec: Spec) -> WindowBatch:
    """Windows of one episode that goes to one goal.

    Observations (T or T + 1, 4) as x, y, vx, vy; actions (T, 2). Random numbers are seeded by the episode's
    content. The value is the discounted share of the rows within 0.5 m of the window's goal.
    """
    observations, actions = episode.channels().get("observations"), episode.actions
    if observations is None or observations.shape[1:] != (4,) or actions.shape[1:] != (2,):
        found = {name: array.shape for name, array in episode.channels().items()}
        raise DataError(
            f"maze episode: observations (T, 4) as x, y, vx, vy and actions (T, 2) expected, "
            f"got {found} and {actions.shape}"
        )
    last = len(actions) - 1
    rng = np.random.default_rng(zlib.crc32(observations.tobytes()))
    rows = np.arange(int(rng.integers(min(OFFSET_ROWS, last))), last, OFFSET_ROWS)
    n, horizon = len(rows), spec.horizon
    farthest = last - rows if horizon == 1 else np.minimum(last - rows, horizon - 1)
    tau = np.where(rng.random(n) < AS_FAR_AS_POSSIBLE, farthest, rng.integers(1, farthest + 1))
    steps = np.arange(horizon)
    index = rows[:, None] + np.minimum(steps, tau[:, None])
    held = steps > tau[:, None]
    windows = np.concatenate([observations[index], actions[index]], axis=-1).astype(np.float32)
    windows[..., 2:][held] = 0.0
    goal = observations[rows + tau, :2].astype(np.float32)
    return WindowBatch(
        windows=windows,
        state=observations[rows].astype(np.float32),
        context=goal,
        group=np.zeros(n, np.int64),
        scene=np.full(n, -1, np.int64),
        value=time_at_goal(windows[..., :2], goal).astype(np.float32),
        extras=np.zeros((n, 0), np.float32),
    )
