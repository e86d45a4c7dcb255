#!/usr/bin/env python3
"""Roll behaviour policies out in a Gymnasium environment and store the episodes as a Minari data set.

    python training/collect_rollouts.py --policy sac-hopper.npz --env Hopper-v4 --steps 1000000

Several policies (--policy A.npz --policy B.npz) get equal shares of the steps, for example medium-expert.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kdp_core.benchmarks.d4rl_scores import normalised_score
from kdp_core.cli import user_errors
from kdp_core.datasets import open_episodes
from kdp_core.exceptions import ConfigError
from kdp_core.sim.gym_collect import RolloutOptions, collect_rollouts


@dataclass(frozen=True)
class Arguments(RolloutOptions):
    """Command line of collect_rollouts.py."""

    policy: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Policy file (docs/locomotion-benchmark.md says what is in it), a planner's artifact, or ant-walker;
    repeatable."""
    out: Path | None = None
    """Folder of the data set; default: out/data/ENV-rollouts-v0."""
    overwrite: bool = False
    """Replace what is there."""


@user_errors
def main() -> None:
    """Collect and report."""
    arguments = tyro.cli(Arguments, description=__doc__)
    columns = (BarColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn())
    with Progress(*columns) as bar:
        row = bar.add_task("collecting", total=arguments.steps, note="")
        path = collect_rollouts(
            arguments.policy,
            RolloutOptions(arguments.env, arguments.steps, arguments.seed),
            arguments.out or Path("out/data") / f"{arguments.env.lower()}-rollouts-v0",
            lambda done, total: bar.update(row, completed=done, note=f"{done}/{total} steps"),
            arguments.overwrite,
        )
    returns = [float(episode.rewards.sum()) for episode in open_episodes(path)]
    score = _score(arguments.env, returns)
    print(f"data set: {path}  ({len(returns)} episodes, mean return {np.mean(returns):.1f}{score})")


def _score(env: str, returns: list[float]) -> str:
    try:
        return f", score {normalised_score(env, float(np.mean(returns))):.1f}"
    except ConfigError:
        return ""


if __name__ == "__main__":
    main()
