"""Windows of recorded flights against encoding from scratch, and the mirror against a mirrored flight."""

import numpy as np
import pytest

from kdp_core.datasets.episodes import Episode
from kdp_core.exceptions import DataError
from kdp_core.sim.arena import Arena
from kdp_core.tasks.flight import FlightTask
from kdp_core.tasks.flight_windows import MAX_POLES

MIRROR = np.array([1.0, -1.0, 1.0])


def flight(
    steps: int = 57, n_poles: int = 8, seed: int = 0, mirrored: bool = False, **options: object
) -> Episode:
    rng = np.random.default_rng(seed)
    arena = Arena.random(seed, n_poles)
    position = arena.start + rng.normal(0, 0.05, (steps + 1, 3)).cumsum(axis=0)
    velocity, actions = rng.normal(0, 0.5, (steps + 1, 3)), rng.normal(0, 0.5, (steps, 3))
    goal, poles = np.broadcast_to(arena.goal, position.shape), arena.poles
    if mirrored:
        position, velocity, goal, actions, poles = (
            a * MIRROR for a in (position, velocity, goal, actions, poles)
        )
    return Episode(
        observations=np.concatenate([position, velocity, goal], axis=1).astype(np.float32),
        actions=actions.astype(np.float32),
        rewards=np.zeros(steps),
        terminations=np.zeros(steps, bool),
        truncations=np.zeros(steps, bool),
        options={"poles": poles.astype(np.float32), "world": 3, **options},
    )


def test_windows_are_what_the_planner_would_have_seen() -> None:
    task, episode = FlightTask(), flight()
    batch = task.windows(episode)
    starts = [0, 8, 16, 24]  # 57 steps hold windows of 32 up to row 25
    assert len(batch) == 2 * len(starts)
    for i, start in enumerate(starts):
        at = episode.observations[start].astype(np.float64)
        inputs = {
            "position": at[:3],
            "orientation": np.array([0, 0, 0, 1.0]),
            "velocity_body": at[3:6],
            "poles": episode.options["poles"],
            "goal": at[6:],
        }
        state, context = task.encode(inputs)
        np.testing.assert_allclose(batch.state[i], state, atol=1e-6)
        np.testing.assert_allclose(batch.context[i], context, atol=1e-5)
        for t in range(32):
            row = episode.observations[start + t]
            np.testing.assert_allclose(batch.windows[i, t, :3], row[:3] - at[:3], atol=1e-6)
            np.testing.assert_array_equal(batch.windows[i, t, 3:6], row[3:6])
            np.testing.assert_array_equal(batch.windows[i, t, 6:], episode.actions[start + t])
        assert batch.value[i] == pytest.approx(-np.linalg.norm(row[:3] - at[6:]), abs=1e-5)
        np.testing.assert_allclose(batch.extras[i, :6], [*at[:3], *at[6:]], atol=1e-6)
        poles = batch.extras[i, 6:].reshape(-1, 3)
        np.testing.assert_array_equal(poles[:8], inputs["poles"])
        assert len(poles) == MAX_POLES and (poles[8:, :2] == -100).all()
    assert batch.scene.tolist() == [6] * 4 + [7] * 4


def test_mirrored_windows_are_the_windows_of_the_mirrored_flight() -> None:
    task = FlightTask()
    batch, other = task.windows(flight()), task.windows(flight(mirrored=True))
    n = len(batch) // 2
    real = slice(0, 6 + 3 * 8)  # the rest pads with poles that are too far away to matter
    for b in (batch, other):
        assert (np.abs(b.extras[:, real.stop :].reshape(2 * n, -1, 3)[..., :2]) >= 100).all()
        b.extras = b.extras[:, real]
    for name in ("windows", "state", "context", "value", "extras"):
        np.testing.assert_allclose(getattr(batch, name)[n:], getattr(other, name)[:n], atol=2e-6)
        np.testing.assert_allclose(getattr(batch, name)[:n], getattr(other, name)[n:], atol=2e-6)


def test_data_without_worlds_have_no_scene() -> None:
    assert set(FlightTask().windows(flight(world=-1)).scene) == {-1}


def test_wrong_episodes_are_refused() -> None:
    good = flight()
    bad = Episode(good.observations[:, :8], good.actions, good.rewards, good.terminations, good.truncations)
    with pytest.raises(DataError, match=r"observations must be \(T\+1, 9\)"):
        FlightTask().windows(bad)
    crowded = flight(poles=np.ones((MAX_POLES + 1, 3), np.float32))
    with pytest.raises(DataError, match=r"options\.poles has 25 poles, expected at most 24"):
        FlightTask().windows(crowded)
