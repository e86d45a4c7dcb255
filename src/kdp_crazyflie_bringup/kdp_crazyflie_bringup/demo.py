# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: fly a simulated Crazyflie from start to goal through poles, each flight in another world.

Every process is the one that flies a real Crazyflie, cflib included; only the robot is simulated.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kdp_core.exceptions import ConfigError, KdpError
from kdp_core.shipped import shipped_artifact
from kdp_core.sim.arena import MAX_POLES
from kdp_crazyflie_bringup.flight_runner import FlightRunner, Progress, RunnerOptions
from kdp_crazyflie_bringup.graph import CONTROL_PORT, CRTP_PORT, SHIPPED
from kdp_crazyflie_bringup.plot import Picture, save_flights
from kdp_crazyflie_bringup.report import flight_row, summarise_flights
from kdp_crazyflie_bringup.scoring import FlightResult
from kdp_planner_ros.figures import busy_line
from kdp_planner_ros.latency_report import write_atomically
from kdp_planner_ros.machine import machine, versions

FIRST_SEED = 900_001  # collecting takes seeds 0, 1, … and from 1000003 on: no training world is flown here


def parser() -> argparse.ArgumentParser:
    """Options of the demo."""
    made = argparse.ArgumentParser(prog="demo", description=__doc__)
    made.add_argument("--flights", type=int, default=3)
    made.add_argument("--seeds", type=int, nargs="+", help=f"one world per flight; default {FIRST_SEED}, …")
    made.add_argument("--poles", type=int, default=16)
    made.add_argument("--candidates", type=int, default=64, help="windows per plan, K")
    made.add_argument("--artifact", default="", help="planner's artifact; default: the shipped one")
    made.add_argument(
        "--backend", choices=["sim"], default="sim", help="for a real Crazyflie use fly.launch.py"
    )
    made.add_argument("--out", type=Path, default=Path("out/demo"))
    made.add_argument("--crtp-port", type=int, default=CRTP_PORT)
    made.add_argument("--control-port", type=int, default=CONTROL_PORT)
    made.add_argument(
        "--no-launch", action="store_true", help="start processes directly even where `ros2 launch` exists"
    )
    return made


def world_seeds(options: argparse.Namespace) -> list[int]:
    """One seed per flight. ConfigError names the option that is wrong."""
    if options.flights < 1:
        raise ConfigError(f"--flights must be at least 1, got {options.flights}")
    if not 0 <= options.poles <= MAX_POLES:
        raise ConfigError(f"--poles must be 0 to {MAX_POLES}, got {options.poles}")
    if not 1 <= options.candidates <= 256:
        raise ConfigError(f"--candidates must be 1 to 256, got {options.candidates}")
    if options.seeds is None:
        return list(range(FIRST_SEED, FIRST_SEED + options.flights))
    if len(options.seeds) != options.flights or min(options.seeds) < 0:
        raise ConfigError(
            f"--seeds needs {options.flights} numbers >= 0, one per flight, got {options.seeds}"
        )
    return list(options.seeds)


def check_artifact(artifact: str) -> str:
    """Path of the artifact. ConfigError when nothing is there."""
    path = Path(artifact or shipped_artifact(SHIPPED)).expanduser().resolve()
    if not (path / "planner.onnx").is_file():
        raise ConfigError(f"{path}: no artifact here (planner.onnx is missing)")
    return str(path)


def progress_line(flight: int, flights: int, seed: int, seconds: float, progress: Progress) -> Text:
    """The live line."""
    line = Text.assemble(
        (f" flight {flight}/{flights} ", "bold"), f" world {seed}  ", (progress.phase, "cyan")
    )
    parts = (
        (progress.distance_m, "  goal {:5.2f} m"),
        (progress.plans_per_s, "  {:4.1f} plans/s"),
        (progress.planner_ms, "  planner {:4.2f} ms"),
        (progress.e2e_ms, "  end to end {:4.1f} ms"),
    )
    for value, form in parts:
        if value is not None:
            line.append(form.format(value))
    line.append(f"  {seconds:4.1f} s", "dim")
    return line


def results_table(results: list[FlightResult]) -> Table:
    """One row per flight."""
    table = Table(title="Simulated Crazyflie, scored from the simulator's truth")
    latency = "p50/p99, ms"
    for name in (
        "flight",
        "world",
        "result",
        "time",
        "way",
        "replan",
        f"planner\n{latency}",
        f"end to end\n{latency}",
    ):
        table.add_column(name, justify="left" if name == "result" else "right")
    for result in results:
        row = flight_row(result)
        table.add_row(
            str(result.flight),
            str(result.seed),
            Text("success", "green") if result.success else Text(result.reason, "red"),
            f"{result.tts_s:.1f} s" if result.tts_s is not None else "-",
            f"{result.path_length_m:.2f} m",
            f"{result.replan_hz:.1f} Hz" if result.replan_hz is not None else "-",
            _pair(row["planner_ms"]),
            _pair(row["e2e_ms"]),
        )
    return table


def report(
    results: list[FlightResult], options: argparse.Namespace, artifact: str, launched: str
) -> dict[str, Any]:
    """Content of report.json."""
    return {
        **summarise_flights(results),
        "candidates": options.candidates,
        "backend": options.backend,
        "artifact": artifact,
        "poles": options.poles,
        "seeds": [r.seed for r in results],
        "simulated": True,
        "started_with": launched,
        "definitions": {
            "success": "within 0.2 m of the goal inside 20 s of sending it; no collision, fence breach or "
            "lock from take-off to touch-down; from the simulator's truth",
            "planner_ms": "the planner's inference call",
            "e2e_ms": "state packet received by the driver to first setpoint of that plan at the firmware",
            "replan_hz": "plans applied by the firmware per second, median over flights",
            "cpu_percent": "of one core, while flying",
        },
        "machine": machine(),
        "versions": versions("cflib"),
        "flight_rows": [flight_row(r) for r in results],
    }


def fly_all(options: argparse.Namespace, console: Console) -> tuple[list[FlightResult], Path]:
    """Fly, write report.json and flight.png; returns the results and the report's path."""
    seeds, artifact = world_seeds(options), check_artifact(options.artifact)
    runner_options = RunnerOptions(
        log_dir=options.out / "log",
        artifact=artifact,
        poles=options.poles,
        candidates=options.candidates,
        crtp_port=options.crtp_port,
        control_port=options.control_port,
        keep_plans=True,
        use_launch=False if options.no_launch else None,
    )
    results: list[FlightResult] = []
    pictures: list[Picture] = []
    console.print(
        f"{len(seeds)} flights, {options.poles} poles, worlds {seeds} (fixed), K = {options.candidates}"
    )
    console.print(f"artifact {artifact}", style="dim", soft_wrap=True)
    with (
        FlightRunner(runner_options) as runner,
        Live(console=console, refresh_per_second=8, transient=True) as live,
    ):
        for flight, seed in enumerate(seeds, start=1):
            began = time.monotonic()

            def show(
                progress: Progress, flight: int = flight, seed: int = seed, began: float = began
            ) -> None:
                live.update(progress_line(flight, len(seeds), seed, time.monotonic() - began, progress))

            if flight == 1:
                runner.start(seed, show)
            result = runner.fly(flight, seed, show)
            results.append(result)
            pictures.append(Picture(runner.arena, result, runner.snapshots))
            outcome = f"goal in {result.tts_s:.1f} s" if result.success else f"failed: {result.reason}"
            live.console.print(f" flight {flight}/{len(seeds)}  world {seed}  {outcome}")
        launched = runner.started_with
        live.update(Text(" stopping the graph", "cyan"))
    document = report(results, options, artifact, launched)
    path = options.out / "report.json"
    write_atomically(path, json.dumps(document, indent=1) + "\n")
    title = f"Simulated Crazyflie among {options.poles} poles, K = {options.candidates} windows per plan"
    save_flights(pictures, options.out / "flight.png", title)
    return results, path


def main(argv: list[str] | None = None) -> int:
    """Run the demo; 0 when every flight reached its goal."""
    options = parser().parse_args(argv)
    console = Console(highlight=False)
    for sig in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # also where a script's background job inherits an ignored SIGINT
        signal.signal(sig, signal.default_int_handler)
    try:
        results, path = fly_all(options, console)
    except KeyboardInterrupt:
        console.print("demo: stopped", style="yellow")
        return 130
    except (KdpError, OSError, TimeoutError) as error:
        console.print(
            f"demo: {error} (logs of all processes: {options.out / 'log'})", style="red", soft_wrap=True
        )
        return 1
    console.print(results_table(results))
    if busy := busy_line(summarise_flights(results)):
        console.print(busy, style="yellow", soft_wrap=True)
    console.print(f"report  {path}\npicture {options.out / 'flight.png'}", soft_wrap=True)
    return 0 if all(result.success for result in results) else 1


def _pair(quantiles: dict[str, Any]) -> str:
    if not quantiles["n"]:
        return "-"
    return f"{quantiles['p50']:.1f}/{quantiles['p99']:.1f}"


if __name__ == "__main__":
    sys.exit(main())
