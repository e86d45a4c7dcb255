"""Evaluation in Maze2D with planners whose plans are known: an oracle, straight lines, one row."""

from typing import ClassVar

import numpy as np
import pytest

from kdp_core.benchmarks.maze_eval import MazeEvaluationOptions, MazeOutcome, evaluate, run_episode
from kdp_core.exceptions import ConfigError
from kdp_core.sim.maze2d import Maze2D
from kdp_core.sim.maze2d_expert import WaypointController
from kdp_core.sim.maze2d_layout import layout
from kdp_core.tasks.maze import maze_spec


class Oracle:
    """Simulates the waypoint controller and gives its path as plan; only the last candidate is scored up."""

    d_noise = 1

    def __init__(self, horizon: int) -> None:
        self.spec = maze_spec("umaze", horizon)
        self.maze = Maze2D(layout("umaze"))
        self.controller = WaypointController(self.maze.layout, np.random.default_rng(0))
        self.asked: list[tuple[np.ndarray, np.ndarray]] = []

    def path(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        self.maze.set_state(state)
        if self.spec.horizon > 1:
            self.controller._target = None  # a new route from here
        rows = []
        for _ in range(self.spec.horizon):
            action, _ = self.controller.action(state, goal)
            rows.append(np.concatenate([state, action]))
            state, _ = self.maze.step(action)
        return np.array(rows)

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append((state, context))
        windows = np.zeros((len(noise), self.spec.horizon, 6))  # the others go into a corner's wall
        windows[-1] = self.path(state, context)
        return windows, np.arange(len(noise), dtype=float)


class Straight(Oracle):
    """Straight to the goal, through walls."""

    def path(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        share = np.linspace(0, 1, self.spec.horizon)[:, None]
        return np.concatenate([state[:2] + share * (goal - state[:2]), np.zeros((len(share), 4))], axis=1)


def run(source: Oracle, seed: int = 5, **options: object) -> MazeOutcome:
    return run_episode(source, Maze2D(layout("umaze")), seed, MazeEvaluationOptions(**options))


@pytest.mark.parametrize("options", [{}, {"candidates": 3}, {"protocol": "receding"}, {"ranking": "task"}])
def test_oracles_plans_reach_the_goal(options: dict) -> None:
    source = Oracle(200)
    outcomes = [run(source, seed, **options) for seed in range(3)]
    assert all(o.success and o.wall_share == 0.0 and o.plan_ms > 0 for o in outcomes)
    assert min(o.score for o in outcomes) > 70 and np.mean([o.score for o in outcomes]) > 90
    assert all(o.score == pytest.approx(100 * (o.total - 23.85) / (161.86 - 23.85)) for o in outcomes)
    plans = {o.plans for o in outcomes}
    assert plans == ({15} if options.get("protocol") == "receding" else {1})  # 300 steps / 20
    state, goal = source.asked[0]
    assert goal.tolist() == [1, 1] and np.abs(state[:2] - np.rint(state[:2])).max() <= 0.1


def test_planner_is_asked_from_the_state_of_its_time() -> None:
    source = Oracle(200)
    run(source, protocol="receding", replan_every=150)
    (first, _), (second, _) = source.asked
    path = Oracle(200).path(first, np.ones(2))
    assert np.linalg.norm(second[:2] - path[150, :2]) < 0.3  # where the plan said, roughly


def test_straight_plans_hit_walls_and_fail() -> None:
    """From (3, 1), the other end of the U, half of a straight plan to (1, 1) is in the wall between."""
    for seed in range(50):
        start = Maze2D(layout("umaze")).reset(np.random.default_rng(seed))
        if np.rint(start[:2]).tolist() == [3, 1]:
            break
    outcome = run(Straight(128), seed)
    x = start[0] + np.linspace(0, 1, 128) * (1 - start[0])
    assert outcome.wall_share == pytest.approx(np.mean((x > 1.3) & (x < 2.3)), abs=0.01)
    assert not outcome.success and outcome.total == 0.0


def test_one_row_is_an_action_in_every_step() -> None:
    source = Oracle(1)
    outcome = run(source, protocol="receding")
    assert outcome.plans == layout("umaze").steps and outcome.wall_share is None and outcome.success


def test_no_finite_candidate_brakes() -> None:
    source = Oracle(50)
    source.path = lambda state, goal: np.full((50, 6), np.nan)  # type: ignore[method-assign]
    outcome = run(source)
    assert outcome.wall_share == 1.0 and outcome.plans == 1


class TestReferences:
    """Facts: a random policy scores about 3 to 6 (episodes differ by more than 30)."""

    chosen: ClassVar = {"waypoints": (70, 190), "random": (-18, 60)}

    @pytest.mark.parametrize("method", ["waypoints", "random"])
    def test_scores(self, method: str) -> None:
        said: list[tuple[int, int, int]] = []
        outcomes = evaluate(
            MazeEvaluationOptions(method=method, episodes=12), 1, lambda *numbers: said.append(numbers)
        )
        low, high = self.chosen[method]
        assert low < np.mean([o.score for o in outcomes]) < high
        assert [s[:2] for s in said] == [(10, 12), (12, 12)]
        assert all(o.plans == 0 and o.plan_ms is None and o.wall_share is None for o in outcomes)
        assert len({o.episode_seed for o in outcomes}) == 12


def test_episodes_are_the_same_for_every_method() -> None:
    sources = Oracle(30), Straight(30)
    for source in sources:
        run(source, 7)
    np.testing.assert_array_equal(sources[0].asked[0][0], sources[1].asked[0][0])


def test_wrong_options_are_one_line() -> None:
    with pytest.raises(ConfigError, match="needs one"):
        evaluate(MazeEvaluationOptions(), 1)
    with pytest.raises(ConfigError, match="processes must be at least 1"):
        evaluate(MazeEvaluationOptions(), 0)
    with pytest.raises(ConfigError, match="maze must be one of umaze, medium, large, ring, blocks"):
        MazeEvaluationOptions(maze="small")  # type: ignore[arg-type]
