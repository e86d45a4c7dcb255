"""The expert reaches its goals, from anywhere, in either of its ways, and needs no memory."""

import numpy as np
import pytest

from kdp_core.sim.so100 import Scene, So100Scene
from kdp_core.sim.so100_expert import ROLL_RAD, TabletopExpert, draw_variant
from kdp_core.sim.so100_geometry import CUBE_M, HIGH_RAD, LOW_RAD
from kdp_core.sim.tabletop_success import TabletopJudge


def run(
    task: str, scene: Scene, simulator: So100Scene, expert: TabletopExpert, limit_s: float = 8.0
) -> float | None:
    """Seconds to success."""
    judge = TabletopJudge(task, scene)
    for cycle in range(round(limit_s / 0.02)):
        cubes = simulator.cube_poses
        goal = scene.goal if task == "pick_place" else cubes[1, :3] + [0.0, 0.0, CUBE_M]
        action = expert.action(simulator.joints, cubes[0], goal, simulator.holding_torque)
        assert (action >= LOW_RAD).all() and (action <= HIGH_RAD).all()
        simulator.command(action)
        simulator.step(10)
        if judge.update(simulator):
            return cycle * 0.02
    return None


@pytest.mark.parametrize(("task", "cubes"), [("pick_place", 1), ("stack", 2)])
def test_it_succeeds_in_random_scenes(task: str, cubes: int) -> None:
    simulator = So100Scene(cubes)
    times = []
    for seed in range(8):
        scene = Scene.random(task, 100 + seed)
        simulator.reset(scene)
        variant = draw_variant(scene.joints, scene.cubes[0], np.random.default_rng(seed))
        times.append(run(task, scene, simulator, TabletopExpert(variant, task)))
    assert None not in times


def test_it_starts_over_when_the_cube_is_taken_away_from_it() -> None:
    simulator, scene = So100Scene(1), Scene.random("pick_place", 3)
    simulator.reset(scene)
    rng = np.random.default_rng(0)
    expert = TabletopExpert(draw_variant(scene.joints, scene.cubes[0], rng))
    assert run("pick_place", scene, simulator, expert, 1.4) is None
    simulator.place_cube(0, scene.cubes[0])  # back where it was
    expert.variant = draw_variant(simulator.joints, scene.cubes[0], rng)
    assert run("pick_place", scene, simulator, expert) is not None


def test_variants_are_two_grasps_within_the_rolls_limits() -> None:
    scene = Scene.random("pick_place", 8)
    drawn = [draw_variant(scene.joints, scene.cubes[0], np.random.default_rng(i), 0.5) for i in range(60)]
    yaws = np.unique(np.round([v.yaw for v in drawn], 6))
    assert 1 <= len(yaws) <= 2 and len({v.hover_m for v in drawn}) == 2
    both = 0
    for seed in range(60):
        scene = Scene.random("pick_place", seed)
        bearing = np.arctan2(scene.cubes[0, 1], scene.cubes[0, 0])
        yaws = {
            round(draw_variant(scene.joints, scene.cubes[0], np.random.default_rng(i), 0.5).yaw, 6)
            for i in range(8)
        }
        assert all(abs(yaw - bearing) <= ROLL_RAD + 1e-6 for yaw in yaws)
        both += len(yaws) == 2
    assert both > 20
