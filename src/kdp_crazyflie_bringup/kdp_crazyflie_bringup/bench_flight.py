# SPDX-License-Identifier: GPL-3.0-or-later
"""Flight benchmark over the full graph: many worlds, real processes, wall-clock time; resumable.

Each flight is appended to a .jsonl beside the summary as soon as it has landed. A second call goes on with
the flights that are missing; it refuses to mix flights of another machine, artifact or option.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from kdp_core.exceptions import ConfigError, KdpError
from kdp_crazyflie_bringup.demo import check_artifact
from kdp_crazyflie_bringup.flight_runner import FlightRunner, RunnerOptions
from kdp_crazyflie_bringup.graph import CONTROL_PORT, CRTP_PORT
from kdp_crazyflie_bringup.report import flight_row, summarise_flights
from kdp_crazyflie_bringup.scoring import FlightResult
from kdp_planner_ros import bench
from kdp_planner_ros.latency_report import write_atomically
from kdp_planner_ros.machine import machine, versions

FIRST_SEED = 910_001  # neither training worlds nor those of the demo


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
    return {
        "artifact_sha256": bench.planner_sum(artifact),
        "candidates": options.candidates,
        "poles": options.poles,
        "first_seed": options.first_seed,
        "machine": machine(),
    }


def series(path: Path, wanted: dict[str, Any]) -> bench.Series[FlightResult]:
    """The file of flights beside the summary `path`."""
    return bench.Series(path.with_suffix(".jsonl"), wanted, FlightResult, "flight")


def fly_missing(options: argparse.Namespace, artifact: str, console: Console) -> list[FlightResult]:
    """Fly what is missing."""
    runner_options = RunnerOptions(
        log_dir=options.json.parent / "log",
        artifact=artifact,
        poles=options.poles,
        candidates=options.candidates,
        crtp_port=options.crtp_port,
        control_port=options.control_port,
        use_launch=False,  # process ids, for the load of each process
    )
    flights = series(options.json, conditions(options, artifact))
    if options.fresh:
        flights.path.unlink(missing_ok=True)
    return bench.run_missing(
        flights,
        options.flights,
        options.first_seed,
        lambda: FlightRunner(runner_options),
        lambda runner, flight, seed: runner.fly(flight, seed),
        lambda flight, seed, error: broken(flight, seed, options.poles, error),
        lambda line: console.print(line, soft_wrap=True),
        lambda result: flight_line(result, options.flights),
    )


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
    figures = bench.figures(result.replan_hz, row["planner_ms"], row["e2e_ms"])
    return f"flight {result.flight:3d}/{flights}  world {result.seed}  {outcome}{figures}"


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 0 when it is complete, whatever the success rate."""
    options = parser().parse_args(argv)
    console = Console(highlight=False)
    bench.interruptible()
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
        "artifact": options.artifact or "shipped",
        "versions": versions("cflib"),
        "finished_unix": round(time.time()),
        "last_call_s": round(time.time() - began),
        "flight_rows": [flight_row(result) for result in results],
    }
    write_atomically(options.json, json.dumps(summary, indent=1) + "\n")
    console.print(f"{bench.closing(summary, summary['flights'])}\n{options.json}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
