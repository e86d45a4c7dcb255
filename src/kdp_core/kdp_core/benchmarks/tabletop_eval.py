"""Lockstep evaluation of the tabletop tasks: unseen scenes, measurement noise and delay, simulated SO-100."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from kdp_core.controller import Controller, ControllerOptions
from kdp_core.exceptions import ConfigError
from kdp_core.planner import Planner, WindowSource
from kdp_core.proportions import wilson
from kdp_core.ranges import at_least, within
from kdp_core.sim.so100 import Scene, So100Scene, TaskName
from kdp_core.sim.so100_model import TIMESTEP_S
from kdp_core.sim.tabletop_options import SensorNoise
from kdp_core.sim.tabletop_sensor import measure
from kdp_core.sim.tabletop_success import TabletopJudge
from kdp_core.tasks.tabletop import CUBES, TabletopTask

TIME_LIMIT_S = 20.0
SCENE_SEED_BASE = 500_000_000
SCENES_PER_CHUNK = 10


@dataclass(frozen=True)
class TabletopEvaluationOptions:
    """What is evaluated. Delay is from measuring the state to the servos taking the targets."""

    task: TaskName = "pick_place"
    scenes: int = 200
    seed: int = 0
    delay_ms: float = 20.0
    noise: SensorNoise = field(default_factory=SensorNoise)
    artifact: str | None = None
    controller: ControllerOptions = field(default_factory=ControllerOptions)

    def __post_init__(self) -> None:
        at_least(self, 1, "scenes")
        at_least(self, 0, "seed")
        within(self, 0, 1000, "delay_ms")
        if self.task not in CUBES:
            raise ConfigError(f"task must be one of {', '.join(CUBES)}, got '{self.task}'")


@dataclass(frozen=True)
class TabletopOutcome:
    """One episode, scored from the truth. time_s: to success, None otherwise; reason: how it ended."""

    scene_seed: int
    success: bool
    reason: str
    time_s: float | None
    final_distance_m: float
    cycles: int
    safe_cycles: int


def make_source(options: TabletopEvaluationOptions) -> WindowSource:
    """The window source; raises ArtifactError if its artifact is broken or of another task."""
    if options.artifact is None:
        raise ConfigError("artifact: the evaluation needs one")
    planner = Planner.load(options.artifact)
    wanted = TabletopTask(options.task, planner.spec.horizon).spec
    wanted.require_same(planner.spec, f"{options.artifact}/spec.json")
    return planner


def evaluate(
    options: TabletopEvaluationOptions,
    processes: int | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> list[TabletopOutcome]:
    """Run ``options.scenes`` scenes over processes.

    ``progress(done, total, successes)``. Results do not depend on processes.
    """
    if processes is not None and processes < 1:
        raise ConfigError(f"processes must be at least 1, got {processes}")
    make_source(options)
    outcomes: list[TabletopOutcome] = []
    with multiprocessing.get_context("spawn").Pool(processes or os.cpu_count() or 1) as pool:
        for part in pool.imap(partial(_chunk, options), range(0, options.scenes, SCENES_PER_CHUNK)):
            outcomes += part
            if progress is not None:
                progress(len(outcomes), options.scenes, sum(o.success for o in outcomes))
    return outcomes


def _chunk(options: TabletopEvaluationOptions, first: int) -> list[TabletopOutcome]:
    source, simulator = make_source(options), So100Scene(CUBES[options.task])
    count = min(SCENES_PER_CHUNK, options.scenes - first)
    seeds = [SCENE_SEED_BASE + options.seed * 1_000_000 + first + i for i in range(count)]
    return [run_scene(source, simulator, seed, options) for seed in seeds]


def run_scene(
    source: WindowSource,
    simulator: So100Scene,
    seed: int,
    options: TabletopEvaluationOptions,
    joints: np.ndarray | None = None,
) -> TabletopOutcome:
    """One episode until success or the time limit; ``joints`` (6,) rad: where the arm is at first."""
    scene = Scene.random(options.task, seed)
    if joints is not None:
        scene = replace(scene, joints=joints)
    simulator.reset(scene)
    task = TabletopTask(options.task, source.spec.horizon)
    controller = Controller(source, task, replace(options.controller, seed=seed))
    judge, noise = TabletopJudge(options.task, scene), np.random.default_rng([seed, 1])
    tick = round(1.0 / (source.spec.rate_hz * TIMESTEP_S))
    delay = round(options.delay_ms * 1e-3 / TIMESTEP_S)
    pending: list[tuple[int, np.ndarray]] = []
    cycles = safe = 0
    done = False
    for step in range(0, round(TIME_LIMIT_S / TIMESTEP_S), tick):
        decision = controller.step(measure(simulator, scene.goal, options.noise, noise))
        pending.append((step + delay, decision.action))
        cycles += 1
        safe += decision.safe
        _advance(simulator, step, tick, pending)
        if judge.update(simulator):
            done = True
            break
    return TabletopOutcome(
        scene_seed=seed,
        success=done,
        reason="success" if done else _reason(simulator, scene),
        time_s=cycles * tick * TIMESTEP_S if done else None,
        final_distance_m=judge.distance(simulator),
        cycles=cycles,
        safe_cycles=safe,
    )


def _reason(simulator: So100Scene, scene: Scene) -> str:
    """Where a failed episode stood at the end."""
    cube = simulator.cube_poses[0, :3]
    if simulator.touched(0) and not simulator.jaw_open:
        return "time limit: cube held"
    if np.linalg.norm(cube[:2] - scene.cubes[0, :2]) < 0.03:
        return "time limit: cube near its start"
    return "time limit: cube left elsewhere"


def _advance(simulator: So100Scene, step: int, tick: int, pending: list[tuple[int, np.ndarray]]) -> None:
    """Physics from ``step`` over ``tick`` steps, applying each pending command when its time has come."""
    now, end = step, step + tick
    while now < end:
        if pending and pending[0][0] <= now:
            simulator.command(pending.pop(0)[1])
            continue
        until = min(end, pending[0][0]) if pending else end
        simulator.step(until - now)
        now = until


def summary(options: TabletopEvaluationOptions, outcomes: list[TabletopOutcome]) -> dict[str, Any]:
    """What is written to JSON: success rate, interval, times, share of safe cycles, every scene's outcome."""
    n, successes = len(outcomes), sum(o.success for o in outcomes)
    times = [o.time_s for o in outcomes if o.time_s is not None]
    return {
        "data": "simulated SO-100, lockstep",
        "options": asdict(options),
        "n": n,
        "success_rate": successes / n,
        "wilson95": wilson(successes, n),
        "time_to_success_s": {
            "median": float(np.median(times)) if times else None,
            "p90": float(np.percentile(times, 90)) if times else None,
        },
        "safe_action_share": sum(o.safe_cycles for o in outcomes) / max(1, sum(o.cycles for o in outcomes)),
        "outcomes": [asdict(o) for o in outcomes],
    }
