"""What the planner sees does not depend on how the table is turned, nor on which face of a cube is which."""

import numpy as np
import pytest

from kdp_core.sim.so100 import Scene
from kdp_core.sim.so100_kinematics import hand_frame
from kdp_core.tasks.tabletop_features import cube_yaw, features


def quaternion_about(axis: list[float], angle: float) -> np.ndarray:
    return np.array([*(np.sin(0.5 * angle) * np.array(axis)), np.cos(0.5 * angle)])


def multiply(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    v = p[3] * q[:3] + q[3] * p[:3] + np.cross(p[:3], q[:3])
    return np.array([*v, p[3] * q[3] - p[:3] @ q[:3]])


@pytest.mark.parametrize("face", [([1.0, 0, 0], 0), ([1.0, 0, 0], 1), ([0, 1.0, 0], 1), ([0, 1.0, 0], 3)])
def test_yaw_of_a_cube_on_any_face(face: tuple[list[float], int]) -> None:
    axis, quarters = face
    for yaw in np.linspace(-3.0, 3.0, 13):
        lying = quaternion_about(axis, quarters * np.pi / 2)
        pose = np.array([0.2, 0.1, 0.015, *multiply(quaternion_about([0, 0, 1.0], yaw), lying)])
        error = (cube_yaw(pose) - yaw) / (np.pi / 2)
        assert error == pytest.approx(round(error), abs=1e-6)


def test_turning_arm_and_world_together_changes_only_the_pan_angle() -> None:
    scene = Scene.random("pick_place", 4)
    joints, cube, goal = scene.joints.copy(), scene.cubes[0].copy(), scene.goal
    before = features(joints, cube, goal)
    a = 0.7
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    moved = np.array([*(turn @ cube[:3]), *multiply(quaternion_about([0, 0, 1.0], a), cube[3:])])
    joints[0] += a
    after = features(joints, moved, turn @ goal)
    np.testing.assert_allclose(after[1:], before[1:], atol=1e-9)
    assert after[0] == pytest.approx(before[0] + a)


def test_a_quarter_turn_of_the_cube_is_not_seen() -> None:
    scene = Scene.random("pick_place", 5)
    turned = scene.cubes[0].copy()
    turned[3:] = multiply(quaternion_about([0, 0, 1.0], np.pi / 2), turned[3:])
    a, b = (features(scene.joints, cube, scene.goal) for cube in (scene.cubes[0], turned))
    np.testing.assert_allclose(a, b, atol=1e-9)


def test_rows_are_independent_and_near_channels_are_in_the_hands_frame() -> None:
    scenes = [Scene.random("pick_place", seed) for seed in range(5)]
    joints, cubes, goals = (np.stack([getattr(s, n) for s in scenes]) for n in ("joints", "cubes", "goal"))
    point, frame = hand_frame(joints)
    cubes[:, 0, :3] = point + 0.004 * frame[..., 2]  # 4 mm towards the moving finger
    together = features(joints, cubes[:, 0], goals)
    assert together.shape == (5, 21)
    np.testing.assert_allclose(together[:, 9:11], 0.0, atol=1e-9)
    np.testing.assert_allclose(together[:, 11], 0.004, rtol=0.02)
    for i in range(5):
        np.testing.assert_allclose(features(joints[i], cubes[i, 0], goals[i]), together[i], atol=1e-12)
