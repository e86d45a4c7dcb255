"""Forward and inverse kinematics of the SO-100 in closed form, vectorised over leading dimensions.

All joints between pan and roll turn about parallel axes, so the hand always lies in the vertical plane of the
pan angle: a grasp from above is a planar two-link problem, and no numerical solver is needed.
"""

from __future__ import annotations

import numpy as np

from kdp_core.sim.so100_geometry import (
    GRASP_M,
    HIGH_RAD,
    LOW_RAD,
    LOWER_ARM_M,
    PAN_HEIGHT_M,
    SHOULDER_M,
    UPPER_ARM_M,
    WRIST_M,
)

# Python's floats: they leave single precision single.
_UPPER, _UPPER_ANGLE = float(np.hypot(*UPPER_ARM_M)), float(np.arctan2(*UPPER_ARM_M[::-1]))
_LOWER, _LOWER_ANGLE = float(np.hypot(*LOWER_ARM_M)), float(np.arctan2(*LOWER_ARM_M[::-1]))
_OUT, _ASIDE = float(WRIST_M + GRASP_M[0]), float(GRASP_M[1])
_BASE_OUT, _BASE_UP = float(SHOULDER_M[0]), float(PAN_HEIGHT_M + SHOULDER_M[1])


def wrap(angle: np.ndarray) -> np.ndarray:
    """Angle (…) to [-pi, pi)."""
    wrapped: np.ndarray = (np.asarray(angle) + np.pi) % (2.0 * np.pi) - np.pi
    return wrapped


def hand_frame(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (…, 5 or 6) to the grasp point (…, 3) m and the hand's axes as a rotation matrix (…, 3, 3).

    Columns of the matrix: along the hand (towards the tips), along the fingers' width, and from the fixed to
    the moving finger (the closing direction), in the base frame.
    """
    pan, lift, elbow, flex, roll = (joints[..., i] for i in range(5))
    pitch = lift
    radius = _BASE_OUT + _UPPER * np.cos(_UPPER_ANGLE - pitch)
    height = _BASE_UP + _UPPER * np.sin(_UPPER_ANGLE - pitch)
    pitch = pitch + elbow
    radius, height = (
        radius + _LOWER * np.cos(_LOWER_ANGLE - pitch),
        height + _LOWER * np.sin(_LOWER_ANGLE - pitch),
    )
    pitch = pitch + flex
    cp, sp, ca, sa, cr, sr = (f(v) for v in (pitch, pan, roll) for f in (np.cos, np.sin))
    zero = np.zeros_like(pan)
    along = np.stack([ca * cp, sa * cp, -sp], axis=-1)
    left = np.stack([-sa, ca, zero], axis=-1)
    up = np.stack([ca * sp, sa * sp, cp], axis=-1)
    # Roll turns about the backward axis of the hand: positive takes up to the left and left to down.
    cr, sr = cr[..., None], sr[..., None]
    width, closing = cr * left - sr * up, cr * up + sr * left
    wrist = np.stack([radius * ca, radius * sa, height], axis=-1)
    point = wrist + _OUT * along + _ASIDE * closing
    return point, np.stack([along, width, closing], axis=-1)


def hand_points(joints: np.ndarray) -> np.ndarray:
    """The grasp point (…, 3) m of `hand_frame` alone, in the precision of the joints; for many at once."""
    pan, lift, elbow, flex, roll = np.ascontiguousarray(np.moveaxis(joints[..., :5], -1, 0))
    elbow = lift + elbow
    pitch = elbow + flex
    upper, lower = _UPPER_ANGLE - lift, _LOWER_ANGLE - elbow
    cp, sp = np.cos(pitch), np.sin(pitch)
    closing = _ASIDE * np.cos(roll)
    left = _ASIDE * np.sin(roll)
    out = _BASE_OUT + _UPPER * np.cos(upper) + _LOWER * np.cos(lower) + _OUT * cp + closing * sp
    ca, sa = np.cos(pan), np.sin(pan)
    points = np.empty((*pan.shape, 3), pan.dtype)
    points[..., 0] = ca * out - sa * left
    points[..., 1] = sa * out + ca * left
    points[..., 2] = _BASE_UP + _UPPER * np.sin(upper) + _LOWER * np.sin(lower) - _OUT * sp + closing * cp
    return points


def gripper_yaw(joints: np.ndarray) -> np.ndarray:
    """Direction of the closing axis of a hand that points down, about z, rad (…)."""
    closing = hand_frame(joints)[1][..., 2]
    yaw: np.ndarray = np.arctan2(closing[..., 1], closing[..., 0])
    return yaw


def grasp_from_above(point: np.ndarray, yaw: np.ndarray, near_roll: np.ndarray | None = None) -> np.ndarray:
    """Joints (…, 5) that bring the grasp point of a hand pointing straight down to ``point`` (…, 3).

    ``yaw`` (…) is the direction of the closing axis; NaN where the point is out of reach or past a limit.
    With ``near_roll`` the roll is wrapped towards it where the limits allow.
    """
    yaw = np.asarray(yaw, float)
    closing = np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
    axis = point[..., :2] - GRASP_M[1] * closing  # where the roll axis must pass
    pan = np.arctan2(axis[..., 1], axis[..., 0])
    x = np.hypot(axis[..., 0], axis[..., 1]) - SHOULDER_M[0]
    z = point[..., 2] + WRIST_M + GRASP_M[0] - PAN_HEIGHT_M - SHOULDER_M[1]
    reach = np.hypot(x, z)
    cosine = (reach**2 - _UPPER**2 - _LOWER**2) / (2.0 * _UPPER * _LOWER)
    with np.errstate(invalid="ignore"):
        bend = np.arccos(np.where(np.abs(cosine) <= 1.0, cosine, np.nan))  # elbow up
    upper = np.arctan2(z, x) + np.arctan2(_LOWER * np.sin(bend), _UPPER + _LOWER * np.cos(bend))
    lift = _UPPER_ANGLE - upper
    elbow = bend + _LOWER_ANGLE - _UPPER_ANGLE
    flex = 0.5 * np.pi - lift - elbow
    # Pointing down (pitch 90 degrees) up is forward: closing = cos(roll) forward + sin(roll) left.
    roll = wrap(yaw - pan)
    if near_roll is not None:
        other = roll - 2.0 * np.pi * np.sign(roll)
        better = (np.abs(other - near_roll) < np.abs(roll - near_roll)) & (np.abs(other) <= HIGH_RAD[4])
        roll = np.where(better, other, roll)
    joints = np.stack([pan, lift, elbow, flex, roll], axis=-1)
    possible = ((joints >= LOW_RAD[:5]) & (joints <= HIGH_RAD[:5])).all(axis=-1, keepdims=True)
    return np.where(possible, joints, np.nan)
