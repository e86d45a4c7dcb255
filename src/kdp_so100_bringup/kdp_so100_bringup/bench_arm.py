"""Arm benchmark over the full graph: many scenes, real processes, wall-clock time; resumable.

Each episode is appended to a .jsonl beside the summary as soon as it has ended. A second call goes on with
the episodes that are missing; it refuses to mix episodes of another machine, artifact or option.
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
from kdp_planner_ros.latency_report import write_atomically
from kdp_planner_ros.machine import machine, versions
from kdp_so100_bringup.arm_bus import BACKENDS
from kdp_so100_bringup.demo import PACKAGES, check_artifact
from kdp_so100_bringup.episode_runner import EpisodeRunner, RunnerOptions
from kdp_so100_bringup.graph import TASKS
from kdp_so100_bringup.report import DEFINITIONS, episode_row, summarise_episodes
from kdp_so100_bringup.scoring import EpisodeResult
from kdp_so100_bringup.side_channel import CONTROL_PORT

FIRST_SEED = 910_001  # neither scenes of the data sets nor those of the demo
RESTARTS = 3  # a graph that breaks this often is no accident


def parser() -> argparse.ArgumentParser:
    """Options of the benchmark."""
    made = argparse.ArgumentParser(prog="bench_arm", description=__doc__.splitlines()[0])
    made.add_argument("--task", choices=TASKS, default=TASKS[0])
    made.add_argument("--episodes", type=int, default=60)
    made.add_argument(
        "--first-seed", type=int, default=FIRST_SEED, help="scenes are first-seed, first-seed + 1, …"
    )
    made.add_argument("--candidates", type=int, default=64, help="windows per plan, K")
    made.add_argument("--artifact", default="", help="planner's artifact; default: the shipped one")
    made.add_argument("--bus", choices=BACKENDS, default=BACKENDS[0], help="who talks to the servos")
    made.add_argument("--json", type=Path, help="default: out/bench/arm-TASK.json")
    made.add_argument("--control-port", type=int, default=CONTROL_PORT)
    made.add_argument("--fresh", action="store_true", help="forget episodes of earlier calls")
    return made


def conditions(options: argparse.Namespace, artifact: str) -> dict[str, Any]:
    """What must be the same for episodes to be counted together."""
    graph = hashlib.sha256((Path(artifact) / "planner.onnx").read_bytes()).hexdigest()
    return {
        "artifact_sha256": graph,
        "task": options.task,
        "candidates": options.candidates,
        "bus": options.bus,
        "first_seed": options.first_seed,
        "machine": machine(),
    }


def load_rows(path: Path, wanted: dict[str, Any]) -> list[EpisodeResult]:
    """Episodes of an earlier call. ConfigError if unreadable, or run under other conditions."""
    if not path.exists():
        return []
    names = {field.name for field in fields(EpisodeResult)}
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        header, *rows = (json.loads(line) for line in lines)
        results = [EpisodeResult(**{key: row[key] for key in names}) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a file of episodes ({error}); use --fresh to start again") from None
    differing = sorted(key for key in wanted if header.get(key) != wanted[key])
    if differing:
        raise ConfigError(
            f"{path}: run under other conditions ({', '.join(differing)}); use --fresh to start again"
        )
    return results


def append(path: Path, row: dict[str, Any]) -> None:
    """Add one line; a line is written at once or not at all."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def run_missing(
    options: argparse.Namespace, artifact: str, summary: Path, console: Console
) -> list[EpisodeResult]:
    """Run what is missing; every episode that was started counts, a broken graph as a failure."""
    rows_path = summary.with_suffix(".jsonl")
    rows_path.parent.mkdir(parents=True, exist_ok=True)
    wanted = conditions(options, artifact)
    if options.fresh:
        rows_path.unlink(missing_ok=True)
    results = load_rows(rows_path, wanted)
    if not rows_path.exists():
        append(rows_path, wanted)
    done = {result.episode for result in results}
    missing = [episode for episode in range(1, options.episodes + 1) if episode not in done]
    if results:
        console.print(f"{len(results)} episodes are there already, {len(missing)} to go")
    runner_options = RunnerOptions(
        log_dir=summary.parent / "log",
        task=options.task,
        artifact=artifact,
        candidates=options.candidates,
        bus=options.bus,
        control_port=options.control_port,
        use_launch=False,  # process ids, for the load of each process
    )
    restarts = 0
    while missing:
        with EpisodeRunner(runner_options) as runner:
            runner.start(options.first_seed + missing[0] - 1)
            while missing:
                episode = missing.pop(0)
                seed = options.first_seed + episode - 1
                try:
                    result = runner.run(episode, seed)
                except KdpError as error:
                    result = broken(episode, options.task, seed, str(error))
                append(rows_path, result.to_dict())
                results.append(result)
                console.print(episode_line(result, options.episodes), soft_wrap=True)
                if result.reason.startswith("graph: "):
                    restarts += 1
                    break
        if restarts > RESTARTS:
            raise KdpError(f"the graph broke {restarts} times, last: {results[-1].reason}")
    return sorted((r for r in results if r.episode <= options.episodes), key=lambda r: r.episode)


def broken(episode: int, task: str, seed: int, error: str) -> EpisodeResult:
    """An episode that failed because a process or a service did."""
    return EpisodeResult(
        episode=episode,
        task=task,
        seed=seed,
        success=False,
        reason=f"graph: {error}",
        tts_s=None,
        grasped=False,
        dropped=0,
        final_distance_m=float("nan"),
        path_length_m=0.0,
        action_success=False,
        action_reason=error,
        plans=0,
        safe_actions=0,
        replan_hz=None,
    )


def episode_line(result: EpisodeResult, episodes: int) -> str:
    """One line per episode."""
    row = episode_row(result)
    outcome = f"{result.tts_s:5.1f} s" if result.tts_s is not None else result.reason
    figures = ""
    if result.replan_hz is not None and row["e2e_ms"]["n"]:
        figures = (
            f"  {result.replan_hz:.1f} Hz  planner {row['planner_ms']['p50']:.2f} ms"
            f"  end to end {row['e2e_ms']['p50']:.2f} ms"
        )
    return f"episode {result.episode:3d}/{episodes}  scene {result.seed}  {outcome}{figures}"


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 0 when it is complete, whatever the success rate."""
    options = parser().parse_args(argv)
    console = Console(highlight=False)
    path = options.json or Path(f"out/bench/arm-{options.task}.json")
    for sig in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # also where a script's background job inherits an ignored SIGINT
        signal.signal(sig, signal.default_int_handler)
    began = time.time()
    try:
        if options.episodes < 1:
            raise ConfigError(f"--episodes must be at least 1, got {options.episodes}")
        artifact = check_artifact(options.task, options.artifact)
        results = run_missing(options, artifact, path, console)
    except KeyboardInterrupt:
        console.print("bench_arm: stopped; the same command goes on from here", style="yellow")
        return 130
    except (KdpError, OSError, TimeoutError) as error:
        console.print(f"bench_arm: {error} (logs: {path.parent / 'log'})", style="red", soft_wrap=True)
        return 1
    summary = {
        **summarise_episodes(results),
        "simulated": True,
        "backend": "sim",
        **conditions(options, artifact),
        "artifact": artifact,
        "definitions": DEFINITIONS,
        "versions": versions(*PACKAGES),
        "finished_unix": round(time.time()),
        "last_call_s": round(time.time() - began),
        "episode_rows": [episode_row(result) for result in results],
    }
    write_atomically(path, json.dumps(summary, indent=1) + "\n")
    low, high = summary["success_wilson95"]
    console.print(
        f"{summary['success']} of {summary['episodes']} succeeded "
        f"(95 % Wilson {100 * low:.1f} to {100 * high:.1f} %), "
        f"median {summary['tts_s']} s, replan {summary['replan_hz']} Hz\nplanner ms {summary['planner_ms']}\n"
        f"end to end ms {summary['e2e_ms']}\nCPU % of a core {summary['cpu_percent']}\n{path}",
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
