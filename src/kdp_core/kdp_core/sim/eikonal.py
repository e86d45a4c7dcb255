"""Cost-to-go on a grid by the eikonal equation |grad T| = cost, for many fields at once (numpy).

First-order upwind scheme of Rouy and Tourin (1992), iterated to its fixed point over whole arrays: a front
crosses one cell per sweep, so it suits many small grids better than a heap per grid does.
"""

from __future__ import annotations

import numpy as np

FAR = np.float32(1e6)


def cost_to_go(
    cost: np.ndarray, goal: np.ndarray, cell_m: float, chunk: int = 48, max_sweeps: int = 400
) -> np.ndarray:
    """Smallest cost from every cell to the goal.

    Args:
        cost: (N, X, Y) positive cost per metre at the cells' centres.
        goal: (N, 2) goals in metres, the grid's corner being (0, 0).
        cell_m: side of a cell, m.
        chunk: fields that are solved together (fits the cache).
        max_sweeps: bound on the number of sweeps; winding paths need more than straight ones.

    Returns:
        (N, X, Y) float32.
    """
    cost = np.asarray(cost, np.float32)
    result = np.empty_like(cost)
    centres = [(np.arange(n, dtype=np.float32) + 0.5) * cell_m for n in cost.shape[1:]]
    for start in range(0, len(cost), chunk):
        part = slice(start, start + chunk)
        distance = np.hypot(
            centres[0][None, :, None] - goal[part, 0, None, None],
            centres[1][None, None, :] - goal[part, 1, None, None],
        ).astype(np.float32)
        known = distance < 1.5 * cell_m
        result[part] = _solve(
            cost[part] * np.float32(cell_m), np.where(known, distance * cost[part], FAR), max_sweeps
        )
    return result


def _solve(step: np.ndarray, initial: np.ndarray, max_sweeps: int) -> np.ndarray:
    n, n_x, n_y = step.shape
    padded = np.full((n, n_x + 2, n_y + 2), FAR, np.float32)
    inner = padded[:, 1:-1, 1:-1]
    inner[:] = initial
    for sweep in range(max_sweeps):
        a = np.minimum(padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
        b = np.minimum(padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
        difference = a - b
        low = np.minimum(a, b)
        root = 2.0 * step * step - difference * difference
        both = 0.5 * (a + b + np.sqrt(np.maximum(root, 0.0)))
        update = np.where(np.abs(difference) < step, both, low + step)
        np.minimum(update, initial, out=update)
        if sweep % 10 == 9 and not (update < inner - 1e-4).any():
            break
        np.minimum(inner, update, out=inner)
    return inner.copy()


def interpolate(field: np.ndarray, index: np.ndarray, points: np.ndarray, cell_m: float) -> np.ndarray:
    """Bilinear values of ``field[index]`` at points (M, 2) m, clamped to the grid.

    field: (N, X, Y); index: (M,). Returns (M,).
    """
    n_x, n_y = field.shape[1:]
    u = np.clip(points[:, 0] / cell_m - 0.5, 0.0, n_x - 1.001)
    v = np.clip(points[:, 1] / cell_m - 0.5, 0.0, n_y - 1.001)
    i, j = u.astype(int), v.astype(int)
    s, t = u - i, v - j
    below = (1 - s) * field[index, i, j] + s * field[index, i + 1, j]
    above = (1 - s) * field[index, i, j + 1] + s * field[index, i + 1, j + 1]
    mixed: np.ndarray = (1 - t) * below + t * above
    return mixed
