"""The arm as URDF for robot_state_publisher and RViz: the simulator's primitive shapes and joint frames."""

from __future__ import annotations

import math

from kdp_core.sim.so100_geometry import (
    CUBE_M,
    FINGER_M,
    FIXED_PAD_M,
    GRASP_JAW_RAD,
    GRASP_M,
    HIGH_RAD,
    JAW_PIVOT_M,
    JOINTS,
    LOW_RAD,
    LOWER_ARM_M,
    PAN_HEIGHT_M,
    SHOULDER_M,
    UPPER_ARM_M,
    WRIST_M,
)

_LINKS = ("shoulder", "upper_arm", "lower_arm", "wrist", "gripper", "jaw")
_AXES = ("0 0 1", "0 1 0", "0 1 0", "0 1 0", "-1 0 0", "0 -1 0")
_ORIGINS = (
    (0.0, PAN_HEIGHT_M),
    SHOULDER_M,
    UPPER_ARM_M,
    LOWER_ARM_M,
    (WRIST_M, 0.0),
    JAW_PIVOT_M,
)
"""Forward and up from the link before; every joint lies in the arm's plane."""
_EFFORT_N_M = (2.9, 2.9, 2.9, 2.9, 2.9, 0.9)
_VELOCITY_RAD_S = 4.7  # the servos' no-load speed at 7.4 V, 45 rpm


def so100_urdf(name: str = "so100") -> str:
    """URDF of the robot `name` as one line of XML, root link `world`.

    Links are called NAME/base, NAME/shoulder, … NAME/jaw and NAME/grasp (REP-103 axes, m), joints as in
    `joint_states`.
    """
    finger = 0.5 * (FINGER_M - 0.045)
    pads = 0.045 + finger
    face = CUBE_M - FIXED_PAD_M - JAW_PIVOT_M[1] + 0.003
    shapes = {
        "base": _box((-0.02, 0.03), (0.08, 0.06, 0.06), "dark"),
        "shoulder": _bar((0.0, 0.03), (0.0, 0.08), 0.028, "dark"),
        "upper_arm": _bar((0.0, 0.0), UPPER_ARM_M, 0.014, "yellow")
        + _box((0.09, -0.014), (0.044, 0.036, 0.026), "dark"),
        "lower_arm": _bar((0.0, 0.0), LOWER_ARM_M, 0.013, "yellow")
        + _box((0.11, 0.004), (0.044, 0.036, 0.026), "dark"),
        "wrist": _bar((0.0, 0.0), (0.035, 0.0), 0.016, "yellow"),
        "gripper": _box((0.02, 0.0), (0.052, 0.04, 0.032), "dark")
        + _box((pads, -FIXED_PAD_M - 0.003), (2 * finger, 0.016, 0.006), "yellow"),
        "jaw": _box(
            _turned(pads - JAW_PIVOT_M[0], face), (2 * finger, 0.016, 0.006), "yellow", GRASP_JAW_RAD
        ),
        "grasp": "",
    }
    links = '<link name="world"/>' + "".join(
        f'<link name="{name}/{link}">{shape}</link>' for link, shape in shapes.items()
    )
    joints = _fixed("table", "world", f"{name}/base", (0.0, 0.0))
    parent = "base"
    for i, (joint, link, (forward, up), axis) in enumerate(zip(JOINTS, _LINKS, _ORIGINS, _AXES, strict=True)):
        joints += (
            f'<joint name="{joint}" type="revolute">'
            f'<parent link="{name}/{parent}"/><child link="{name}/{link}"/>'
            f'<origin xyz="{forward} 0 {up}"/><axis xyz="{axis}"/><limit lower="{LOW_RAD[i]}" '
            f'upper="{HIGH_RAD[i]}" effort="{_EFFORT_N_M[i]}" velocity="{_VELOCITY_RAD_S}"/></joint>'
        )
        parent = link
    joints += _fixed("grasp", f"{name}/gripper", f"{name}/grasp", GRASP_M)
    return f'<?xml version="1.0"?><robot name="{name}">{_MATERIALS}{links}{joints}</robot>'


_MATERIALS = (
    '<material name="dark"><color rgba="0.15 0.15 0.17 1"/></material>'
    '<material name="yellow"><color rgba="0.95 0.75 0.2 1"/></material>'
)


def _fixed(name: str, parent: str, child: str, origin: tuple[float, float]) -> str:
    return (
        f'<joint name="{name}" type="fixed"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{origin[0]} 0 {origin[1]}"/></joint>'
    )


def _turned(forward: float, up: float) -> tuple[float, float]:
    """A point of the moving finger in the jaw's frame: it lies parallel to the other one when it grasps."""
    c, s = math.cos(GRASP_JAW_RAD), math.sin(GRASP_JAW_RAD)
    return forward * c + up * s, up * c - forward * s


def _visual(origin: tuple[float, float], pitch: float, shape: str, material: str) -> str:
    return (
        f'<visual><origin xyz="{origin[0]:.6g} 0 {origin[1]:.6g}" rpy="0 {pitch:.6g} 0"/>'
        f'<geometry>{shape}</geometry><material name="{material}"/></visual>'
    )


def _box(
    centre: tuple[float, float], size: tuple[float, float, float], material: str, pitch: float = 0.0
) -> str:
    return _visual(centre, pitch, f'<box size="{size[0]:.6g} {size[1]:.6g} {size[2]:.6g}"/>', material)


def _bar(begin: tuple[float, float], end: tuple[float, float], radius: float, material: str) -> str:
    """Cylinder from `begin` to `end` (forward, up)."""
    forward, up = end[0] - begin[0], end[1] - begin[1]
    centre = 0.5 * (begin[0] + end[0]), 0.5 * (begin[1] + end[1])
    shape = f'<cylinder radius="{radius}" length="{math.hypot(forward, up):.6g}"/>'
    return _visual(centre, math.atan2(forward, up), shape, material)
