"""Recorded flights to training windows: what the planner would have seen, and what the expert then did."""

from __future__ import annotations

import numpy as np

from kdp_core.datasets.episodes import Episode
from kdp_core.exceptions import DataError
from kdp_core.spec import Spec
from kdp_core.tasks.flight_geometry import CLEARANCE_CAP_M, GRID_OFFSETS_M, clearance
from kdp_core.windows import WindowBatch, concatenate

MAX_POLES = 24
WINDOW_OFFSET_ROWS = 8
NO_POLE = (-100.0, -100.0, 0.01)
OBSERVATION = ("position (3) m", "velocity (3) m/s", "goal (3) m")
MIRROR = np.array([1.0, -1.0, 1.0], np.float32)


def flight_windows(episode: Episode, spec: Spec) -> WindowBatch:
    """Windows of one flight at every eighth row, and their mirror images across the x axis.

    The episode's observations are (T+1, 9) as in OBSERVATION, its actions (T, 3) world-frame velocity
    commands one window row apart, its options hold ``poles`` (P, 3) and the numbers ``world`` and ``branch``.
    ``group`` of the result is left 0; the caller numbers the episodes.
    """
    observations, actions = episode.channels().get("observations"), episode.actions
    if observations is None or observations.ndim != 2 or observations.shape[1] != 9 or actions.shape[1] != 3:
        raise DataError(
            f"flight episode: observations must be (T+1, 9) as {', '.join(OBSERVATION)} and actions (T, 3), "
            f"got {None if observations is None else observations.shape} and {actions.shape}"
        )
    poles = np.asarray(episode.options.get("poles", np.zeros((0, 3))), np.float32).reshape(-1, 3)
    if len(poles) > MAX_POLES:
        raise DataError(f"flight episode: options.poles has {len(poles)} poles, expected at most {MAX_POLES}")
    rows = np.arange(0, len(actions) - spec.horizon + 1, WINDOW_OFFSET_ROWS)
    position, velocity, goal = observations[:, :3], observations[:, 3:6], observations[:, 6:]
    steps = rows[:, None] + np.arange(spec.horizon)
    start = position[rows]
    windows = np.concatenate([position[steps] - start[:, None], velocity[steps], actions[steps]], axis=-1)
    cells = clearance(start[:, None, :2] + GRID_OFFSETS_M, poles)
    grid = np.clip(cells, -CLEARANCE_CAP_M, CLEARANCE_CAP_M)
    padded = np.tile(np.array(NO_POLE, np.float32), (MAX_POLES, 1))
    padded[: len(poles)] = poles
    n = len(rows)
    world = int(episode.options.get("world", -1))
    batch = WindowBatch(
        windows=windows.astype(np.float32),
        state=np.concatenate([np.zeros((n, 3)), velocity[rows]], axis=1).astype(np.float32),
        context=np.concatenate([goal[rows] - start, grid], axis=1).astype(np.float32),
        group=np.zeros(n, np.int64),
        scene=np.full(n, 2 * world if world >= 0 else -1, np.int64),
        value=-np.linalg.norm(position[steps[:, -1]] - goal[rows], axis=-1).astype(np.float32),
        extras=np.concatenate([start, goal[rows], np.tile(padded.reshape(-1), (n, 1))], axis=1).astype(
            np.float32
        ),
    )
    return concatenate([batch, _mirrored(batch)])


def _mirrored(batch: WindowBatch) -> WindowBatch:
    """The same windows seen in a mirror (y to -y); their scene gets the odd number."""
    n, h, _ = batch.windows.shape
    side = int(np.sqrt(len(GRID_OFFSETS_M)))
    grid = batch.context[:, 3:].reshape(n, side, side)[:, :, ::-1].reshape(n, -1)
    poles = batch.extras[:, 6:].reshape(n, -1, 3) * MIRROR
    return WindowBatch(
        windows=(batch.windows.reshape(n, h, 3, 3) * MIRROR).reshape(n, h, 9),
        state=(batch.state.reshape(n, 2, 3) * MIRROR).reshape(n, 6),
        context=np.concatenate([batch.context[:, :3] * MIRROR, grid], axis=1),
        group=batch.group,
        scene=np.where(batch.scene >= 0, batch.scene + 1, -1),
        value=batch.value,
        extras=np.concatenate(
            [batch.extras[:, :3] * MIRROR, batch.extras[:, 3:6] * MIRROR, poles.reshape(n, -1)], axis=1
        ),
    )
