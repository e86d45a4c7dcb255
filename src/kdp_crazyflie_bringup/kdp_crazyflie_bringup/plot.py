# SPDX-License-Identifier: GPL-3.0-or-later
"""Picture of flights from above: poles, flown path, planned windows at some instants, start and goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no display needed, and none opened

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle

from kdp_core.sim.arena import Arena
from kdp_crazyflie_bringup.scoring import FlightResult
from kdp_planner_ros.operator_client import PlanSnapshot

INK, FAINT, FLOOR = "#1d2733", "#c9d1d9", "#f7f8fa"
POLE, FLOWN, CHOSEN, CANDIDATE = "#39424e", "#0b6bcb", "#e4572e", "#f0a35e"
START, GOAL = "#0b6bcb", "#1a9e5c"
INSTANTS = 6  # plans shown per flight
TOLERANCE_M = 0.2


@dataclass(frozen=True)
class Picture:
    """One panel."""

    arena: Arena
    result: FlightResult
    snapshots: Sequence[PlanSnapshot]


def save_flights(pictures: Sequence[Picture], path: Path, title: str) -> Path:
    """Write a PNG with one panel per flight; returns `path`."""
    columns = min(len(pictures), 3)
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(5.6 * columns, 4.15 * rows + 0.9), squeeze=False, layout="constrained"
    )
    for axis, picture in zip(axes.flat, pictures, strict=False):
        _panel(axis, picture)
    for axis in axes.flat[len(pictures) :]:
        axis.set_visible(False)
    figure.suptitle(title, color=INK, fontsize=11 if columns == 1 else 13, fontweight="bold")
    figure.legend(
        handles=_legend(),
        loc="outside lower center",
        ncols=3 if columns == 1 else 6,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, facecolor="white")
    plt.close(figure)
    return path


def _panel(axis: Axes, picture: Picture) -> None:
    arena, result = picture.arena, picture.result
    length, width = arena.size[0], arena.size[1]
    box = Rectangle((0, -width / 2), length, width, facecolor=FLOOR, edgecolor=INK, linewidth=1.2, zorder=0)
    axis.add_patch(box)
    for x, y, radius in arena.poles:
        axis.add_patch(
            Circle((x, y), radius + arena.drone_radius, color=FAINT, alpha=0.45, linewidth=0, zorder=1)
        )
        axis.add_patch(Circle((x, y), radius, facecolor=POLE, edgecolor="none", zorder=6))
    _plans(axis, picture)
    path = np.array(result.path).reshape(-1, 4)
    axis.plot(path[:, 1], path[:, 2], color="white", linewidth=4.2, zorder=4, solid_capstyle="round")
    axis.plot(path[:, 1], path[:, 2], color=FLOWN, linewidth=2.4, zorder=5, solid_capstyle="round")
    axis.add_patch(Circle(arena.goal[:2], TOLERANCE_M, facecolor=GOAL, alpha=0.2, edgecolor=GOAL, zorder=2))
    axis.plot(*arena.goal[:2], marker="*", color=GOAL, markersize=13, zorder=8, markeredgecolor="white")
    axis.plot(*arena.start[:2], marker="o", color=START, markersize=8, zorder=8, markeredgecolor="white")
    axis.set(xlim=(-0.12, length + 0.12), ylim=(-width / 2 - 0.12, width / 2 + 0.12), aspect="equal")
    axis.set_xlabel("x, m", color=INK, fontsize=9)
    axis.set_ylabel("y, m", color=INK, fontsize=9)
    axis.tick_params(colors=INK, labelsize=8, length=3)
    for spine in axis.spines.values():
        spine.set_visible(False)
    outcome = f"goal in {result.tts_s:.1f} s" if result.success else result.reason
    axis.set_title(f"world {result.seed}: {outcome}", color=INK if result.success else CHOSEN, fontsize=11)


def _plans(axis: Axes, picture: Picture) -> None:
    """All K candidates faint, the chosen one strong, at instants that lie evenly along the way."""
    usable = [s for s in picture.snapshots if s.index >= 0 and len(s.paths)]
    if not usable:
        return
    x = np.array([s.paths[s.index, 0, 0] for s in usable])
    wanted = np.linspace(picture.arena.start[0], picture.arena.goal[0], INSTANTS + 1)[:-1]
    for index in sorted({int(np.argmin(np.abs(x - value))) for value in wanted}):
        snapshot = usable[index]
        lines = LineCollection(
            list(snapshot.paths[:, :, :2]), colors=CANDIDATE, linewidths=0.7, alpha=0.28, zorder=2
        )
        axis.add_collection(lines)
        lines.set_clip_path(axis.patches[0])  # plans may leave the arena, the picture of it need not
        chosen = snapshot.paths[snapshot.index]
        axis.plot(chosen[:, 0], chosen[:, 1], color=CHOSEN, linewidth=1.7, zorder=7, solid_capstyle="round")
        axis.plot(chosen[0, 0], chosen[0, 1], "o", color=CHOSEN, markersize=3.5, zorder=7)


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color=FLOWN, linewidth=2.4, label="flown (truth)"),
        Line2D([], [], color=CHOSEN, linewidth=1.7, marker="o", markersize=3.5, label="chosen window"),
        Line2D([], [], color=CANDIDATE, linewidth=1.0, alpha=0.6, label="all K windows"),
        Line2D([], [], color=POLE, marker="o", markersize=8, linewidth=0, label="pole, + drone radius"),
        Line2D([], [], color=START, marker="o", markersize=8, linewidth=0, label="start"),
        Line2D([], [], color=GOAL, marker="*", markersize=12, linewidth=0, label="goal, 0.2 m"),
    ]
