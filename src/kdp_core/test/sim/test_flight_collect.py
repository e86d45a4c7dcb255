"""Collected flights: reproducible, branching, collision-free, and what their numbers mean."""

import numpy as np
import pytest

from kdp_core.datasets.episodes import Episode
from kdp_core.exceptions import ConfigError
from kdp_core.sim import flight_collect, flight_dataset
from kdp_core.sim.arena import Arena
from kdp_core.sim.flight_collect import CollectOptions, collect_worlds

OPTIONS = CollectOptions(worlds=3, poles=(4, 8), states=2, branches=2, rows=12, seed=7)


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    return list(collect_worlds(OPTIONS, 0, 3))


def same(a: list[Episode], b: list[Episode]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x.observations, y.observations) and np.array_equal(x.actions, y.actions)
        for x, y in zip(a, b, strict=True)
    )


def test_same_seed_same_flights(episodes: list[Episode]) -> None:
    assert same(episodes, list(collect_worlds(OPTIONS, 0, 3)))


def test_another_seed_other_flights(episodes: list[Episode]) -> None:
    other = list(
        collect_worlds(CollectOptions(worlds=3, poles=(4, 8), states=2, branches=2, rows=12, seed=8), 0, 3)
    )
    assert not same(episodes, other)


def test_shapes_progress_and_no_collision(episodes: list[Episode]) -> None:
    assert len(episodes) >= 6
    for episode in episodes:
        episode.check("flight")
        assert episode.observations.shape == (13, 9) and episode.actions.shape == (12, 3)
        assert np.abs(episode.actions).max() <= 0.8 + 1e-6
        position, goal = episode.observations[:, :3], episode.observations[:, 6:]
        arena = Arena.random(episode.seed, len(episode.options["poles"]))
        np.testing.assert_allclose(arena.poles, episode.options["poles"], atol=1e-6)
        np.testing.assert_allclose(goal, np.tile(arena.goal, (13, 1)), atol=1e-6)
        assert not arena.collides(position).any() and not arena.outside(position).any()
        away = np.linalg.norm(position - goal, axis=1)
        np.testing.assert_allclose(episode.rewards, away[:-1] - away[1:], atol=1e-5)
        assert (
            episode.terminations[-1] == (away[-1] < 0.2)
            and episode.truncations[-1] != episode.terminations[-1]
        )


def test_branches_of_a_state_start_together_and_part(episodes: list[Episode]) -> None:
    starts: dict[bytes, list[Episode]] = {}
    for episode in episodes:
        starts.setdefault(episode.observations[0].tobytes(), []).append(episode)
    pairs = [group for group in starts.values() if len(group) == 2]
    assert pairs and max(len(group) for group in starts.values()) == 2
    assert any(np.abs(a.observations[-1] - b.observations[-1]).max() > 1e-3 for a, b in pairs)


def test_data_do_not_depend_on_processes(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are seeded by their first world; only who flies them changes."""
    from kdp_core.datasets import open_episodes

    options = CollectOptions(worlds=2, poles=(3, 3), states=2, branches=2, rows=4, seed=1)
    monkeypatch.setattr(
        flight_dataset, "CHUNK_WORLDS", 1
    )  # not known to spawned workers: they take one world
    seen = []
    path = flight_dataset.collect_flights(options, tmp_path / "a-v0", 2, progress=lambda *a: seen.append(a))
    assert seen[-1][:2] == (2, 2)
    stored = list(open_episodes(path))
    alone = [*collect_worlds(options, 0, 2), *collect_worlds(options, 1, 1)]
    assert same(stored, alone)


def test_a_world_without_a_usable_state_gives_no_flights(monkeypatch: pytest.MonkeyPatch) -> None:
    none = np.zeros(0, int), np.zeros((0, 3)), np.zeros((0, 3))
    monkeypatch.setattr(flight_collect, "_states", lambda *a: none)
    assert list(collect_worlds(CollectOptions(worlds=1), 0, 1)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"worlds": 0}, "collect.worlds must be at least 1, got 0"),
        ({"poles": (5, 4)}, "collect.poles must be"),
        ({"poles": (0, 25)}, "collect.poles must be .* 0 to 24"),
        ({"free_states": 1.5}, "collect.free_states must be 0 to 1"),
        ({"gust": float("nan")}, "collect.gust must be at least 0, got nan"),
        ({"seed": -1}, "collect.seed must be 0 to 498"),
    ],
)
def test_impossible_options(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CollectOptions(**change)
