"""The tabletop expert: where the hand should go next, as a function of what is seen now and of a variant.

It keeps no memory: phases (approach, close, carry, release, retreat) follow from joints, cube and goal, so a
planner that sees the same can imitate it, and after a miss or a lost cube it starts over by itself. Heights
follow funnels: the hand comes down as it comes into line, and goes sideways only once it is high enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kdp_core.sim.so100_geometry import GRASP_JAW_RAD, HIGH_RAD, LOW_RAD
from kdp_core.sim.so100_kinematics import grasp_from_above, hand_frame, wrap
from kdp_core.sim.so100_model import KP
from kdp_core.tasks.tabletop_features import cube_yaw

QUARTER = 0.5 * np.pi
OPEN_RAD = 0.7
RELEASE_RAD = 0.6
CLOSED_RAD = -0.1
CARRY_M = 0.085
"""Height of a carried cube's centre, and of the hand after a release."""
BESIDE_M = 0.006
"""Gap left to the fixed finger while coming down."""
APPROACH_FUNNEL_M = (0.005, 0.022)
"""Off the grasp by so much the hand is all the way down, and all the way up."""
PLACE_FUNNEL_M = {"pick_place": (0.006, 0.028), "stack": (0.0035, 0.02)}
"""The same for the carried cube over its goal."""
PLACED_M = {"pick_place": (0.009, 0.02), "stack": (0.005, 0.012)}
"""The cube is at its goal: nearer than so to be let go, and nearer than so once it has been."""
LOWER_M = 0.003
"""Targets lie this much lower than where things touch, so that the hand arrives in spite of small errors."""
STEP_M = 0.022
"""Farthest Cartesian target ahead of the hand; with the servos' lag of 0.09 s about 0.24 m/s."""
STEP_RAD = 0.16
"""Farthest yaw target ahead."""
JAW_STEP_RAD = 0.3
ROLL_RAD = 2.0
"""Largest roll of a grasp: the cable and the joint's end are not far beyond."""
SECOND_RAD = 1.2
"""How much farther than the nearest grasp the other may be."""
HOVERS_M = (0.045, 0.07)
"""Heights above the cube from which the hand comes down."""


@dataclass(frozen=True)
class Variant:
    """One way of doing it: the yaw near which the cube is grasped, and from how high the hand comes down."""

    yaw: float
    hover_m: float


def draw_variant(
    joints: np.ndarray, cube: np.ndarray, rng: np.random.Generator, other: float = 0.4
) -> Variant:
    """A variant for this start: one of the two grasps that need the least roll from here.

    The second with probability ``other``, if it is not much farther.
    """
    bearing = np.arctan2(cube[1], cube[0])
    yaw = cube_yaw(cube) + QUARTER * np.arange(4)
    roll = wrap(yaw - bearing)
    turn = np.where(np.abs(roll) <= ROLL_RAD, np.abs(roll - joints[4]), np.inf)
    first, second = np.argsort(turn)[:2]
    chosen = second if turn[second] < turn[first] + SECOND_RAD and rng.random() < other else first
    return Variant(float(bearing + roll[chosen]), float(rng.choice(HOVERS_M)))


class TabletopExpert:
    """Joint targets from exact joints, cube pose and goal."""

    def __init__(self, variant: Variant, task: Literal["pick_place", "stack"] = "pick_place") -> None:
        self.variant, self.task = variant, task

    def action(
        self, joints: np.ndarray, cube: np.ndarray, goal: np.ndarray, holding_torque: np.ndarray
    ) -> np.ndarray:
        """Joints (6,), cube (7,), goal (3,), holding torque (6,) N m -> joint targets (6,) rad."""
        point, frame = hand_frame(joints)
        jaw = float(joints[5])
        centre = cube[:3]
        along, width, closing = frame.T @ (centre - point)
        left = goal - centre
        away = float(np.hypot(left[0], left[1]))
        gripping = jaw < GRASP_JAW_RAD + 0.06
        inside = abs(along) < 0.013 and abs(width) < 0.011 and -0.010 < closing < 0.012
        near_goal = PLACED_M[self.task][0 if gripping and inside else 1]
        if away < near_goal and abs(left[2]) < 0.005:
            target, yaw, jaw_target = self._release(point, frame, centre, jaw, inside)
        elif gripping and inside:
            target, yaw, jaw_target = self._carry(point, frame, centre, left, away, jaw)
        else:
            target, yaw, jaw_target = self._approach(point, frame, cube, jaw, (along, width, closing))
        return _servo(joints, point, frame, target, yaw, jaw_target, holding_torque)

    def _approach(
        self,
        point: np.ndarray,
        frame: np.ndarray,
        cube: np.ndarray,
        jaw: float,
        seen: tuple[float, float, float],
    ) -> tuple[np.ndarray, float | None, float]:
        """Come down beside the cube, then close."""
        along, width, closing = seen
        edge = float(cube_yaw(cube))
        yaw = edge + QUARTER * np.round((self.variant.yaw - edge) / QUARTER)
        hand_yaw = np.arctan2(frame[1, 2], frame[0, 2])
        turn = float(wrap(np.array(yaw - hand_yaw)))
        beside = BESIDE_M * np.clip((jaw - 0.3) / 0.3, 0.0, 1.0)
        spot = cube[:3] - beside * np.array([np.cos(yaw), np.sin(yaw), 0.0])
        slack = 1.7 if jaw < OPEN_RAD - 0.12 else 1.0
        placed = (
            -0.008 < along < 0.005 * slack
            and abs(width) < 0.006 * slack
            and -0.005 < closing < 0.012
            and abs(turn) < 0.15 * slack
        )
        if placed:
            return spot, yaw, CLOSED_RAD
        off = float(np.hypot(*(spot - point)[:2])) + 0.03 * abs(turn)
        off += 0.08 * max(0.0, OPEN_RAD - 0.15 - jaw)  # open before coming down
        height = spot[2] - LOWER_M + self.variant.hover_m * _funnel(off, APPROACH_FUNNEL_M)
        target = _over(point, spot, height, height - point[2])
        return target, yaw, OPEN_RAD

    def _carry(
        self,
        point: np.ndarray,
        frame: np.ndarray,
        centre: np.ndarray,
        left: np.ndarray,
        away: float,
        jaw: float,
    ) -> tuple[np.ndarray, float | None, float]:
        """Lift, go over, let down."""
        goal = centre + left
        height = goal[2] - LOWER_M + (CARRY_M - goal[2]) * _funnel(away, PLACE_FUNNEL_M[self.task])
        grip = float(np.clip((GRASP_JAW_RAD + 0.05 - jaw) / 0.03, 0.0, 1.0))
        below = height - centre[2]
        target = _over(point, point + left, point[2] + below, below)
        return point + grip * (target - point), None, CLOSED_RAD

    def _release(
        self, point: np.ndarray, frame: np.ndarray, centre: np.ndarray, jaw: float, inside: bool
    ) -> tuple[np.ndarray, float | None, float]:
        """Open, then go straight up."""
        yaw = float(np.arctan2(frame[1, 2], frame[0, 2]))
        opened = float(np.clip((jaw - 0.3) / 0.12, 0.0, 1.0))
        spot = centre - BESIDE_M * opened * np.array([np.cos(yaw), np.sin(yaw), 0.0])
        height = centre[2] if inside and jaw < 0.42 else max(CARRY_M, centre[2] + 0.04)
        return np.array([spot[0], spot[1], height]), None, RELEASE_RAD


def _funnel(off: float, between: tuple[float, float]) -> float:
    """0 nearer than the first distance, 1 farther than the second."""
    return float(np.clip((off - between[0]) / (between[1] - between[0]), 0.0, 1.0))


def _over(point: np.ndarray, spot: np.ndarray, height: float, below: float) -> np.ndarray:
    """Target at ``height`` over ``spot``, sideways only as far as the hand is not too low (``below``)."""
    free = float(np.clip((0.03 - below) / 0.02, 0.0, 1.0))
    return np.array([*(point[:2] + free * (spot - point)[:2]), height])


def _servo(
    joints: np.ndarray,
    point: np.ndarray,
    frame: np.ndarray,
    target: np.ndarray,
    yaw: float | None,
    jaw_target: float,
    holding_torque: np.ndarray,
) -> np.ndarray:
    """Joint targets a short way ahead towards ``target`` and ``yaw``, gravity's droop compensated.

    Without a yaw the roll joint stays as it is.
    """
    step = target - point
    step *= min(1.0, STEP_M / max(float(np.linalg.norm(step)), 1e-9))
    now = float(np.arctan2(frame[1, 2], frame[0, 2]))
    turn = 0.0 if yaw is None else float(np.clip(wrap(np.array(yaw - now)), -STEP_RAD, STEP_RAD))
    goal = point + step
    for _ in range(20):
        solved = grasp_from_above(goal, np.array(now + turn), joints[4])
        if np.isfinite(solved).all():
            break
        # Past the reach: keep to what can be reached, nearer, lower, with less roll.
        goal = np.array([0.985 * goal[0], 0.985 * goal[1], max(goal[2] - 0.002, 0.012)])
        turn *= 0.5
    else:
        solved = joints[:5].copy()
    if yaw is None:
        solved[4] = joints[4]
    jaw = joints[5] + np.clip(jaw_target - joints[5], -JAW_STEP_RAD, JAW_STEP_RAD)
    droop = np.array([*(holding_torque[:5] / KP), 0.0])
    action: np.ndarray = np.clip(np.array([*solved, jaw]) + droop, LOW_RAD, HIGH_RAD)
    return action
