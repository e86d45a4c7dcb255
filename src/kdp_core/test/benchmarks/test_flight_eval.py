"""The lockstep evaluation: delay in closed form, independence of batching, intervals against SciPy."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdp_core.baselines.straight_fan import StraightFan
from kdp_core.benchmarks import flight_eval
from kdp_core.benchmarks.flight_eval import (
    EvaluationOptions,
    Outcome,
    _advance,
    _measure,
    evaluate,
    fly,
    summary,
)
from kdp_core.controller import ControllerOptions
from kdp_core.exceptions import ArtifactError, ConfigError
from kdp_core.sim.arena import Arena
from kdp_core.sim.crazyflie import Crazyflie

FAN = EvaluationOptions(
    worlds=3, poles=6, method="straight_fan", controller=ControllerOptions(candidates=8, ranking="task")
)


class Integrator:
    """A drone that has the commanded velocity at once."""

    dt = 0.002

    def __init__(self) -> None:
        self.position, self.velocity, self.steps = np.zeros(3), np.zeros(3), 0

    def velocity_world(self, velocity: np.ndarray) -> None:
        self.velocity = velocity

    def step(self, n: int) -> None:
        self.position = self.position + n * self.dt * self.velocity
        self.steps += n


@pytest.mark.parametrize("delay", [0, 6, 10, 17, 40])
def test_commands_act_after_the_delay_exactly(delay: int) -> None:
    """Command k, computed at step 10 k, acts from step 10 k + delay until the next one does."""
    rng = np.random.default_rng(delay)
    commands, drone, pending = rng.normal(size=(12, 3)), Integrator(), []
    for k, command in enumerate(commands):
        pending.append((10 * k + delay, command))
        _advance(drone, 10 * k, 10, pending)
    acting = [(step - delay) // 10 for step in range(120)]
    expected = sum(0.002 * commands[k] for k in acting if k >= 0)
    assert drone.steps == 120
    np.testing.assert_allclose(drone.position, expected, atol=1e-12)


def test_measured_velocity_is_in_the_body_frame() -> None:
    drones, arena = Crazyflie(1), Arena.random(0, 3)
    drones.reset(slice(None), arena.start[None], hovering=True)
    drones.quaternion[0] = [0, 0, np.sin(np.pi / 4), np.cos(np.pi / 4)]  # yaw of 90 degrees
    drones.velocity[0] = [0.0, 1.0, 0.2]
    quiet = replace(FAN, position_noise_m=0.0, velocity_noise_m_s=0.0)
    measured = _measure(drones, 0, arena, np.random.default_rng(0), quiet)
    np.testing.assert_allclose(measured["velocity_body"], [1.0, 0.0, 0.2], atol=1e-12)
    np.testing.assert_allclose(measured["position"], arena.start)
    noisy = [_measure(drones, 0, arena, np.random.default_rng(s), FAN)["position"] for s in range(300)]
    assert np.std(np.array(noisy) - arena.start) == pytest.approx(0.01, rel=0.1)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight_eval, "TIME_LIMIT_S", 1.0)


def close(a: Outcome, b: Outcome) -> bool:
    return (a.world_seed, a.reason, a.cycles) == (b.world_seed, b.reason, b.cycles) and abs(
        a.final_distance_m - b.final_distance_m
    ) < 1e-9


def test_flights_do_not_depend_on_who_flies_beside_them(short: None) -> None:
    together = fly(StraightFan(), [5, 6, 7], FAN)
    alone = [fly(StraightFan(), [seed], FAN)[0] for seed in (5, 6, 7)]
    assert all(close(a, b) for a, b in zip(together, alone, strict=True))
    assert [o.reason for o in together] == ["time limit"] * 3 and [o.cycles for o in together] == [50] * 3
    other = fly(StraightFan(), [5], replace(FAN, position_noise_m=0.05))[0]
    assert other.final_distance_m != together[0].final_distance_m


def test_results_do_not_depend_on_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes: one flies worlds 0 to 2 (its chunks are longer), the other world 2 alone."""
    monkeypatch.setattr(flight_eval, "WORLDS_PER_CHUNK", 2)
    options = EvaluationOptions(
        worlds=3, poles=0, method="straight_fan", controller=ControllerOptions(candidates=1)
    )
    seen = []
    flown = evaluate(options, 2, lambda *progress: seen.append(progress))
    assert seen[-1][1:] == (3, 4) and [o.world_seed - 500_000_000 for o in flown] == [0, 1, 2, 2]
    assert close(flown[2], flown[3]) and flown[2].time_s == flown[3].time_s
    for outcome in flown:  # without poles a straight line succeeds
        assert outcome.success and outcome.closest_m is None and 0.1 < outcome.final_distance_m <= 0.2
        assert outcome.time_s > 5.0 / 0.8  # no faster than the speed limit


def test_collisions_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(StraightFan):
        def propose(
            self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
        ) -> tuple[np.ndarray, np.ndarray]:
            windows, scores = super().propose(state, context, noise)
            windows[..., 6:] = windows[:1, :1, 6:]
            return windows, scores

    goal = np.array([5.6, 0, 1.0])
    world = Arena(np.array([[1.2, 0.0, 0.15]]), np.array([0.4, 0, 1.0]), goal)
    monkeypatch.setattr(flight_eval.Arena, "random", classmethod(lambda cls, seed, poles: world))
    monkeypatch.setattr(flight_eval, "TIME_LIMIT_S", 4.0)
    options = replace(FAN, controller=ControllerOptions(candidates=1, ranking="learned"))
    outcome = fly(Blind(), [1], options)[0]
    assert outcome.reason == "collision" and not outcome.success and outcome.time_s is None
    assert -0.05 < outcome.closest_m < 0.0


def test_summary_is_json(tmp_path: Path) -> None:
    good = Outcome(1, True, "success", 7.0, 0.1, 0.19, 350, 0)
    bad = Outcome(2, False, "collision", None, -0.01, 3.0, 50, 10)
    result = json.loads(json.dumps(summary(FAN, [good, good, bad, bad]), allow_nan=False))
    assert result["n"] == 4 and result["success_rate"] == 0.5 and result["collisions"] == 2
    assert result["time_to_success_s"] == {"median": 7.0, "p90": 7.0}
    assert result["safe_action_share"] == pytest.approx(20 / 800)
    assert summary(FAN, [bad])["time_to_success_s"] == {"median": None, "p90": None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"worlds": 0}, "worlds must be at least 1"),
        ({"poles": 31}, "poles must be 0 to 30"),
        ({"delay_ms": -1.0}, "delay_ms must be 0 to 1000"),
        ({"position_noise_m": float("nan")}, "position_noise_m must be at least 0"),
        ({"rate_hz": 0.0}, "rate_hz must be 1 to 500"),
    ],
)
def test_impossible_options(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        EvaluationOptions(**change)


def test_a_broken_artifact_is_refused_before_anything_flies(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such directory"):
        evaluate(EvaluationOptions(artifact=str(tmp_path / "none")), 1)
    with pytest.raises(ConfigError, match="method 'planner' needs one"):
        evaluate(EvaluationOptions(), 1)
    with pytest.raises(ConfigError, match="processes must be at least 1, got 0"):
        evaluate(FAN, 0)
