"""What the tabletop planner sees: cube and goal relative to the hand, as pure functions of the inputs.

Bearings count from the pan joint and offsets along the arm's plane, so that what to do next hardly depends on
which way the arm points. A cube looks the same after a quarter turn, and so do its features.
"""

from __future__ import annotations

import numpy as np

from kdp_core.sim.so100_kinematics import hand_frame, wrap

NEAR_M = 0.02
"""Beyond about this distance the channels for close range saturate."""


def cube_yaw(pose: np.ndarray) -> np.ndarray:
    """Yaw of cube poses (…, 7): of an edge that lies flat, rad, meaningful modulo a quarter turn."""
    x, y, z, w = (pose[..., i] for i in range(3, 7))
    axes = np.array(  # (3 axes of the cube, 3 coordinates, …)
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
            [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
            [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    flattest = np.abs(axes[:, 2]).argmin(axis=0)
    flat = np.take_along_axis(axes, flattest[None, None], axis=0)[0]
    yaw: np.ndarray = np.arctan2(flat[1], flat[0])
    return yaw


def features(joints: np.ndarray, cube: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Joints (…, 6) rad, cube (…, 7), its goal (…, 3) m to the context (…, 21).

    In the order of the spec's context: joints; cube from the hand (bearing, farther, higher) and, in the
    hand's frame, up to about 2 cm; its turn; the goal from the hand; and what is left for the cube to go
    (outwards, left, up, and flat distance), up to about 2 cm.
    """
    point, frame = hand_frame(joints)
    pan = joints[..., 0]
    centre = cube[..., :3]
    hand = ((centre - point)[..., None, :] @ frame)[..., 0, :]  # the transposed frame takes it to the hand
    closing = frame[..., 2]
    turn = 4.0 * (cube_yaw(cube) - np.arctan2(closing[..., 1], closing[..., 0]))
    left = goal - centre
    c, s = np.cos(pan), np.sin(pan)
    x, y = c * left[..., 0] + s * left[..., 1], c * left[..., 1] - s * left[..., 0]
    near = np.array([*np.moveaxis(hand, -1, 0), x, y, left[..., 2], np.hypot(x, y)])
    near = NEAR_M * np.tanh(near / NEAR_M)
    rest = [*near[:3], np.sin(turn), np.cos(turn), *_polar(goal, point, pan), *near[3:]]
    rows = [*np.moveaxis(joints, -1, 0), *_polar(centre, point, pan), *rest]
    return np.moveaxis(np.array(np.broadcast_arrays(*rows)), 0, -1)


def _polar(target: np.ndarray, point: np.ndarray, pan: np.ndarray) -> list[np.ndarray]:
    """Target (…, 3) seen from the hand: bearing left of the pan joint (rad), farther out and higher (m)."""
    bearing = wrap(np.arctan2(target[..., 1], target[..., 0]) - pan)
    farther = np.hypot(target[..., 0], target[..., 1]) - np.hypot(point[..., 0], point[..., 1])
    return [bearing, farther, target[..., 2] - point[..., 2]]
