"""The simulated arm: it holds, moves, grasps and releases; scenes are reachable and reproducible."""

import numpy as np
import pytest

from kdp_core.exceptions import ConfigError
from kdp_core.sim.so100 import APART_M, Scene, So100Scene
from kdp_core.sim.so100_geometry import CUBE_M, HIGH_RAD, LOW_RAD
from kdp_core.sim.so100_kinematics import grasp_from_above
from kdp_core.sim.so100_model import KP


@pytest.mark.parametrize("task", ["pick_place", "stack"])
def test_scenes_are_reproducible_reachable_and_apart(task: str) -> None:
    for seed in range(100):
        scene, again = Scene.random(task, seed), Scene.random(task, seed)
        assert np.array_equal(scene.cubes, again.cubes) and np.array_equal(scene.joints, again.joints)
        assert np.linalg.norm(scene.cubes[0, :2] - scene.goal[:2]) >= APART_M
        assert (scene.joints >= LOW_RAD).all() and (scene.joints <= HIGH_RAD).all()
        for point in (scene.cubes[0, :3], scene.goal, np.array([*scene.goal[:2], 0.085])):
            assert np.isfinite(grasp_from_above(point, np.arctan2(point[1], point[0]))).all()
    assert not np.array_equal(scene.goal, Scene.random(task, 1000).goal)


def test_unknown_task_and_wrong_cubes_are_refused() -> None:
    with pytest.raises(ConfigError, match="pick_place or stack"):
        Scene.random("sort", 0)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="has 2 cubes, this simulator has 1"):
        So100Scene(1).reset(Scene.random("stack", 0))


def test_start_is_at_rest_and_servos_hold() -> None:
    scene, simulator = Scene.random("pick_place", 3), So100Scene(1)
    simulator.reset(scene)
    simulator.step(500)
    assert np.abs(simulator.joints - scene.joints).max() < 0.03  # droop under gravity
    assert np.abs(simulator.joint_velocity).max() < 1e-3
    np.testing.assert_allclose(simulator.cube_poses, scene.cubes, atol=5e-4)


def test_without_torque_the_arm_falls_and_with_it_comes_back() -> None:
    scene, simulator = Scene.random("pick_place", 3), So100Scene(1)
    simulator.reset(scene)
    simulator.torque(np.zeros(6, bool))
    simulator.step(1000)
    assert np.abs(simulator.joints[:4] - scene.joints[:4]).max() > 0.2
    assert np.abs(simulator.joint_load).max() < 1e-9
    simulator.reset(scene)
    simulator.step(200)
    assert np.abs(simulator.joints - scene.joints).max() < 0.03


def test_grasp_carry_release() -> None:
    scene, simulator = Scene.random("pick_place", 1), So100Scene(1)
    simulator.reset(scene)
    cube = scene.cubes[0, :3]
    yaw = 2.0 * np.arctan2(scene.cubes[0, 5], scene.cubes[0, 6])
    yaw += np.round((np.arctan2(cube[1], cube[0]) - yaw) / (np.pi / 2)) * np.pi / 2
    aside = -0.006 * np.array([np.cos(yaw), np.sin(yaw), 0.0])  # the fixed finger beside the cube, not on it
    up = np.array([0.0, 0.0, 0.06])

    def go(point: np.ndarray, jaw: float) -> None:
        start = simulator.data.ctrl.copy()
        end = np.array([*grasp_from_above(point, np.array(yaw)), jaw])
        for part in np.minimum(np.linspace(0.0, 1.5, 60), 1.0):
            droop = np.r_[simulator.holding_torque[:5] / KP, 0.0]
            simulator.command(start + part * (end - start) + droop)
            simulator.step(10)

    go(cube + up + aside, 0.7)
    go(cube + aside, 0.7)
    assert not simulator.touched(0)
    go(cube + aside, -0.1)
    assert simulator.touched(0) and not simulator.jaw_open
    go(cube + up, -0.1)
    assert simulator.cube_poses[0, 2] > 0.06
    go(scene.goal + up, -0.1)
    go(scene.goal, -0.1)
    go(scene.goal, 0.6)
    go(scene.goal + up, 0.6)
    assert simulator.jaw_open and not simulator.touched(0)
    assert np.linalg.norm(simulator.cube_poses[0, :3] - scene.goal) < 0.01
    assert simulator.cube_speeds[0] < 0.01


def test_commands_past_the_limits_are_clamped() -> None:
    simulator = So100Scene(0)
    simulator.command(np.full(6, 10.0))
    assert np.array_equal(simulator.data.ctrl, HIGH_RAD)


def test_shapes_move_with_the_arm() -> None:
    simulator = So100Scene(2)
    before = {shape.name: shape.position for shape in simulator.shapes()}
    assert {"fixed_finger", "moving_finger", "cube_0", "cube_1"} <= set(before)
    simulator.command(np.array([0.5, -1.5, 1.5, 1.0, 0.0, 0.5]))
    simulator.step(500)
    after = {shape.name: shape for shape in simulator.shapes()}
    assert np.linalg.norm(after["fixed_finger"].position - before["fixed_finger"]) > 0.05
    assert np.allclose(after["cube_0"].size, 0.5 * CUBE_M)
