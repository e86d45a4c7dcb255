"""The maze task: windows in hindsight against loops, the key with a clamped goal, Diffuser's tracking law."""

import math
from pathlib import Path

import numpy as np
import pytest

from kdp_core.datasets import open_episodes
from kdp_core.datasets.episodes import Episode
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.prepare import prepare
from kdp_core.sim.maze2d_collect import collect_maze
from kdp_core.sim.maze2d_options import MazeCollectOptions
from kdp_core.tasks import make_task
from kdp_core.tasks.maze import MazeTask
from kdp_core.windows import keys


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("maze") / "umaze.hdf5"
    return collect_maze("umaze", MazeCollectOptions(steps=4000), path)


def moving(steps: int) -> Episode:
    """A point that moves by (0.02, 0.01) m a step; velocity and action tell the row."""
    t = np.arange(steps, dtype=np.float32)
    observations = np.stack([0.8 + 0.02 * t, 0.8 + 0.01 * t, t + 1, -t - 1], axis=1)
    nothing = np.zeros(steps, bool)
    return Episode(observations, np.stack([t + 1, t + 1], 1) / steps, np.zeros(steps), nothing, nothing)


def test_windows_follow_the_recording_and_then_hold_at_the_goal() -> None:
    episode, task = moving(200), MazeTask("umaze", 30)
    batch = task.windows(episode)
    assert 11 <= len(batch) <= 13 and batch.windows.shape[1:] == (30, 6)
    taus = []
    for window, state, goal, value in zip(
        batch.windows, batch.state, batch.context, batch.value, strict=True
    ):
        row = round(float(state[2])) - 1
        np.testing.assert_array_equal(state, episode.observations[row])
        tau = int((window[:, 2] != 0).sum()) - 1
        taus.append(tau)
        for t in range(30):
            if t <= tau:
                expected = [*episode.observations[row + t], *episode.actions[row + t]]
            else:
                expected = [*episode.observations[row + tau, :2], 0, 0, 0, 0]
            np.testing.assert_allclose(window[t], expected, atol=1e-6)
        np.testing.assert_array_equal(window[-1, :2], goal)
        near = [math.dist(window[t, :2], goal) <= 0.5 for t in range(30)]
        weights = [0.997**t for t in range(30)]
        expected = sum(w for w, at in zip(weights, near, strict=True) if at) / sum(weights)
        assert value == pytest.approx(expected, rel=1e-5)
    assert 29 in taus and min(taus) < 29 and min(taus) >= 1


def test_window_is_held_where_the_recording_ends_before_it() -> None:
    batch = MazeTask("umaze", 64).windows(moving(20))
    assert len(batch) >= 1 and (batch.windows[:, 20:, 2:] == 0).all()


def test_cloning_learns_one_row_with_a_goal_from_later_on() -> None:
    task = MazeTask("umaze", 1)
    batch = task.windows(moving(300))
    away = (batch.context[:, 0] - batch.state[:, 0]) / 0.02
    assert task.spec.goal.mode == "context" and task.spec.d_goal == 0 and task.spec.d_context == 2
    assert (away > 0.5).all() and away.max() > 60


def test_journeys_are_windows_from_their_start_to_their_goal() -> None:
    """A journey of 160 rows has windows at rows 0, 64 and 128, held at its end; too long a one is cut."""
    episode = moving(160)
    batch = MazeTask("ring", 160).windows(episode)
    np.testing.assert_array_equal(batch.state, episode.observations[[0, 64, 128]])
    np.testing.assert_allclose(batch.context, episode.observations[[159] * 3, :2])
    assert [int((window[:, 2] != 0).sum()) for window in batch.windows] == [160, 96, 32]
    cut = MazeTask("ring", 100).windows(episode)
    np.testing.assert_allclose(cut.context[:2], episode.observations[[99, 159], :2])


def test_mazes_with_loops_are_tasks_by_name() -> None:
    task = make_task("routes-blocks")
    assert (task.spec.name, task.spec.horizon) == ("routes-blocks", 256)
    with pytest.raises(ConfigError, match=r"known: .*routes-blocks, routes-ring"):
        make_task("routes-none")


def test_data_set_is_prepared_with_the_goal_in_the_key(data: Path) -> None:
    task = make_task("maze2d-umaze", 192)
    prepared = prepare(open_episodes(data), task)
    assert prepared.episodes > 10 and len(np.unique(prepared.batch.group)) == prepared.episodes
    normaliser = prepared.spec.normaliser
    found = keys(prepared.batch, prepared.spec)
    assert found.shape == (len(prepared.batch), 6)
    for row in (0, len(found) - 1):
        state, goal = prepared.batch.state[row], prepared.batch.context[row]
        mean, std = normaliser.state_mean, normaliser.state_std
        expected = [
            *((state[i] - mean[i]) / std[i] / math.sqrt(2) for i in range(2)),
            *(0.5 * (state[i] - mean[i]) / std[i] / math.sqrt(2) for i in (2, 3)),
            *((goal[i] - mean[i]) / std[i] / math.sqrt(2) for i in range(2)),
        ]
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)
    positions = prepared.batch.windows[..., :2]
    assert not task.layout.in_wall(positions).any()  # recorded windows never plan through walls
    low, high = task.spec.limits("state")
    assert (prepared.batch.state >= low).all() and (prepared.batch.state <= high).all()


def test_other_data_are_refused_in_one_line() -> None:
    episode = moving(20)
    wrong = Episode(episode.observations[:, :3], episode.actions, *[np.zeros(20, bool)] * 3)
    with pytest.raises(DataError, match=r"observations \(T, 4\) as x, y, vx, vy"):
        MazeTask("umaze").windows(wrong)


def test_following_is_diffusers_law_and_rests_after_the_plan() -> None:
    task, state = MazeTask("umaze", 2), np.array([1.0, 2.0, 0.1, -0.1])
    window = np.array([[0, 0, 0, 0, 9, 9], [1.5, 2.25, 0.5, 0.25, 9, 9]], np.float32)
    np.testing.assert_allclose(task.follow(window, 0, state), [0.5 + 0.4, 0.25 + 0.35], atol=1e-6)
    for row in (1, 2, 200):
        np.testing.assert_allclose(task.follow(window, row, state), [0.5 - 0.1, 0.25 + 0.1], atol=1e-6)


def test_labels_by_hand() -> None:
    """Discounted share of rows at the goal, less four times the share in walls (x = 1.3 to 2.3 at y = 1)."""
    task = MazeTask("umaze", 4)
    windows = np.zeros((1, 2, 4, 6), np.float32)
    windows[0, 0, :, :2] = [(3.0, 1.0), (2.9, 1.0), (2.8, 1.0), (2.5, 1.0)]
    windows[0, 1, :, :2] = [(3.0, 1.0), (2.1, 1.0), (1.9, 1.0), (1.0, 1.0)]
    batch = task.windows(moving(9)).take(np.array([0]))
    batch.context[0] = (1.0, 1.0)
    first, second = task.labeller(batch).labels(windows, batch)[0]
    assert first == 0.0
    assert second == pytest.approx(0.997**3 / sum(0.997**t for t in range(4)) - 4.0 * 0.5)
    assert MazeTask("umaze", 1).labeller(batch) is None


def test_costs_by_hand() -> None:
    """Three windows of four rows: at the goal; two rows in the wall beside it; not finite."""
    task = MazeTask("umaze", 4)
    windows = np.zeros((3, 4, 6))
    windows[0, :, :2] = (1.0, 1.0)
    windows[1, :, :2] = [(1.0, 1.0), (1.0, 1.4), (1.9, 1.0), (1.9, 1.0)]
    windows[2] = np.nan
    cost, valid = task.costs(windows, {"goal": np.array([1.0, 1.0])})
    np.testing.assert_allclose(cost[:2], [0.0, 4.0 * 0.5 + 0.5])
    assert valid.tolist() == [True, True, False]
