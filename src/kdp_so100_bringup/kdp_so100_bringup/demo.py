"""The demo: a simulated SO-100 picks cubes up and puts them where they shall be, then stacks one on another.

Every process is the one that moves a real SO-100, the servo SDK included; servos and table are simulated.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kdp_core.exceptions import ConfigError, KdpError
from kdp_core.shipped import shipped_artifact
from kdp_planner_ros.figures import busy_line
from kdp_planner_ros.latency_report import write_atomically
from kdp_planner_ros.machine import machine, versions
from kdp_so100_bringup.arm_bus import BACKENDS
from kdp_so100_bringup.episode_runner import EpisodeRunner, Progress, RunnerOptions
from kdp_so100_bringup.graph import SHIPPED, TASKS
from kdp_so100_bringup.plot import save_strip
from kdp_so100_bringup.report import DEFINITIONS, episode_row, summarise_episodes
from kdp_so100_bringup.scoring import EpisodeResult
from kdp_so100_bringup.side_channel import CONTROL_PORT

FIRST_SEED = 900_001  # no scene of a data set: collecting takes seeds below 100 000 and from 1 000 003 on
PACKAGES = ("mujoco", "feetech-servo-sdk", "pyserial")


@dataclass(frozen=True)
class Part:
    """Episodes of one task, which need one graph: the planner loads one artifact."""

    task: str
    artifact: str
    seeds: list[int]


def parser() -> argparse.ArgumentParser:
    """Options of the demo."""
    made = argparse.ArgumentParser(prog="demo_arm", description=__doc__)
    made.add_argument("--episodes", type=int, default=3, help="of pick-place")
    made.add_argument("--stacking", type=int, default=1, help="episodes of stacking")
    made.add_argument("--seed", type=int, default=FIRST_SEED, help="scenes are seed, seed + 1, …")
    made.add_argument("--candidates", type=int, default=64, help="windows per plan, K")
    made.add_argument("--artifact", default="", help="planner for pick-place; default: the shipped one")
    made.add_argument("--stack-artifact", default="", help="planner for stacking; default: the shipped one")
    made.add_argument("--bus", choices=BACKENDS, default=BACKENDS[0], help="who talks to the servos")
    made.add_argument("--out", type=Path, default=Path("out/demo-arm"))
    made.add_argument("--control-port", type=int, default=CONTROL_PORT)
    made.add_argument(
        "--no-launch", action="store_true", help="start processes directly even where `ros2 launch` exists"
    )
    return made


def parts(options: argparse.Namespace) -> list[Part]:
    """What to run. ConfigError names the option that is wrong."""
    counts = {"pick_place": options.episodes, "stack": options.stacking}
    if min(counts.values()) < 0 or sum(counts.values()) < 1:
        raise ConfigError("--episodes and --stacking must not be negative, and one of them at least 1")
    if not 1 <= options.candidates <= 256:
        raise ConfigError(f"--candidates must be 1 to 256, got {options.candidates}")
    if options.seed < 0:
        raise ConfigError(f"--seed must not be negative, got {options.seed}")
    artifacts = {"pick_place": options.artifact, "stack": options.stack_artifact}
    return [
        Part(task, check_artifact(task, artifacts[task]), [options.seed + i for i in range(counts[task])])
        for task in TASKS
        if counts[task]
    ]


def check_artifact(task: str, artifact: str) -> str:
    """Path of the artifact of a task. ConfigError when nothing is there, or another task's."""
    path = Path(artifact or shipped_artifact(SHIPPED[task])).expanduser().resolve()
    if not (path / "planner.onnx").is_file():
        raise ConfigError(f"{path}: no artifact here (planner.onnx is missing)")
    try:
        found = json.loads((path / "spec.json").read_text(encoding="utf-8"))["task"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}/spec.json: cannot read the task of the artifact: {error}") from None
    if found != task:
        raise ConfigError(f"{path}: an artifact of task '{found}', expected '{task}'")
    return str(path)


def progress_line(text: str, seed: int, seconds: float, progress: Progress) -> Text:
    """The live line, for 80 columns: scene, phase, cube to goal, plans per second, median times."""
    line = Text.assemble((text, "bold"), f" ({seed}) ", (progress.phase, "cyan"))
    for value, form in (
        (progress.distance_m, "  {:5.3f} m"),
        (progress.plans_per_s, " {:2.0f} Hz"),
        (progress.planner_ms, " plan {:3.1f} ms"),
        (progress.e2e_ms, " e2e {:3.1f} ms"),
    ):
        if value is not None:
            line.append(form.format(value))
    line.append(f" {seconds:4.1f} s", "dim")
    return line


def results_table(results: list[EpisodeResult]) -> Table:
    """One row per episode; fits a terminal of 80 columns."""
    table = Table(
        title="Simulated SO-100, scored from the simulator's truth",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    latency = "p50/p99, ms"
    for name in (
        "",
        "task",
        "scene",
        "result",
        "time",
        "replan",
        f"planner\n{latency}",
        f"end to end\n{latency}",
    ):
        table.add_column(name, justify="left" if name in ("task", "result") else "right")
    for result in results:
        row = episode_row(result)
        table.add_row(
            str(result.episode),
            result.task.replace("_", "-"),
            str(result.seed),
            Text("success", "green") if result.success else Text(result.reason, "red"),
            f"{result.tts_s:.1f} s" if result.tts_s is not None else "-",
            f"{result.replan_hz:.1f} Hz" if result.replan_hz is not None else "-",
            _pair(row["planner_ms"]),
            _pair(row["e2e_ms"]),
        )
    return table


def report(
    results: list[EpisodeResult], options: argparse.Namespace, planned: list[Part], launched: str
) -> dict[str, Any]:
    """Content of report.json: all episodes together, and each task for itself."""
    by_task = {part.task: [r for r in results if r.task == part.task] for part in planned}
    return {
        **summarise_episodes(results),
        "tasks": {task: summarise_episodes(rows) for task, rows in by_task.items()},
        "candidates": options.candidates,
        "backend": "sim",
        "bus": options.bus,
        "artifacts": {part.task: part.artifact for part in planned},
        "seeds": [r.seed for r in results],
        "simulated": True,
        "perception": "cube poses from the simulator with noise (1 mm, 1 degree), 30 Hz",
        "started_with": launched,
        "definitions": DEFINITIONS,
        "machine": machine(),
        "versions": versions(*PACKAGES),
        "episode_rows": [episode_row(r) for r in results],
    }


def run_all(options: argparse.Namespace, console: Console) -> tuple[list[EpisodeResult], Path]:
    """Run, write report.json and episode.png; returns the results and the report's path."""
    planned = parts(options)
    total = sum(len(part.seeds) for part in planned)
    results: list[EpisodeResult] = []
    launched, pictured = "", False
    picture = options.out / "episode.png"
    console.print(f"{total} episodes, scenes from seed {options.seed} on (fixed), K = {options.candidates}")
    for part in planned:
        console.print(f"{part.task}: artifact {part.artifact}", style="dim", soft_wrap=True)
        runner_options = RunnerOptions(
            log_dir=options.out / "log" / part.task,
            task=part.task,
            artifact=part.artifact,
            candidates=options.candidates,
            bus=options.bus,
            control_port=options.control_port,
            keep_plans=True,
            use_launch=False if options.no_launch else None,
        )
        with (
            EpisodeRunner(runner_options) as runner,
            Live(console=console, refresh_per_second=8, transient=True) as live,
        ):
            for seed in part.seeds:
                number, began = len(results) + 1, time.monotonic()
                name = f"{part.task.replace('_', '-')} {number}/{total}"

                def show(
                    progress: Progress, name: str = name, seed: int = seed, began: float = began
                ) -> None:
                    live.update(progress_line(name, seed, time.monotonic() - began, progress))

                if not runner.started_with:
                    runner.start(seed, show)
                result = runner.run(number, seed, show)
                results.append(result)
                outcome = f"done in {result.tts_s:.1f} s" if result.success else f"failed: {result.reason}"
                live.console.print(f" {name}  scene {seed}  {outcome}")
                if result.success and not pictured:
                    pictured = True
                    live.update(Text(" drawing", "cyan"))
                    title = f"Simulated SO-100, {part.task}, K = {options.candidates} windows per plan"
                    save_strip(runner.record, runner.snapshots, runner.scene.goal, picture, title)
            if not pictured:
                title = f"Simulated SO-100, {part.task}: {results[-1].reason}"
                save_strip(runner.record, runner.snapshots, runner.scene.goal, picture, title)
            launched = runner.started_with
            live.update(Text(" stopping the graph", "cyan"))
    path = options.out / "report.json"
    document = report(results, options, planned, launched)
    write_atomically(path, json.dumps(document, indent=1) + "\n")
    return results, path


def main(argv: list[str] | None = None) -> int:
    """Run the demo; 0 when every episode succeeded."""
    options = parser().parse_args(argv)
    console = Console(highlight=False)
    for sig in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # also where a script's background job inherits an ignored SIGINT
        signal.signal(sig, signal.default_int_handler)
    try:
        results, path = run_all(options, console)
    except KeyboardInterrupt:
        console.print("demo_arm: stopped", style="yellow")
        return 130
    except (KdpError, OSError, TimeoutError) as error:
        console.print(
            f"demo_arm: {error} (logs of all processes: {options.out / 'log'})", style="red", soft_wrap=True
        )
        return 1
    console.print(results_table(results))
    if busy := busy_line(summarise_episodes(results)):
        console.print(busy, style="yellow", soft_wrap=True)
    console.print(f"report  {path}\npicture {options.out / 'episode.png'}", soft_wrap=True)
    return 0 if all(result.success for result in results) else 1


def _pair(quantiles: dict[str, Any]) -> str:
    if not quantiles["n"]:
        return "-"
    return f"{quantiles['p50']:.1f}/{quantiles['p99']:.1f}"


if __name__ == "__main__":
    sys.exit(main())
