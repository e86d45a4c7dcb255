"""Draw the simulated table with its primitives in perspective, shaded, with shadows; no OpenGL needed.

MuJoCo's own renderer wants EGL, OSMesa or a display, which a fresh machine may not have. The faces of boxes,
cylinders and capsules are projected here and painted from far to near.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from numpy.typing import NDArray

from kdp_core.sim.so100 import Shape

TABLE, GRID, SHADOW = "#eceff2", "#d9dee4", "#b9c1cb"
LIGHT = np.array([0.45, -0.35, 1.0])
SIDES = 18


@dataclass(frozen=True)
class Camera:
    """Looks from `eye` to `target`, z up, m; `zoom`: picture units per tangent."""

    eye: tuple[float, float, float] = (0.62, -0.52, 0.46)
    target: tuple[float, float, float] = (0.13, 0.0, 0.06)
    zoom: float = 1.0

    def project(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points (…, 3) to the picture (…, 2), x right and y up, and their depth (…) m."""
        seen = (np.asarray(points) - self.eye) @ self._axes
        return self.zoom * seen[..., :2] / seen[..., 2:], seen[..., 2]

    @cached_property
    def _axes(self) -> NDArray[np.float64]:
        """Right, up and ahead as columns."""
        ahead = np.subtract(self.target, self.eye)
        right = np.cross(ahead, [0.0, 0.0, 1.0])
        up = np.cross(right, ahead)
        return np.stack([v / np.linalg.norm(v) for v in (right, up, ahead)], axis=-1)


def faces(shape: Shape) -> list[NDArray[np.float64]]:
    """The outside of a primitive as polygons (corners, 3) in the world, m."""
    local = {"box": _box, "cylinder": _cylinder, "capsule": _capsule}[shape.kind](shape.size)
    return [shape.position + polygon @ shape.rotation.T for polygon in local]


def draw_table(axes: Axes, camera: Camera, low: Sequence[float], high: Sequence[float]) -> None:
    """The table top between two corners (x, y), with a grid of 5 cm."""
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    flat, _ = camera.project(np.column_stack([corners, np.zeros(4)]))
    axes.add_collection(PolyCollection([flat], facecolors=TABLE, edgecolors="none", zorder=0))
    lines = [[[x, low[1], 0.0], [x, high[1], 0.0]] for x in np.arange(low[0], high[0] + 1e-9, 0.05)] + [
        [[low[0], y, 0.0], [high[0], y, 0.0]] for y in np.arange(low[1], high[1] + 1e-9, 0.05)
    ]
    grid = [camera.project(np.array(line))[0] for line in lines]
    axes.add_collection(LineCollection(grid, colors=GRID, linewidths=0.5, zorder=0.1))


def draw_shapes(axes: Axes, camera: Camera, shapes: Sequence[Shape]) -> None:
    """All primitives, with their shadows on the table."""
    polygons = [(polygon, shape.rgba) for shape in shapes for polygon in faces(shape)]
    light = LIGHT / np.linalg.norm(LIGHT)
    shadows = [p - p[:, 2:] / light[2] * light for p, _ in polygons]
    flat = [camera.project(p)[0] for p in shadows]
    axes.add_collection(
        PolyCollection(flat, facecolors=SHADOW, edgecolors=SHADOW, linewidths=0.3, zorder=0.2)
    )
    eye, painted = np.array(camera.eye), []
    for polygon, rgba in polygons:
        normal = np.cross(polygon[1] - polygon[0], polygon[2] - polygon[1])
        size = float(np.linalg.norm(normal))
        if size == 0.0 or normal @ (eye - polygon[0]) <= 0.0:  # seen from behind
            continue
        shade = 0.55 + 0.45 * max(0.0, float(normal @ light) / size)
        picture, depth = camera.project(polygon)
        painted.append((float(depth.mean()), picture, np.clip(shade * rgba[:3], 0.0, 1.0)))
    painted.sort(key=lambda item: -item[0])
    axes.add_collection(
        PolyCollection(
            [picture for _, picture, _ in painted],
            facecolors=[colour for *_, colour in painted],
            edgecolors=[colour for *_, colour in painted],
            linewidths=0.3,
            zorder=1,
        )
    )


def draw_paths(
    axes: Axes,
    camera: Camera,
    paths: NDArray[np.floating],
    color: str,
    width: float,
    alpha: float = 1.0,
    zorder: float = 2.0,
) -> None:
    """Paths (n, H, 3) m as lines over everything."""
    lines = list(camera.project(np.asarray(paths, dtype=np.float64))[0])
    axes.add_collection(
        LineCollection(lines, colors=color, linewidths=width, alpha=alpha, zorder=zorder, capstyle="round")
    )


def circle(centre: Sequence[float], radius: float) -> NDArray[np.float64]:
    """A circle (n, 3) parallel to the table, m."""
    angle = np.linspace(0.0, 2.0 * np.pi, 40)
    return np.stack(
        [
            centre[0] + radius * np.cos(angle),
            centre[1] + radius * np.sin(angle),
            np.full(40, centre[2]),
        ],
        axis=-1,
    )


def _box(size: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Six faces, each cut in nine, so that sorting by depth works beside large neighbours."""
    polygons = []
    steps = np.linspace(-1.0, 1.0, 4)
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for side in (-1.0, 1.0):
            for a0, a1 in itertools.pairwise(steps):
                for b0, b1 in itertools.pairwise(steps):
                    corners = np.zeros((4, 3))
                    corners[:, axis] = side
                    corners[:, u], corners[:, v] = (a0, a1, a1, a0), (b0, b0, b1, b1)
                    polygons.append((corners if side > 0 else corners[::-1]) * size)
    return polygons


def _rings(radii: Sequence[float], heights: Sequence[float]) -> list[NDArray[np.float64]]:
    """Quadrilaterals between circles about z, from low to high."""
    angle = np.linspace(0.0, 2.0 * np.pi, SIDES + 1)
    rings = [
        np.stack([r * np.cos(angle), r * np.sin(angle), np.full(SIDES + 1, z)], axis=-1)
        for r, z in zip(radii, heights, strict=True)
    ]
    polygons = []
    for low, high in itertools.pairwise(rings):
        for i in range(SIDES):
            polygon = np.array([low[i], low[i + 1], high[i + 1], high[i]])
            polygons.append(polygon[1:] if np.allclose(low[i], low[i + 1]) else polygon)
    return polygons


def _cylinder(size: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    radius, half = float(size[0]), float(size[1])
    body = _rings([radius] * 4, np.linspace(-half, half, 4).tolist())
    angle = np.linspace(0.0, 2.0 * np.pi, SIDES + 1)[:-1]
    cap = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(SIDES, half)], axis=-1)
    return [*body, cap, (cap * [1.0, 1.0, -1.0])[::-1]]


def _capsule(size: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    radius, half = float(size[0]), float(size[1])
    bend = np.linspace(-0.5 * np.pi, 0.0, 4)
    radii = [*(radius * np.cos(bend)), radius, radius, *(radius * np.cos(bend[::-1]))]
    heights = [
        *(-half + radius * np.sin(bend)),
        -half / 3.0,
        half / 3.0,
        *(half - radius * np.sin(bend[::-1])),
    ]
    return _rings(radii, heights)
