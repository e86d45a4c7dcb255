#!/usr/bin/env python3
"""Evaluate a planner on unseen worlds in lockstep with the simulated robot, faster than real time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kdp_core.benchmarks.flight_eval import EvaluationOptions, Method, evaluate, summary
from kdp_core.cli import user_errors
from kdp_core.controller import ControllerOptions
from kdp_core.exceptions import ConfigError
from kdp_core.files import write_json
from kdp_core.shipped import shipped_artifact


@dataclass
class Arguments:
    """Command line of evaluate.py."""

    task: Literal["crazyflie", "so100_pick_place", "so100_stack"] = "crazyflie"
    """Robot and task."""
    artifact: Path | None = None
    """Artifact directory; default: the shipped one."""
    worlds: int = 200
    """Number of unseen worlds (scenes of the arm)."""
    poles: int = 12
    """Poles per world (crazyflie)."""
    seed: int = 0
    """Which set of worlds."""
    candidates: int = 64
    """K."""
    json: Path | None = None
    """Where the result is written."""
    method: Method = "planner"
    """What proposes windows."""
    delay_ms: float | None = None
    """From measuring the state to the robot applying the command; default: 12 (crazyflie), 20 (so100)."""
    position_noise_m: float = 0.01
    """Standard deviation of the measured position (crazyflie)."""
    velocity_noise_m_s: float = 0.03
    """Standard deviation of the measured velocity (crazyflie)."""
    processes: int = os.cpu_count() or 1
    """Worker processes."""
    controller: ControllerOptions = field(default_factory=ControllerOptions)
    """Options of the control cycle (candidates above wins)."""


@user_errors
def main() -> None:
    """Evaluate, print one line, write JSON."""
    a = tyro.cli(Arguments, description=__doc__)
    if a.json is not None and a.json.is_dir():  # before minutes of flying, not after
        raise ConfigError(f"--json: {a.json} is a folder, expected a file")
    result = _crazyflie(a) if a.task == "crazyflie" else _tabletop(a)
    if a.artifact is None and result["options"]["artifact"] is not None:
        result["options"]["artifact"] = f"shipped: {a.task}"  # a path of this machine says nothing elsewhere
    low, high = result["wilson95"]
    time = result["time_to_success_s"]["median"]
    worlds = f"{a.poles} poles, {result['collisions']} collisions" if a.task == "crazyflie" else a.task
    Console().print(
        f"{worlds}, K = {a.candidates}: success {100 * result['success_rate']:.1f} % "
        f"[{100 * low:.1f}, {100 * high:.1f}], median time to success "
        f"{'-' if time is None else f'{time:.2f}'} s, "
        f"safe action {100 * result['safe_action_share']:.2f} % (simulated)"
    )
    if a.json is not None:
        write_json(a.json, result)


def _crazyflie(a: Arguments) -> dict[str, Any]:
    options = EvaluationOptions(
        worlds=a.worlds, poles=a.poles, seed=a.seed, delay_ms=12.0 if a.delay_ms is None else a.delay_ms,
        position_noise_m=a.position_noise_m, velocity_noise_m_s=a.velocity_noise_m_s, method=a.method,
        artifact=None if a.method == "straight_fan" else str(a.artifact or shipped_artifact("crazyflie")),
        controller=replace(a.controller, candidates=a.candidates),
    )  # fmt: skip
    with _bar("flying", a.worlds) as show:
        return summary(options, evaluate(options, a.processes, show))


def _tabletop(a: Arguments) -> dict[str, Any]:
    from kdp_core.benchmarks import tabletop_eval  # MuJoCo, which flying does not need

    if a.method != "planner":
        raise ConfigError(f"--method: {a.task} has only 'planner', got '{a.method}'")
    options = tabletop_eval.TabletopEvaluationOptions(
        task="stack" if a.task == "so100_stack" else "pick_place",
        scenes=a.worlds, seed=a.seed, delay_ms=20.0 if a.delay_ms is None else a.delay_ms,
        artifact=str(a.artifact or shipped_artifact(a.task)),
        controller=replace(a.controller, candidates=a.candidates),
    )  # fmt: skip
    with _bar("handling", a.worlds) as show:
        return tabletop_eval.summary(options, tabletop_eval.evaluate(options, a.processes, show))


@contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[int, int, int], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(30),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        row = bar.add_task(name, total=total, note="")
        yield lambda done, total, good: bar.update(row, completed=done, note=f"{good}/{done} of {total}")


if __name__ == "__main__":
    main()
