"""Recorded maze episodes to windows whose goals are told in hindsight: where the point came to later on.

A window follows the recording from row t to row t + tau; the position there is its goal, and it holds there
(no velocity, no action) until its end. Half of the windows go as far as the recording and the horizon let
them, the others have a random tau, so that plans near their goal arrive and stay instead of putting it off
until the last row. Journeys of mazes with loops have windows from their first row on, where the routes part,
and all as far as possible: what follows a start and a goal is then what the collector would do, nothing else.
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
JOURNEY_OFFSET_ROWS = 64
"""The same in a journey: its first window is the one that matters."""
AS_FAR_AS_POSSIBLE = 0.5
"""Share of the windows whose goal is as far along the recording as possible."""


def maze_windows(episode: Episode, spec: Spec, journeys: bool = False) -> WindowBatch:
    """Windows of one episode that goes to one goal; ``journeys``: from its start to its goal.

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
    if journeys:
        rows = np.arange(0, last, JOURNEY_OFFSET_ROWS)
    else:
        rows = np.arange(int(rng.integers(min(OFFSET_ROWS, last))), last, OFFSET_ROWS)
    n, horizon = len(rows), spec.horizon
    farthest = last - rows if horizon == 1 else np.minimum(last - rows, horizon - 1)
    far = rng.random(n) < (1.0 if journeys else AS_FAR_AS_POSSIBLE)
    tau = np.where(far, farthest, rng.integers(1, farthest + 1))
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
