"""Arm benchmark over the full graph: many scenes, real processes, wall-clock time; resumable.

Each episode is appended to a .jsonl beside the summary as soon as it has ended. A second call goes on with
the episodes that are missing; it refuses to mix episodes of another machine, artifact or option.
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
from kdp_planner_ros import bench
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
    return {
        "artifact_sha256": bench.planner_sum(artifact),
        "task": options.task,
        "candidates": options.candidates,
        "bus": options.bus,
        "first_seed": options.first_seed,
        "machine": machine(),
    }


def series(path: Path, wanted: dict[str, Any]) -> bench.Series[EpisodeResult]:
    """The file of episodes beside the summary `path`."""
    return bench.Series(path.with_suffix(".jsonl"), wanted, EpisodeResult, "episode")


def run_missing(
    options: argparse.Namespace, artifact: str, summary: Path, console: Console
) -> list[EpisodeResult]:
    """Run what is missing."""
    runner_options = RunnerOptions(
        log_dir=summary.parent / "log",
        task=options.task,
        artifact=artifact,
        candidates=options.candidates,
        bus=options.bus,
        control_port=options.control_port,
        use_launch=False,  # process ids, for the load of each process
    )
    episodes = series(summary, conditions(options, artifact))
    if options.fresh:
        episodes.path.unlink(missing_ok=True)
    return bench.run_missing(
        episodes,
        options.episodes,
        options.first_seed,
        lambda: EpisodeRunner(runner_options),
        lambda runner, episode, seed: runner.run(episode, seed),
        lambda episode, seed, error: broken(episode, options.task, seed, error),
        lambda line: console.print(line, soft_wrap=True),
        lambda result: episode_line(result, options.episodes),
    )


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
    figures = bench.figures(result.replan_hz, row["planner_ms"], row["e2e_ms"])
    return f"episode {result.episode:3d}/{episodes}  scene {result.seed}  {outcome}{figures}"


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 0 when it is complete, whatever the success rate."""
    options = parser().parse_args(argv)
    console = Console(highlight=False)
    path = options.json or Path(f"out/bench/arm-{options.task}.json")
    bench.interruptible()
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
        "artifact": options.artifact or "shipped",
        "definitions": DEFINITIONS,
        "versions": versions(*PACKAGES),
        "finished_unix": round(time.time()),
        "last_call_s": round(time.time() - began),
        "episode_rows": [episode_row(result) for result in results],
    }
    write_atomically(path, json.dumps(summary, indent=1) + "\n")
    console.print(f"{bench.closing(summary, summary['episodes'])}\n{path}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
