"""Success is read from the truth: carried, there, at rest, released, and for long enough to be seen."""

from dataclasses import replace

import numpy as np
import pytest

from kdp_core.sim.so100 import Scene, So100Scene
from kdp_core.sim.so100_geometry import CUBE_M
from kdp_core.sim.tabletop_success import HELD_STEPS, TabletopJudge


def judged(task: str, scene: Scene, cubes: np.ndarray, jaw: float, cycles: int = HELD_STEPS) -> bool:
    """Whether the judge is content after ``cycles`` with the cubes put where they are said to be."""
    start = scene.joints.copy()
    start[5] = jaw
    simulator = So100Scene(len(cubes))
    simulator.reset(replace(scene, cubes=cubes, joints=start))
    simulator.step(100)
    judge = TabletopJudge(task, scene)
    done = False
    for _ in range(cycles):
        simulator.step(10)
        done = judge.update(simulator)
    return done


def at(pose: np.ndarray, point: np.ndarray) -> np.ndarray:
    return np.array([*point, *pose[3:]])


@pytest.mark.parametrize(
    ("off", "jaw", "cycles", "good"),
    [
        (0.0, 0.7, HELD_STEPS, True),
        (0.025, 0.7, HELD_STEPS, True),
        (0.035, 0.7, HELD_STEPS, False),
        (0.0, 0.15, HELD_STEPS, False),
        (0.0, 0.7, HELD_STEPS - 1, False),
    ],
)
def test_pick_place(off: float, jaw: float, cycles: int, good: bool) -> None:
    scene = Scene.random("pick_place", 1)
    cube = at(scene.cubes[0], scene.goal + np.array([0.0, off, 0.0]))
    assert judged("pick_place", scene, cube[None], jaw, cycles) == good


def test_a_cube_that_lies_at_the_goal_already_was_not_carried() -> None:
    scene = Scene.random("pick_place", 1)
    near = replace(scene, goal=scene.cubes[0, :3] + np.array([0.02, 0.0, 0.0]))
    assert not judged("pick_place", near, scene.cubes, 0.7)


@pytest.mark.parametrize(("off", "good"), [(0.0, True), (0.01, True), (0.05, False)])
def test_stack(off: float, good: bool) -> None:
    scene = Scene.random("stack", 2)
    lower = scene.cubes[1]
    upper = at(lower, lower[:3] + np.array([off, 0.0, CUBE_M if off < CUBE_M else 0.0]))
    assert judged("stack", scene, np.stack([upper, lower]), 0.7) == good


def test_distance_is_to_the_goal_or_to_the_top_of_the_lower_cube() -> None:
    for task, cubes in (("pick_place", 1), ("stack", 2)):
        scene, simulator = Scene.random(task, 5), So100Scene(cubes)
        simulator.reset(scene)
        expected = np.linalg.norm(scene.cubes[0, :3] - scene.goal)
        assert TabletopJudge(task, scene).distance(simulator) == pytest.approx(expected, abs=1e-6)
