"""Closed-form kinematics against MuJoCo's, and the way back."""

import mujoco
import numpy as np

from kdp_core.sim.so100 import So100Scene
from kdp_core.sim.so100_geometry import HIGH_RAD, LOW_RAD
from kdp_core.sim.so100_kinematics import grasp_from_above, gripper_yaw, hand_frame, hand_points, wrap


def test_forward_kinematics_agree_with_the_physics_engine() -> None:
    scene = So100Scene(0)
    rng = np.random.default_rng(0)
    joints = rng.uniform(LOW_RAD, HIGH_RAD, (50, 6))
    points, frames = hand_frame(joints)
    for row, point, frame in zip(joints, points, frames, strict=True):
        scene.data.qpos[:] = row
        mujoco.mj_forward(scene.model, scene.data)
        np.testing.assert_allclose(scene.gripper_pose[:3], point, atol=1e-9)
        np.testing.assert_allclose(scene.data.site("grasp").xmat.reshape(3, 3), frame, atol=1e-9)
    np.testing.assert_allclose(hand_points(joints), points, atol=1e-12)
    single = hand_points(joints.astype(np.float32).reshape(5, 10, 6))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single.reshape(50, 3), points, atol=1e-6)


def test_grasps_from_above_point_down_where_asked() -> None:
    rng = np.random.default_rng(1)
    radius, bearing = rng.uniform(0.13, 0.225, 200), rng.uniform(-1.1, 1.1, 200)
    point = np.stack([radius * np.cos(bearing), radius * np.sin(bearing), rng.uniform(0.01, 0.08, 200)], -1)
    yaw = bearing + rng.uniform(-1.5, 1.5, 200)
    joints = grasp_from_above(point, yaw)
    reached, frames = hand_frame(joints)
    np.testing.assert_allclose(reached, point, atol=1e-9)
    np.testing.assert_allclose(frames[:, :, 0], np.tile([0.0, 0.0, -1.0], (200, 1)), atol=1e-9)
    np.testing.assert_allclose(wrap(gripper_yaw(joints) - yaw), 0.0, atol=1e-9)
    assert (joints >= LOW_RAD[:5]).all() and (joints <= HIGH_RAD[:5]).all()


def test_out_of_reach_is_not_a_number() -> None:
    assert np.isnan(grasp_from_above(np.array([0.5, 0.0, 0.0]), np.array(0.0))).all()


def test_roll_stays_near_where_it_was() -> None:
    point, yaw = np.array([0.2, 0.0, 0.05]), np.array(3.0)
    assert grasp_from_above(point, yaw, np.array(3.1))[4] > 0.0
    assert grasp_from_above(point, yaw + 0.2, np.array(3.1))[4] < 0.0  # 3.2 rad is past the limit
