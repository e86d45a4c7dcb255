"""The scripted ant against Gymnasium-Robotics' own environment and maze."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from kdp_core.datasets import open_episodes
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.sim import ant_walker
from kdp_core.sim.ant_walker import AntWalker, Gait
from kdp_core.sim.gym_collect import RolloutOptions, collect_rollouts, run_policy
from kdp_core.sim.gym_env import make_env
from kdp_core.sim.gym_policies import load_policy, policy_hash

pytest.importorskip("gymnasium_robotics", reason="gymnasium-robotics is not installed")


@pytest.mark.parametrize(("name", "least"), [("UMaze", 4), ("Medium", 4)])
def test_it_reaches_most_goals(name: str, least: int) -> None:
    env = make_env(f"AntMaze_{name}-v4")
    episodes = [run_policy(env, AntWalker(), seed) for seed in range(6)]
    reached = [episode for episode in episodes if episode.terminations[-1]]
    assert len(reached) >= least
    for episode in reached:  # an episode ends at its goal, with its only reward
        assert np.linalg.norm(episode.observations[-1, :2] - episode.observations[-1, 2:4]) <= 0.45
        assert episode.rewards[-1] == 1.0 and not episode.rewards[:-1].any()
    assert all(len(e) == (700 if name == "UMaze" else 1000) for e in episodes if e.truncations[-1])


@pytest.mark.parametrize("degrees", range(0, 360, 45))
def test_it_walks_in_any_direction(degrees: int) -> None:
    """On open ground, 3 s without noise: most of the way it makes is in the wanted direction."""
    gym = pytest.importorskip("gymnasium")
    ground = [[1] * 9, *([1, *[0] * 7, 1] for _ in range(7)), [1] * 9]
    ground[4][4], ground[1][1] = "r", "g"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        env = gym.wrappers.FlattenObservation(gym.make("AntMaze_UMaze-v4", maze_map=ground))
    observation, _ = env.reset(seed=2)
    walker, way = AntWalker(), np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    start = observation[:2].copy()
    for _ in range(60):
        observation = env.step(walker._step(observation, way).astype(np.float32))[0]
    made = (observation[:2] - start) / 3.0
    assert made @ way > 0.5 and abs(made @ np.array([-way[1], way[0]])) < made @ way


def test_the_way_is_the_shortest_of_the_maze() -> None:
    """U-maze: from the cell above the bar to the one below it, five cells on."""
    env = make_env("AntMaze_UMaze-v4")
    walker = AntWalker()
    env.reset(seed=0)
    walker.begin(env)
    goal = np.array([-4.0, -4.0]) + 0.3
    way = walker._way(np.array([-4.0, 4.0]), goal)
    assert np.array(way[:-1]).tolist() == [[0, 4], [4, 4], [4, 0], [4, -4], [0, -4]]
    assert way[-1] == pytest.approx(goal)
    assert len(walker._way(goal, goal)) == 1


def test_rollouts_are_seeded_and_named(tmp_path: Path) -> None:
    def collect(out: Path) -> np.ndarray:
        path = collect_rollouts([Path("ant-walker")], RolloutOptions("AntMaze_UMaze-v4", 50, 1), out)
        assert "ant-walker in AntMaze_UMaze-v4" in open_episodes(path).metadata["description"]
        return open_episodes(path)[0].actions

    first = collect(tmp_path / "a-v0")
    assert (first == collect(tmp_path / "b-v0")).all() and first.shape[1] == 8
    assert len(policy_hash(Path("ant-walker"))) == 64


def test_a_changed_walker_has_another_version() -> None:
    """Data sets name the version alone: count it up with any of these."""
    known = Gait(14.42, 0.468, 0.779, 0.202, -0.907, 0.287, 2.675, 0.17)
    assert (AntWalker.version, Gait(), ant_walker.NOISE, ant_walker.REACHED_M) == (1, known, 0.2, 1.0)


def test_elsewhere_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ant-walker: takes 31 numbers and gives 8"):
        collect_rollouts([Path("ant-walker")], RolloutOptions("Hopper-v4", 10), tmp_path / "x-v0")
    with pytest.raises(ConfigError, match="walks in AntMaze environments only"):
        load_policy(Path("ant-walker")).begin(make_env("Hopper-v4"))
