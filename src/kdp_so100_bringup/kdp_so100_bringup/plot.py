"""Picture strip of one episode: approach, grasp, carry, release, with the planned windows of each instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no display needed, and none opened

import matplotlib.pyplot as plt
import mujoco
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from kdp_core.sim.so100 import Shape, So100Scene
from kdp_core.tasks.tabletop import PLACE_TOLERANCE_M
from kdp_planner_ros.operator_client import PlanSnapshot
from kdp_so100_bringup.drawing import Camera, circle, draw_paths, draw_shapes, draw_table
from kdp_so100_bringup.truth import Truth

INK, CHOSEN, CANDIDATE, PASSED, GOAL = "#1d2733", "#e4572e", "#f0a35e", "#0b6bcb", "#1a9e5c"
CAMERA = Camera()
HIGH_M = 0.02  # a cube that much above where it began is carried


@dataclass(frozen=True)
class Instant:
    """One picture: what it shows and which row of the record."""

    label: str
    row: int


def instants(record: Sequence[Truth]) -> list[Instant]:
    """Approach, grasp, carry and release of the upper cube, as far as they happened; else evenly in time."""
    height = np.array([truth.cube_poses[0, 2] for truth in record])
    held = np.array([truth.touched(0) and not truth.jaw_open for truth in record])
    carried = held & (height > height[0] + HIGH_M)
    if not carried.any():
        rows = np.linspace(0, len(record) - 1, 4).astype(int).tolist()
        return [Instant("not grasped", row) for row in rows]
    first = int(np.argmax(carried))
    grasp = first
    while grasp > 0 and held[grasp - 1]:
        grasp -= 1
    last = first
    while last + 1 < len(record) and held[last + 1]:
        last += 1
    release = min(last + 10, len(record) - 1)
    places = np.array([truth.cube_poses[0, :2] for truth in record])
    gone = np.linalg.norm(places - places[0], axis=1)
    middle = first + int(np.argmin(np.abs(gone[first : last + 1] - 0.5 * gone[last])))
    return [
        Instant("approach", grasp // 2),
        Instant("grasp", grasp + min(5, first - grasp)),
        Instant("carry", middle),
        Instant("release", release),
    ]


def shapes_of(truth: Truth) -> list[Shape]:
    """Everything on the table as it stood at one instant."""
    scene = So100Scene(len(truth.cube_poses))
    scene.data.qpos[:6] = truth.joints
    for i, pose in enumerate(truth.cube_poses):
        scene.place_cube(i, pose)
    mujoco.mj_forward(scene.model, scene.data)
    return scene.shapes()


def save_strip(
    record: Sequence[Truth], snapshots: Sequence[PlanSnapshot], goal: np.ndarray, path: Path, title: str
) -> Path:
    """Write a PNG of four pictures; returns `path`.

    Args:
        record: truth of one episode. snapshots: all candidates at some instants. goal: (3,) m.
        path: of the PNG. title: above the pictures.
    """
    moments = instants(record)
    figure, axes = plt.subplots(
        1, len(moments), figsize=(4.3 * len(moments), 3.9), squeeze=False, layout="constrained"
    )
    for axis, moment in zip(axes.flat, moments, strict=True):
        _panel(axis, record, moment, snapshots, goal)
    figure.suptitle(title, color=INK, fontsize=13, fontweight="bold")
    figure.legend(
        handles=[
            Line2D([], [], color=PASSED, linewidth=2.0, label="way of the hand (truth)"),
            Line2D([], [], color=CHOSEN, linewidth=2.2, label="chosen window"),
            Line2D([], [], color=CANDIDATE, linewidth=1.2, label="all K windows"),
            Line2D([], [], color=GOAL, linewidth=1.8, label=f"goal, {PLACE_TOLERANCE_M:g} m"),
        ],
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=10,
        labelcolor=INK,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, facecolor="white")
    plt.close(figure)
    return path


def _panel(
    axis: Axes, record: Sequence[Truth], moment: Instant, snapshots: Sequence[PlanSnapshot], goal: np.ndarray
) -> None:
    truth = record[moment.row]
    draw_table(axis, CAMERA, (-0.1, -0.3), (0.35, 0.3))
    draw_shapes(axis, CAMERA, shapes_of(truth))
    draw_paths(axis, CAMERA, circle(goal, PLACE_TOLERANCE_M)[None], GOAL, 1.8, zorder=0.5)
    way = np.array([t.gripper_pose[:3] for t in record[: moment.row + 1]])
    draw_paths(axis, CAMERA, way[None], PASSED, 2.0, alpha=0.8)
    usable = [s for s in snapshots if s.index >= 0 and len(s.paths)]
    if usable:
        nearest = min(usable, key=lambda s: abs(s.t_ns - truth.t_ns))
        draw_paths(axis, CAMERA, nearest.paths, CANDIDATE, 0.7, alpha=0.35, zorder=2.1)
        draw_paths(axis, CAMERA, nearest.paths[nearest.index][None], CHOSEN, 2.2, zorder=2.2)
    axis.set(xlim=(-0.36, 0.36), ylim=(-0.2, 0.29), aspect="equal")
    axis.set_axis_off()
    seconds = (truth.t_ns - record[0].t_ns) * 1e-9
    axis.set_title(f"{moment.label}, {seconds:.1f} s", color=INK, fontsize=12)
