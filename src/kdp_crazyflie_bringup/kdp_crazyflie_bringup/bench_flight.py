# SPDX-License-Identifier: GPL-3.0-or-later
"""Flight benchmark over the full graph: many worlds, real processes, wall-clock time; resumable.

Each flight is appended to a .jsonl beside the summary as soon as it has landed. A second call goes on with
the flights that are missing; it refuses to mix flights of another machine, artifact or option.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from kdp_core.exceptions import ConfigError, KdpError
from kdp_crazyflie_bringup.demo import check_artifact
from kdp_crazyflie_bringup.flight_runner import FlightRunner, RunnerOptions
from kdp_crazyflie_bringup.graph import CONTROL_PORT, CRTP_PORT
from kdp_crazyflie_bringup.report import flight_row, summarise_flights
from kdp_crazyflie_bringup.scoring import FlightResult
from kdp_planner_ros.latency_report import write_atomically
from kdp_planner_ros.machine import machine, versions

FIRST_SEED = 910_001  # neither training worlds nor those of the demo
RESTARTS = 3  # a graph that breaks this often is no accident


def parser() -> argparse.ArgumentParser:
    """Options of the benchmark."""
    made = argparse.ArgumentParser(prog="bench_flight", description=__doc__.splitlines()[0])
    made.add_argument("--flights", type=int, default=60)
    made.add_argument(
        "--first-seed", type=int, default=FIRST_SEED, help="worlds are first-seed, first-seed + 1, …"
    )
    made.add_argument("--poles", type=int, default=16)
    made.add_argument("--candidates", type=int, default=64, help="windows per plan, K")
    made.add_argument("--artifact", default="", help="planner's artifact; default: the shipped one")
    made.add_argument("--json", type=Path, default=Path("out/bench/flight.json"))
    made.add_argument("--crtp-port", type=int, default=CRTP_PORT)
    made.add_argument("--control-port", type=int, default=CONTROL_PORT)
    made.add_argument("--fresh", action="store_true", help="forget flights of earlier calls")
    return made


def conditions(options: argparse.Namespace, artifact: str) -> dict[str, Any]:
    """What must be the same for flights to be counted together."""
    graph = hashlib.sha256((Path(artifact) / "planner.onnx").read_bytes()).hexdigest()
    return {
        "artifact_sha256": graph,
        "candidates": options.candidates,
        "poles": options.poles,
        "first_seed": options.first_seed,
        "machine": machine(),
    }


def load_rows(path: Path, wanted: dict[str, Any]) -> list[FlightResult]:
    """Flights of an earlier call. ConfigError if unreadable, or flown under other conditions."""
    if not path.exists():
        return []
    names = {field.name for field in fields(FlightResult)}
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        header, *rows = (json.loads(line) for line in lines)
        results = [FlightResult(**{key: row[key] for key in names}) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a file of flights ({error}); use --fresh to start again") from None
    differing = sorted(key for key in wanted if header.get(key) != wanted[key])
    if differing:
        raise ConfigError(
            f"{path}: flown under other conditions ({', '.join(differing)}); use --fresh to start again"
        )
    return results


def append(path: Path, row: dict[str, Any]) -> None:
    """Add one line; a line is written at once or not at all."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def fly_missing(options: argparse.Namespace, artifact: str, console: Console) -> list[FlightResult]:
    """Fly what is missing; every flight that was started counts, a graph that broke does so as a failure."""
    rows_path = options.json.with_suffix(".jsonl")
    rows_path.parent.mkdir(parents=True, exist_ok=True)
    wanted = conditions(options, artifact)
    if options.fresh:
        rows_path.unlink(missing_ok=True)
    results = load_rows(rows_path, wanted)
    if not rows_path.exists():
        append(rows_path, wanted)
    done = {result.flight for result in results}
    missing = [flight for flight in range(1, options.flights + 1) if flight not in done]
    if results:
        console.print(f"{len(results)} flights are there already, {len(missing)} to go")
    runner_options = RunnerOptions(
        log_dir=options.json.parent / "log",
        artifact=artifact,
        poles=options.poles,
        candidates=options.candidates,
        crtp_port=options.crtp_port,
        control_port=options.control_port,
        use_launch=False,  # process ids, for the load of each process
    )
    restarts = 0
    while missing:
        with FlightRunner(runner_options) as runner:
            runner.start(options.first_seed + missing[0] - 1)
            while missing:
                flight = missing.pop(0)
                seed = options.first_seed + flight - 1
                try:
                    result = runner.fly(flight, seed)
                except KdpError as error:
                    result = broken(flight, seed, options.poles, str(error))
                append(rows_path, result.to_dict())
                results.append(result)
                console.print(flight_line(result, options.flights), soft_wrap=True)
                if result.reason.startswith("graph: "):
                    restarts += 1
                    break
        if restarts > RESTARTS:
            raise KdpError(f"the graph broke {restarts} times, last: {results[-1].reason}")
    return sorted((r for r in results if r.flight <= options.flights), key=lambda r: r.flight)


def broken(flight: int, seed: int, poles: int, error: str) -> FlightResult:
    """A flight that failed because a process or a service did."""
    return FlightResult(
        flight=flight,
        seed=seed,
        poles=poles,
        success=False,
        reason=f"graph: {error}",
        tts_s=None,
        collided=False,
        outside=False,
        locked=False,
        closest_m=float("nan"),
        path_length_m=0.0,
        action_success=False,
        action_reason=error,
        plans=0,
        safe_actions=0,
        replan_hz=None,
    )


def flight_line(result: FlightResult, flights: int) -> str:
    """One line per flight."""
    row = flight_row(result)
    outcome = f"{result.tts_s:5.1f} s" if result.tts_s is not None else result.reason
    figures = ""
    if result.replan_hz is not None and row["e2e_ms"]["n"]:
        figures = (
            f"  {result.replan_hz:.1f} Hz  planner {row['planner_ms']['p50']:.2f} ms"
            f"  end to end {row['e2e_ms']['p50']:.2f} ms"
        )
    return f"flight {result.flight:3d}/{flights}  world {result.seed}  {outcome}{figures}"


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 0 when it is complete, whatever the success rate."""
    options = parser().parse_args(argv)
    console = Console(highlight=False)
    for sig in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # also where a script's background job inherits an ignored SIGINT
        signal.signal(sig, signal.default_int_handler)
    began = time.time()
    try:
        if options.flights < 1:
            raise ConfigError(f"--flights must be at least 1, got {options.flights}")
        artifact = check_artifact(options.artifact)
        results = fly_missing(options, artifact, console)
    except KeyboardInterrupt:
        console.print("bench_flight: stopped; the same command goes on from here", style="yellow")
        return 130
    except (KdpError, OSError, TimeoutError) as error:
        console.print(
            f"bench_flight: {error} (logs: {options.json.parent / 'log'})", style="red", soft_wrap=True
        )
        return 1
    summary = {
        **summarise_flights(results),
        "simulated": True,
        "backend": "sim",
        **conditions(options, artifact),
        "artifact": artifact,
        "versions": versions("cflib"),
        "finished_unix": round(time.time()),
        "last_call_s": round(time.time() - began),
        "flight_rows": [flight_row(result) for result in results],
    }
    write_atomically(options.json, json.dumps(summary, indent=1) + "\n")
    low, high = summary["success_wilson95"]
    console.print(
        f"{summary['success']} of {summary['flights']} succeeded "
        f"(95 % Wilson {100 * low:.1f} to {100 * high:.1f} %), "
        f"median {summary['tts_s']} s, replan {summary['replan_hz']} Hz\nplanner ms {summary['planner_ms']}\n"
        f"end to end ms {summary['e2e_ms']}\nCPU % of a core {summary['cpu_percent']}\n{options.json}",
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
