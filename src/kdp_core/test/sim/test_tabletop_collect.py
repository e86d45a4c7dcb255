"""Demonstrations: reproducible, successful, measured with noise, disturbed; stored as a LeRobotDataset."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdp_core.datasets import open_episodes
from kdp_core.datasets.episodes import Episode
from kdp_core.datasets.lerobot_format import ENVIRONMENT, STATE
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.sim import tabletop_dataset
from kdp_core.sim.so100 import Scene, So100Scene
from kdp_core.sim.so100_geometry import HIGH_RAD, LOW_RAD
from kdp_core.sim.tabletop_collect import Disturbance, collect_episodes
from kdp_core.sim.tabletop_options import SensorNoise, TabletopCollectOptions
from kdp_core.sim.tabletop_sensor import TICK_RAD, measure

OPTIONS = TabletopCollectOptions(episodes=2, seed=3, hold_s=0.3)


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    return list(collect_episodes("pick_place", OPTIONS, 0, 2))


def test_shapes_progress_and_limits(episodes: list[Episode]) -> None:
    assert len(episodes) == 2
    for episode in episodes:
        episode.check("demonstration")
        steps, scene = len(episode), Scene.random("pick_place", episode.seed)
        channels = episode.channels()
        assert channels[STATE].shape == (steps, 6) and channels[ENVIRONMENT].shape == (steps, 10)
        assert (episode.actions >= LOW_RAD - 1e-6).all() and (episode.actions <= HIGH_RAD + 1e-6).all()
        np.testing.assert_allclose(channels[ENVIRONMENT][:, 7:], np.tile(scene.goal, (steps, 1)), atol=1e-6)
        distance = np.linalg.norm(scene.cubes[0, :3] - scene.goal)
        assert distance - episode.rewards.sum() < 0.03  # it ends at the goal
        assert episode.terminations[-1] and not episode.terminations[:-1].any()


def test_same_seed_same_demonstrations(episodes: list[Episode]) -> None:
    again = list(collect_episodes("pick_place", OPTIONS, 1, 1))
    np.testing.assert_array_equal(again[0].actions, episodes[1].actions)
    other = list(collect_episodes("pick_place", replace(OPTIONS, seed=4), 1, 1))
    assert len(other[0]) != len(again[0]) or not np.array_equal(other[0].actions, again[0].actions)


def test_measurements_have_the_noise_that_is_asked_for() -> None:
    scene, simulator = Scene.random("stack", 1), So100Scene(2)
    simulator.reset(scene)
    rng = np.random.default_rng(0)
    noise = SensorNoise(joint_ticks=0.5, cube_m=0.001, cube_rad=0.02)
    seen = [measure(simulator, scene.goal, noise, rng) for _ in range(2000)]
    joints = np.stack([s["joints"] for s in seen]) - simulator.joints
    cubes = np.stack([s["cubes"] for s in seen])
    assert joints.std() == pytest.approx(0.5 * TICK_RAD, rel=0.05)
    assert (cubes[..., :3] - simulator.cube_poses[:, :3]).std() == pytest.approx(0.001, rel=0.05)
    np.testing.assert_allclose(np.linalg.norm(cubes[..., 3:], axis=-1), 1.0, atol=1e-12)
    cosine = np.abs((cubes[..., 3:] * simulator.cube_poses[:, 3:]).sum(axis=-1))
    angle = 2.0 * np.arccos(np.minimum(cosine, 1.0))
    assert np.sqrt((angle**2).mean() / 3.0) == pytest.approx(0.02, rel=0.05)
    exact = measure(simulator, scene.goal, SensorNoise(0.0, 0.0, 0.0), rng)
    np.testing.assert_allclose(exact["cubes"], simulator.cube_poses, atol=1e-12)


def test_disturbances_are_as_large_as_asked_and_the_jaw_slips() -> None:
    options = TabletopCollectOptions(disturbance=0.05, push=0.0, slip=0.0)
    targets, size = np.zeros(6), []
    for seed in range(30):
        disturbance = Disturbance(options, np.random.default_rng(seed))
        size.append(np.std([disturbance.step(targets)[0] for _ in range(400)]))
    assert min(size) == 0.0 and 0.03 < max(size) < 0.07  # each episode draws 0, half or all of it
    slips = Disturbance(replace(options, slip=2.0, disturbance=0.0), np.random.default_rng(0))
    jaw = np.array([slips.step(targets)[5] for _ in range(500)])
    assert set(np.round(jaw, 6)) == {0.0, 0.6}


def test_stored_data_do_not_depend_on_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, episodes: list[Episode]
) -> None:
    seen = []
    path = tabletop_dataset.collect_tabletop(
        "pick_place", OPTIONS, tmp_path / "data", 2, progress=lambda *a: seen.append(a)
    )
    assert seen[-1] == (2, 2, 2)
    stored = list(open_episodes(path))
    assert [len(e) for e in stored] == [len(e) for e in episodes]
    np.testing.assert_array_equal(stored[1].actions, episodes[1].actions)
    with pytest.raises(DataError, match="exists already"):
        tabletop_dataset.collect_tabletop("pick_place", OPTIONS, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"episodes": 0}, "demonstrations.episodes"),
        ({"other": 1.5}, "demonstrations.other"),
        ({"push": -1.0}, "demonstrations.push"),
    ],
)
def test_impossible_options(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TabletopCollectOptions(**change)
