"""Maze2D against closed forms, breadth-first search, hand computation and gymnasium-robotics."""

from collections import deque

import numpy as np
import pytest

from kdp_core.sim.maze2d import Maze2D, reward
from kdp_core.sim.maze2d_collect import collect
from kdp_core.sim.maze2d_expert import WaypointController, q_values, route
from kdp_core.sim.maze2d_layout import MAZES, MazeName, layout
from kdp_core.sim.maze2d_options import MazeCollectOptions

MASS = 1000.0 * 4.0 / 3.0 * np.pi * 0.1**3


def distances(free: np.ndarray, target: tuple[int, int]) -> dict[tuple[int, int], int]:
    """Cells to the target by breadth-first search."""
    found, queue = {target: 0}, deque([target])
    while queue:
        i, j = queue.popleft()
        for cell in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
            if free[cell] and cell not in found:
                found[cell] = found[i, j] + 1
                queue.append(cell)
    return found


@pytest.mark.parametrize("name", MAZES)
def test_value_iteration_finds_shortest_routes(name: MazeName) -> None:
    free = layout(name).free
    for target in map(tuple, layout(name).cells):
        away, q = distances(free, target), q_values(free, target)
        assert len(away) == free.sum()  # every cell can be reached
        for start, steps in away.items():
            cells = route(free, q, start, target)
            assert len(cells) == max(steps, 1) and cells[-1] == target and all(free[c] for c in cells)
            value = sum(0.99**i for i in range(steps, 50))  # the reward of 50 sweeps, from arrival on
            assert q[start].max() == pytest.approx(value, rel=1e-9)


def test_free_motion_is_implicit_euler_with_damping() -> None:
    """M v' + h D v' = M v + h F: MuJoCo's Euler takes the joints' damping (1) implicitly."""
    maze, h = Maze2D(layout("umaze")), 0.01
    state = np.array([3.0, 1.2, 0.3, -0.2])
    maze.set_state(state)
    for push in np.random.default_rng(0).uniform(-1.5, 1.5, (20, 2)):
        velocity = (MASS * state[2:] + h * 100.0 * np.clip(push, -1, 1)) / (MASS + h)
        state = np.concatenate([state[:2] + h * velocity, velocity])
        np.testing.assert_allclose(maze.step(push)[0], state, atol=1e-9)


def test_velocity_is_clipped_before_the_step() -> None:
    maze = Maze2D(layout("large"))
    maze.set_state(np.array([3.0, 1.0, 0.0, 9.0]))
    speed = maze.step(np.array([0.0, 1.0]))[0][3]
    assert speed == pytest.approx((MASS * 5.0 + 1.0) / (MASS + 0.01))  # 5.226, the largest of D4RL's data too


def test_walls_stop_the_point_at_its_radius() -> None:
    """Cell (1, 3) of the U-maze ends at y = 3.3: the point of radius 0.1 rests at 3.2."""
    maze = Maze2D(layout("umaze"))
    maze.set_state(np.array([0.8, 2.0, 0.0, 0.0]))
    for _ in range(300):
        state, _ = maze.step(np.array([0.0, 1.0]))
    assert state[1] == pytest.approx(3.2, abs=0.02) and abs(state[3]) < 0.05
    assert not maze.layout.in_wall(state[:2]) and maze.layout.in_wall(np.array([0.8, 3.31]))


def test_free_motion_is_that_of_gymnasium_robotics() -> None:
    """Their model of the same maze, turned by a quarter: displacements and velocities agree."""
    pytest.importorskip("gymnasium_robotics")
    import gymnasium
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    theirs = gymnasium.make("PointMaze_UMaze-v3", continuing_task=True, max_episode_steps=1000).unwrapped
    observation, _ = theirs.reset(seed=0, options={"reset_cell": (3, 1), "goal_cell": (1, 1)})
    start = observation["observation"]
    ours = Maze2D(layout("umaze"))
    centre = theirs.maze.cell_rowcol_to_xy(np.array([3, 1]))
    # Their x runs along columns and their y against the rows; cell (3, 1) is free in the mirrored layout too.
    offset = start[:2] - centre
    ours.set_state(np.array([2.8 - offset[1], 0.8 + offset[0], -start[3], start[2]]))
    for push in np.random.default_rng(1).uniform(-1, 1, (60, 2)):
        observation, *_ = theirs.step(push)
        state, _ = ours.step(np.array([-push[1], push[0]]))
        x, y, vx, vy = observation["observation"]
        expected = [2.8 - (y - centre[1]), 0.8 + (x - centre[0]), -vy, vx]
        np.testing.assert_allclose(state, expected, atol=1e-6)
    theirs.close()


def test_score_by_hand() -> None:
    assert layout("umaze").score(23.85) == 0.0 and layout("umaze").score(161.86) == pytest.approx(100.0)
    assert layout("medium").score(300) == pytest.approx(100 * 286.87 / 264.26)
    assert layout("large").score(800) == pytest.approx(100 * 793.3 / 267.29)


def test_reward_ends_at_half_a_metre() -> None:
    goal = np.array([1.0, 2.0])
    assert (
        reward(np.array([1.3, 2.4, 0, 0]), goal) == 1.0 and reward(np.array([1.31, 2.4, 0, 0]), goal) == 0.0
    )


def test_layouts_are_those_of_d4rl() -> None:
    """Cells, goals and sizes counted by hand in D4RL's maze_model.py (version 1)."""
    found = {n: (layout(n).free.shape, int(layout(n).free.sum()), layout(n).goal) for n in MAZES}
    assert found == {
        "umaze": ((5, 5), 7, (1, 1)),
        "medium": ((8, 8), 26, (6, 6)),
        "large": ((9, 12), 46, (7, 9)),
    }


def test_starts_are_within_a_tenth_of_cells() -> None:
    maze, rng = Maze2D(layout("medium")), np.random.default_rng(3)
    starts = np.array([maze.reset(rng) for _ in range(300)])
    assert np.abs(starts[:, :2] - np.rint(starts[:, :2])).max() <= 0.1
    assert len({tuple(c) for c in np.rint(starts[:, :2])}) == 26  # the goal's cell is among them
    assert starts[:, 2:].std() == pytest.approx(0.1, rel=0.1) and (maze.goal == (6, 6)).all()


def test_waypoint_controller_scores_as_the_reference() -> None:
    """138 on average over many episodes of the U-maze; a standard deviation of one is about 33."""
    maze, rng = Maze2D(layout("umaze")), np.random.default_rng(0)
    scores = []
    for _ in range(16):
        state, controller, total = maze.reset(rng), WaypointController(maze.layout, rng), 0.0
        for _ in range(maze.layout.steps):
            state, gain = maze.step(controller.action(state, maze.goal)[0])
            total += gain
        scores.append(maze.layout.score(total))
    assert 138 - 30 < np.mean(scores) < 138 + 30


def test_collected_stream_is_continuous_and_repeats() -> None:
    options = MazeCollectOptions(steps=3000, seed=2)
    data = collect("umaze", options)
    state, push, ends = data["observations"], data["actions"], data["timeouts"]
    velocity = (MASS * np.clip(state[:-1, 2:], -5, 5) + push[:-1]) / (MASS + 0.01)
    apart = np.abs(state[1:, 2:] - velocity).max(axis=1)
    assert np.mean(apart < 1e-5) > 0.9  # the rest touches walls
    np.testing.assert_allclose(state[1:, :2] - state[:-1, :2], 0.01 * state[1:, 2:], atol=1e-5)
    changed = (data["infos/goal"][1:] != data["infos/goal"][:-1]).any(axis=1)
    assert (changed == ends[:-1]).all() and ends.sum() > 10
    near = np.linalg.norm(state[:, :2] - np.rint(data["infos/goal"]), axis=1) < 0.1
    assert near[ends].all()  # the cell of each goal is reached, well before 300 steps
    assert not layout("umaze").in_wall(state[:, :2]).any()
    assert all((data[k] == v).all() for k, v in collect("umaze", options).items())
