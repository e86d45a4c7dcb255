"""Recorded tabletop episodes to training windows, and what the scorer learns from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdp_core.datasets.episodes import Episode
from kdp_core.datasets.lerobot_format import ENVIRONMENT, STATE
from kdp_core.exceptions import DataError
from kdp_core.sim.so100_geometry import CUBE_M
from kdp_core.spec import Spec
from kdp_core.tasks.tabletop_features import features
from kdp_core.windows import WindowBatch

if TYPE_CHECKING:
    from kdp_core.tasks.tabletop import TabletopTask

OFFSET_ROWS = 3
"""Recorded frames between the beginnings of two windows."""
LABEL_SCALE = 0.5
"""Distance from the demonstration, in units of the windows' spread, at which a window is worth half."""
GETTING_ON = 0.7
"""Worth of making the whole demonstrated motion."""
TURN_RAD = 2 * np.pi
STILL = 0.2
"""Motion, in the same units, that is no more than waiting."""


def tabletop_windows(episode: Episode, task: TabletopTask) -> WindowBatch:
    """Windows of one episode recorded at the spec's rate.

    Observations: ``observation.state`` (T, 6) joints and ``observation.environment_state`` (T, 7 n + 3), the
    cubes' poses and the goal; actions (T, 6) joint targets. The last frame is repeated, so that windows near
    the end hold.
    """
    spec, channels = task.spec, episode.channels()
    joints, environment = channels.get(STATE), channels.get(ENVIRONMENT)
    if joints is None or environment is None or joints.shape[1:] != (6,) or episode.actions.shape[1] != 6:
        raise DataError(
            f"tabletop episode: expected '{STATE}' (T, 6), '{ENVIRONMENT}' (T, 7 n + 3) and actions (T, 6), "
            f"got {', '.join(f'{n} {a.shape}' for n, a in sorted(channels.items()))} "
            f"and actions {episode.actions.shape}"
        )
    cubes = 2 if task.name == "stack" else 1
    width = environment.shape[1]
    if width < 7 * cubes + 3 or (width - 3) % 7:
        raise DataError(
            f"tabletop episode: '{ENVIRONMENT}' has {width} numbers, expected 7 for each of at least {cubes} "
            "cubes and 3 for the goal"
        )
    joints, environment = joints.astype(np.float64), environment.astype(np.float64)
    largest = max(float(np.abs(joints).max()), float(np.abs(episode.actions).max()))
    if not largest <= TURN_RAD:
        raise DataError(
            f"tabletop episode: joints or actions up to {largest:g} rad, expected less than a turn; "
            "are they in another unit?"
        )
    goal = environment[:, -3:] if cubes == 1 else environment[:, 7:10] + np.array([0.0, 0.0, CUBE_M])
    rows = np.arange(0, len(episode.actions), OFFSET_ROWS)
    steps = np.minimum(rows[:, None] + spec.stride * np.arange(spec.horizon), len(episode.actions) - 1)
    n = len(rows)
    return WindowBatch(
        windows=np.concatenate([joints[steps], episode.actions[steps]], axis=-1).astype(np.float32),
        state=joints[rows].astype(np.float32),
        context=features(joints[rows], environment[rows, :7], goal[rows]).astype(np.float32),
        group=np.zeros(n, np.int64),
        scene=np.full(n, -1, np.int64),
        value=np.zeros(n, np.float32),
        extras=np.zeros((n, 0), np.float32),
    )


class TabletopLabels:
    """How near a window stays to what was demonstrated from this very condition, and whether it gets on.

    The nearness falls from 1 to 0 and saturates with the distance, so that a window between two ways of doing
    it is worth less than either. Getting on is the share of the demonstrated motion that the window makes:
    where demonstrations wait a little before they go on, the nearest window on average waits, and whoever
    replans from there waits for ever. The jaw counts as much as the other joints together.
    """

    def __init__(self, batch: WindowBatch, spec: Spec) -> None:
        relative = batch.windows - batch.windows[:, :1, :6].repeat(2, axis=-1)
        joints = np.array([1.0] * 5 + [2.0], np.float32)
        weight = np.tile(joints / joints.sum(), 2) / (2.0 * spec.horizon)
        self._scale = (np.sqrt(weight) / np.maximum(relative.std(axis=0), 0.01)).astype(np.float32)

    def labels(self, windows: np.ndarray, conditions: WindowBatch) -> np.ndarray:
        """Windows (N, M, H, 12) under N conditions to (N, M) values."""
        demonstrated = conditions.windows[:, None]
        start = np.tile(demonstrated[:, :, :1, :6], 2)
        off = (windows - demonstrated) * self._scale
        distance = np.sqrt(np.square(off).sum(axis=(-2, -1)))
        moved, motion = (windows - start) * self._scale, (demonstrated - start) * self._scale
        share = (moved * motion).sum(axis=(-2, -1)) / (np.square(motion).sum(axis=(-2, -1)) + STILL**2)
        value: np.ndarray = LABEL_SCALE / (LABEL_SCALE + distance) + GETTING_ON * np.clip(share, 0.0, 1.2)
        return value
