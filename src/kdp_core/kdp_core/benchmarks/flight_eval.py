"""Lockstep evaluation of the flight task: unseen worlds, state noise and delay, many flights at once."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from kdp_core.controller import Controller, ControllerOptions
from kdp_core.exceptions import ConfigError
from kdp_core.planner import Planner, WindowSource
from kdp_core.proportions import wilson
from kdp_core.ranges import at_least, within
from kdp_core.sim.arena import MAX_POLES, Arena
from kdp_core.sim.crazyflie import Crazyflie
from kdp_core.tasks.flight import GOAL_TOLERANCE_M, FlightTask
from kdp_core.tasks.flight_geometry import rotate

TIME_LIMIT_S = 20.0
WORLD_SEED_BASE = 500_000_000
WORLDS_PER_CHUNK = 25
Method = Literal["planner", "rotated_mean", "straight_fan"]


@dataclass(frozen=True)
class EvaluationOptions:
    """What is evaluated. Delay is from measuring the state to the firmware applying the command."""

    worlds: int = 200
    poles: int = 12
    seed: int = 0
    delay_ms: float = 12.0
    position_noise_m: float = 0.01
    velocity_noise_m_s: float = 0.03
    rate_hz: float = 50.0
    method: Method = "planner"
    artifact: str | None = None
    controller: ControllerOptions = field(default_factory=ControllerOptions)

    def __post_init__(self) -> None:
        at_least(self, 1, "worlds")
        at_least(self, 0, "seed", "position_noise_m", "velocity_noise_m_s")
        within(self, 0, MAX_POLES, "poles")
        within(self, 0, 1000, "delay_ms")
        within(self, 1, 500, "rate_hz")


@dataclass(frozen=True)
class Outcome:
    """One flight, scored from the true state.

    time_s: to success, None otherwise. closest_m: least clearance to a pole, None without poles.
    """

    world_seed: int
    success: bool
    reason: str
    time_s: float | None
    closest_m: float | None
    final_distance_m: float
    cycles: int
    safe_cycles: int


def make_source(options: EvaluationOptions) -> WindowSource:
    """The window source of a method; raises ArtifactError if its artifact is broken."""
    if options.method == "straight_fan":
        from kdp_core.baselines.straight_fan import StraightFan

        return StraightFan()
    if options.artifact is None:
        raise ConfigError(f"artifact: method '{options.method}' needs one")
    planner = Planner.load(options.artifact)
    FlightTask().spec.require_same(
        planner.spec, f"{options.artifact}/spec.json"
    ) if planner.spec.horizon > 1 else None
    if options.method == "rotated_mean":
        from kdp_core.baselines.rotated_mean import RotatedMean

        return RotatedMean(planner)
    return planner


def evaluate(
    options: EvaluationOptions,
    processes: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> list[Outcome]:
    """Fly ``options.worlds`` worlds over processes.

    ``progress(done, total, successes)``. Results do not depend on processes.
    """
    if processes is not None and processes < 1:
        raise ConfigError(f"processes must be at least 1, got {processes}")
    make_source(options)
    chunks = range(0, options.worlds, WORLDS_PER_CHUNK)
    outcomes: list[Outcome] = []
    with multiprocessing.get_context("spawn").Pool(processes or os.cpu_count() or 1) as pool:
        for part in pool.imap(partial(_fly_chunk, options), chunks):
            outcomes += part
            if progress is not None:
                progress(len(outcomes), options.worlds, sum(o.success for o in outcomes))
    return outcomes


def _fly_chunk(options: EvaluationOptions, first: int) -> list[Outcome]:
    count = min(WORLDS_PER_CHUNK, options.worlds - first)
    seeds = [WORLD_SEED_BASE + options.seed * 1_000_000 + first + i for i in range(count)]
    return fly(make_source(options), seeds, options)


def fly(source: WindowSource, seeds: list[int], options: EvaluationOptions) -> list[Outcome]:
    """Fly one drone per world seed in lockstep."""
    n, task = len(seeds), FlightTask()
    arenas = [Arena.random(seed, options.poles) for seed in seeds]
    controllers = [Controller(source, task, replace(options.controller, seed=seed)) for seed in seeds]
    noise = [np.random.default_rng([seed, 1]) for seed in seeds]
    drones = Crazyflie(n)
    drones.reset(slice(None), np.stack([arena.start for arena in arenas]), hovering=True)
    tick = round(1.0 / (options.rate_hz * drones.dt))
    delay = round(options.delay_ms * 1e-3 / drones.dt)
    commands, pending = np.zeros((n, 3)), []
    drones.velocity_world(commands)
    active = np.ones(n, bool)
    closest, reason, time_s = np.full(n, np.inf), ["time limit"] * n, np.full(n, np.nan)
    cycles, safe, final = np.zeros(n, int), np.zeros(n, int), np.zeros(n)
    for step in range(0, round(TIME_LIMIT_S / drones.dt), tick):
        fresh = np.zeros((n, 3))
        for i in np.flatnonzero(active):
            decision = controllers[i].step(_measure(drones, int(i), arenas[i], noise[i], options))
            fresh[i] = decision.action
            cycles[i] += 1
            safe[i] += decision.safe
        pending.append((step + delay, fresh))
        _advance(drones, step, tick, pending)
        for i in np.flatnonzero(active):
            position = drones.position[i]
            gap = float(arenas[i].pole_clearance(position))
            closest[i] = min(closest[i], gap)
            final[i] = distance = float(np.linalg.norm(position - arenas[i].goal))
            if gap < 0.0:
                active[i], reason[i] = False, "collision"
            elif arenas[i].outside(position) or position[2] <= 0.05:
                active[i], reason[i] = False, "left the arena"
            elif distance <= GOAL_TOLERANCE_M:
                active[i], reason[i], time_s[i] = False, "success", (step + tick) * drones.dt
        if not active.any():
            break
    return [
        Outcome(
            world_seed=seeds[i],
            success=reason[i] == "success",
            reason=reason[i],
            time_s=float(time_s[i]) if np.isfinite(time_s[i]) else None,
            closest_m=float(closest[i]) if np.isfinite(closest[i]) else None,
            final_distance_m=float(final[i]),
            cycles=int(cycles[i]),
            safe_cycles=int(safe[i]),
        )
        for i in range(n)
    ]


def _measure(
    drones: Crazyflie, i: int, arena: Arena, rng: np.random.Generator, options: EvaluationOptions
) -> dict[str, np.ndarray]:
    orientation = drones.quaternion[i]
    inverse = orientation * np.array([-1.0, -1.0, -1.0, 1.0])
    velocity = drones.velocity[i] + options.velocity_noise_m_s * rng.standard_normal(3)
    return {
        "position": drones.position[i] + options.position_noise_m * rng.standard_normal(3),
        "orientation": orientation.copy(),
        "velocity_body": rotate(inverse, velocity),
        "poles": arena.poles,
        "goal": arena.goal,
    }


def _advance(drones: Crazyflie, step: int, tick: int, pending: list[tuple[int, np.ndarray]]) -> None:
    """Physics from ``step`` over ``tick`` steps, applying each pending command when its time has come."""
    now, end = step, step + tick
    while now < end:
        if pending and pending[0][0] <= now:
            drones.velocity_world(pending.pop(0)[1])
            continue
        until = min(end, pending[0][0]) if pending else end
        drones.step(until - now)
        now = until


def summary(options: EvaluationOptions, outcomes: list[Outcome]) -> dict[str, Any]:
    """What is written to JSON: success rate, interval, times, share of safe cycles, every world's outcome."""
    n, successes = len(outcomes), sum(o.success for o in outcomes)
    times = [o.time_s for o in outcomes if o.time_s is not None]
    return {
        "data": "simulated Crazyflie, lockstep",
        "options": asdict(options),
        "n": n,
        "success_rate": successes / n,
        "wilson95": wilson(successes, n),
        "collisions": sum(o.reason == "collision" for o in outcomes),
        "time_to_success_s": {
            "median": float(np.median(times)) if times else None,
            "p90": float(np.percentile(times, 90)) if times else None,
        },
        "safe_action_share": sum(o.safe_cycles for o in outcomes) / max(1, sum(o.cycles for o in outcomes)),
        "outcomes": [asdict(o) for o in outcomes],
    }
