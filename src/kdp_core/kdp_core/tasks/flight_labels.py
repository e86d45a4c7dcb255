"""What the flight scorer learns: how much a window shortens the way round the poles.

The distance as the crow flies leads into dead ends. While training the world is known, so the label uses the
cost-to-go of the whole world; the scorer learns to tell it from what the planner sees. Contact is left to the
task's cost, which is exact: a scorer that learns both resolves neither.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kdp_core.sim.arena import Arena
from kdp_core.sim.eikonal import interpolate
from kdp_core.sim.flight_expert import CELL_M, ExpertOptions, FlightExpert
from kdp_core.windows import WindowBatch

CHUNK_WORLDS = 64
LARGEST_PROGRESS_M = 3.0
END_SHARE = (
    0.5  # the rest is the mean over the window: by its end alone a plan may dawdle, and be put off for ever
)
POSITION, GOAL, POLES = slice(0, 3), slice(3, 6), slice(6, None)


class FlightLabels:
    """Labels of windows from the worlds of a batch, whose extras hold position, goal and poles (N, 6 + 3 P).

    Odd scenes are mirror images (y to -y) of the even ones before them, and share their field.
    """

    def __init__(self, batch: WindowBatch, progress: Callable[[int, int], None] | None = None) -> None:
        scenes, first = np.unique(batch.scene, return_index=True)
        even = scenes % 2 == 0
        self._row = {int(scene) // 2: row for row, scene in enumerate(scenes[even])}
        arenas = [_arena(batch.extras[i]) for i in first[even]]
        fields = []
        options = ExpertOptions(roughness=0.0)
        for start in range(0, len(arenas), CHUNK_WORLDS):
            part = arenas[start : start + CHUNK_WORLDS]
            fields.append(FlightExpert(part, 1, np.random.default_rng(0), options).fields)
            if progress is not None:
                progress(min(start + CHUNK_WORLDS, len(arenas)), len(arenas))
        self._fields = np.concatenate(fields)
        self._shift = np.array([0.0, 0.5 * arenas[0].size[1]])

    def labels(self, windows: np.ndarray, conditions: WindowBatch) -> np.ndarray:
        """Windows (N, M, H, 9) under N conditions to (N, M): progress on the way round the poles, m."""
        extras, scene = conditions.extras, conditions.scene
        paths = extras[:, None, None, POSITION] + windows[..., :3]
        row = np.array([self._row[s // 2] for s in scene])
        mirror = np.where(scene % 2, -1.0, 1.0)
        n, m = paths.shape[:2]
        start, rows = extras[:, POSITION][:, :2].copy(), paths[..., :2].copy()
        start[:, 1] *= mirror
        rows[..., 1] *= mirror[:, None, None]
        before = interpolate(self._fields, row, start + self._shift, CELL_M)[:, None]
        points = rows.reshape(-1, 2) + self._shift
        after = interpolate(self._fields, np.repeat(row, len(points) // n), points, CELL_M).reshape(n, m, -1)
        left = END_SHARE * after[..., -1] + (1.0 - END_SHARE) * after.mean(axis=-1)
        progress = np.clip(before - left, -LARGEST_PROGRESS_M, LARGEST_PROGRESS_M)
        height = np.abs(paths[:, :, -1, 2] - extras[:, None, GOAL.start + 2])
        value: np.ndarray = progress - height
        return value


def _arena(extras: np.ndarray) -> Arena:
    poles = extras[POLES].reshape(-1, 3).astype(np.float64)
    goal = extras[GOAL].astype(np.float64)
    return Arena(poles[poles[:, 0] > 0.0], goal, goal)
