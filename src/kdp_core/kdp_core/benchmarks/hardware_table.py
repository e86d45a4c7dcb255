"""Table VII: one-step planner, Diffuser and behaviour cloning through the same ROS graphs, in real time.

Each cell is one call of the robot's own benchmark (`kdp_crazyflie_bringup.bench_flight`,
`kdp_so100_bringup.bench_arm`), which keeps finished episodes; they are run and read here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kdp_core.benchmarks import long_format
from kdp_core.benchmarks.cells import rate
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.files import load_json, write_text
from kdp_core.shipped import shipped_artifact

DATA = (
    "simulated robots behind the real wire protocols and client libraries, whole ROS graph in real time; "
    "rows of method '… (published)' are the paper's, on real hardware"
)


@dataclass(frozen=True)
class Robot:
    """A robot's benchmark: module, its word for episodes, the shipped artifact and what is flown."""

    name: str
    module: str
    episodes: str
    shipped: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Method:
    """``planner``: ending of the folder of the trained planner, None for the shipped artifact."""

    name: str
    planner: str | None = None
    candidates: int = 64


ROBOTS = (
    Robot(
        "crazyflie",
        "kdp_crazyflie_bringup.bench_flight",
        "flights",
        "crazyflie",
        (),
    ),
    Robot(
        "so100_pick_place",
        "kdp_so100_bringup.bench_arm",
        "episodes",
        "so100_pick_place",
        ("--task", "pick_place"),
    ),
    Robot(
        "so100_stack",
        "kdp_so100_bringup.bench_arm",
        "episodes",
        "so100_stack",
        ("--task", "stack"),
    ),
)
KDP = Method("joint, K = 64")
METHODS = (
    KDP,
    Method("Diffuser (U-Net, T = 20), K = 64", "diffuser"),
    Method("Diffuser (our network, T = 20), K = 64", "diffuser_mlp"),
    Method("behaviour cloning", "bc", candidates=1),
)
_PUBLISHED_METRICS = ("success", "time_to_success_s", "replan_hz", "planner_ms_p50", "e2e_ms_p50")
PUBLISHED: dict[tuple[str, str], tuple[float, ...]] = {
    ("crazyflie", "KDP (published)"): (0.94, 12.0, 38, 8, 26),
    ("crazyflie", "Diffuser (published)"): (0.92, 12.5, 4.1, 242, 312),
    ("so100_pick_place", "KDP (published)"): (0.90, 32, 17, 9, 47),
    ("so100_pick_place", "Diffuser (published)"): (0.88, 35, 3, 311, 410),
}
"""arXiv 2603.14056, Table VII: success, time to success in s, replan Hz, planner and end-to-end p50 in ms."""


@dataclass(frozen=True)
class HardwareOptions:
    """How much is run: episodes of our planner, of behaviour cloning, and of planners of many steps.

    The last ones take whole minutes of real time where they are too slow to succeed.
    """

    episodes: int = 60
    baseline_episodes: int = 20
    many_step_episodes: int = 10


Say = Callable[[str], None]
Cell = tuple[Robot, Method, dict[str, Any]]


def run_table(planners: Path, out: Path, options: HardwareOptions, say: Say) -> dict[str, Any]:
    """Run what is missing, write hardware.json (long format) and hardware.md; returns the document.

    A baseline whose planner is not trained is left out and said so. Raises ConfigError where the ROS packages
    are not there, DataError when a benchmark failed.
    """
    for robot in ROBOTS:
        if find_spec(robot.module.partition(".")[0]) is None:
            raise ConfigError(f"{robot.module}: not found; run this through tools/run-in-workspace")
    results: list[Cell] = []
    document: dict[str, Any] = {}
    for robot, method in cells():
        artifact = (
            shipped_artifact(robot.shipped)
            if method.planner is None
            else planners / f"{robot.name}_{method.planner}" / "artifact"
        )
        if not artifact.is_dir():
            say(f"{robot.name}, {method.name}: left out, {artifact} is not there")
            continue
        episodes = (
            options.episodes
            if method is KDP
            else options.baseline_episodes
            if method.candidates == 1
            else options.many_step_episodes
        )
        say(f"{robot.name}, {method.name}: {episodes} {robot.episodes}")
        path = out / "hardware" / f"{robot.name}-{method.planner or 'kdp'}.json"
        results.append((robot, method, run_cell(robot, method, artifact, episodes, path)))
        document = long_format.write(out / "hardware.json", DATA, rows(results))
        write_text(out / "hardware.md", markdown(results))
    return document


def cells() -> Iterator[tuple[Robot, Method]]:
    """All (robot, method): our planner on each robot first; baselines where the paper has figures."""
    published = {name for name, _ in PUBLISHED}
    for method in METHODS:
        for robot in ROBOTS:
            if method is KDP or robot.name in published:
                yield robot, method


def run_cell(robot: Robot, method: Method, artifact: Path, episodes: int, path: Path) -> dict[str, Any]:
    """Run one benchmark in a process of its own and return its summary."""
    command = [
        sys.executable, "-m", robot.module, *robot.arguments, f"--{robot.episodes}", str(episodes),
        "--candidates", str(method.candidates), "--json", str(path),
        *(["--artifact", str(artifact)] if method.planner else []),
    ]  # fmt: skip
    code = subprocess.run(command, check=False).returncode
    if code == 130:
        raise KeyboardInterrupt
    if code != 0:
        raise DataError(f"{robot.module} ended with {code} (artifact {artifact})")
    summary: dict[str, Any] = load_json(path, DataError)
    return summary


def _figures(robot: Robot, summary: dict[str, Any]) -> dict[str, tuple[float, float | None]]:
    """Metric -> (value, standard error); NaN where nothing was measured."""
    n = summary[robot.episodes]
    success = summary["success_rate"]
    nan = float("nan")
    figures: dict[str, tuple[float, float | None]] = {
        "success": (success, (success * (1 - success) / n) ** 0.5),
        "time_to_success_s": (_number(summary["tts_s"]), None),
        "replan_hz": (_number(summary["replan_hz"]), None),
    }
    for key in ("planner_ms", "e2e_ms"):
        for point in ("p50", "p99"):
            value = summary[key].get(point) if summary[key]["n"] else nan
            figures[f"{key}_{point}"] = (_number(value), None)
    return figures


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def rows(results: list[Cell]) -> list[long_format.Row]:
    """Long format: measured rows, then the published ones."""
    made = []
    for robot, method, summary in results:
        more = {
            "candidates": method.candidates,
            "episodes": summary[robot.episodes],
            "protocol": "receding",
            "simulated": 1,
        }
        for metric, (value, stderr) in _figures(robot, summary).items():
            made.append(long_format.row(robot.name, method.name, metric, value, stderr, 0, **more))
    for (name, published), values in PUBLISHED.items():
        for metric, value in zip(_PUBLISHED_METRICS, values, strict=True):
            made.append(long_format.row(name, published, metric, value, simulated=0))
    return made


def markdown(results: list[Cell]) -> str:
    """One table per robot, ours (simulated) above the published rows (hardware)."""
    lines = [DATA]
    for robot in dict.fromkeys(robot for robot, _, _ in results):
        lines += [
            "",
            f"| {robot.name} | success % [95 % Wilson] | time to success, s | replan, Hz "
            "| planner p50 / p99, ms | end to end p50 / p99, ms |",
            "|---|---|---|---|---|---|",
        ]
        for of, method, summary in results:
            if of is robot:
                f = {metric: value for metric, (value, _) in _figures(robot, summary).items()}
                lines.append(
                    f"| {method.name}, simulated | {rate(summary['success'], summary[robot.episodes])} "
                    f"| {_text(f['time_to_success_s'])} | {_text(f['replan_hz'])} "
                    f"| {_text(f['planner_ms_p50'])} / {_text(f['planner_ms_p99'])} "
                    f"| {_text(f['e2e_ms_p50'])} / {_text(f['e2e_ms_p99'])} |"
                )
        for (name, published), (success, seconds, hertz, planner, e2e) in PUBLISHED.items():
            if name == robot.name:
                lines.append(
                    f"| {published}, real hardware | {100 * success:.0f} | {seconds:g} | {hertz:g} "
                    f"| {planner:g} / - | {e2e:g} / - |"
                )
    return "\n".join(lines) + "\n"


def _text(value: float) -> str:
    return "-" if value != value else f"{value:.1f}"
