"""Geometry of flight through poles: clearances, their grid, and the cost of coming close.

Called at every control cycle on K windows, so coordinates lie in planes of their own (inner loops over
points) and the number of array operations is kept low.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Number = TypeVar("Number", float, np.ndarray)

GRID_CELLS = 11
GRID_STEP_M = 0.25
CLEARANCE_CAP_M = 0.75
DRONE_RADIUS_M = 0.10
FENCE_LOW_M = (0.0, -2.0, 0.0)
FENCE_HIGH_M = (6.0, 2.0, 2.0)

_offsets = (np.arange(GRID_CELLS) - GRID_CELLS // 2) * GRID_STEP_M
GRID_OFFSETS_M = np.stack(np.meshgrid(_offsets, _offsets, indexing="ij"), axis=-1).reshape(-1, 2)
_GRID_X_M, _GRID_Y_M = np.ascontiguousarray(GRID_OFFSETS_M.T)


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Rotate vectors (…, 3) by unit quaternions xyzw (…, 4)."""
    return np.stack(_rotated(*np.moveaxis(quaternion, -1, 0), *np.moveaxis(vector, -1, 0)), axis=-1)


def rotate_one(quaternion: np.ndarray, vector: np.ndarray) -> tuple[float, float, float]:
    """Rotate one vector (3,) by one unit quaternion xyzw (4,): ``rotate`` without NumPy's fixed costs."""
    return _rotated(*quaternion.tolist(), *vector.tolist())


def _rotated(
    x: Number, y: Number, z: Number, w: Number, a: Number, b: Number, c: Number
) -> tuple[Number, Number, Number]:
    # t = 2 q x v; v' = v + w t + q x t, written out because np.cross costs more than all the rest here
    t, u, v = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    return a + w * t + y * v - z * u, b + w * u + z * t - x * v, c + w * v + x * u - y * t


def clearance_planes(x: np.ndarray, y: np.ndarray, poles: np.ndarray) -> np.ndarray:
    """``clearance`` of points given as contiguous coordinates x (…) and y (…), m."""
    walls = np.minimum(
        np.minimum(x - FENCE_LOW_M[0], FENCE_HIGH_M[0] - x),
        np.minimum(y - FENCE_LOW_M[1], FENCE_HIGH_M[1] - y),
    )
    if poles.shape[-2]:
        # Poles first, so that the inner loops run over points; a sum's root is quicker than hypot.
        if poles.ndim == 2:
            px, py, radius = poles.T.reshape(3, -1, *[1] * x.ndim)
        else:
            px, py, radius = np.moveaxis(poles, (-1, -2), (0, 1))
        dx, dy = x - px, y - py
        dx *= dx
        dy *= dy
        dx += dy
        np.sqrt(dx, out=dx)
        dx -= radius
        np.minimum(walls, np.minimum.reduce(dx, axis=0), out=walls)
    walls -= DRONE_RADIUS_M
    return walls


def clearance(points: np.ndarray, poles: np.ndarray) -> np.ndarray:
    """Distance from the drone's surface to the nearest pole or fence wall, m.

    points: (…, 2 or 3) drone centres; poles: (P, 3) as x, y, radius, or (…, P, 3) broadcasting against
    points. Returns (…), negative in contact.
    """
    x, y = np.ascontiguousarray(points[..., 0]), np.ascontiguousarray(points[..., 1])
    return clearance_planes(x, y, poles)


def clearance_grid(position: np.ndarray, poles: np.ndarray) -> np.ndarray:
    """Clearance of the cells around the drone, (121,), x-major, capped to +-0.75 m."""
    cells = clearance_planes(position[0] + _GRID_X_M, position[1] + _GRID_Y_M, poles)
    return np.minimum(np.maximum(cells, -CLEARANCE_CAP_M), CLEARANCE_CAP_M)


def near(poles: np.ndarray, position: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The poles (P', 3) within a metre of where displacements ``moved`` (3, …) from ``position`` lead.

    The others cannot matter to the cost.
    """
    reach = 2.0**0.5 * max(float(moved.max()), -float(moved.min()))
    if not reach < np.inf:  # a window that is not finite reaches everywhere
        return poles
    away = poles[:, :2] - position[:2]
    away *= away
    return poles[np.sqrt(away[:, 0] + away[:, 1]) < poles[:, 2] + (reach + 1.0)]


@dataclass(frozen=True)
class FlightCosts:
    """Weights of the ranking cost (see ``FlightTask.costs``); margins in m, ``valid_rows`` in window rows."""

    margin_m: float = 0.12
    clearance: float = 8.0
    hit: float = 8.0
    distance: float = 1.0
    valid_rows: int = 12


def contact_cost(gap: np.ndarray, weights: FlightCosts | None = None) -> np.ndarray:
    """Clearances along paths (…, H), m, to the cost of coming close or hitting (…).

    Shortfall of clearance below the margin counts up to contact, so a plan deep inside an obstacle costs no
    more than ``clearance + hit``.
    """
    w = weights or FlightCosts()
    rows = gap.shape[-1]
    kept = np.minimum(np.maximum(gap, 0.0), w.margin_m)
    shortfall = 1.0 - np.add.reduce(kept, axis=-1) / (rows * w.margin_m)
    hits = np.count_nonzero(gap < 0.0, axis=-1) / rows
    cost: np.ndarray = w.clearance * shortfall + w.hit * hits
    return cost
