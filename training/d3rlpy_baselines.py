#!/usr/bin/env python3
"""d3rlpy's baselines (MIT) for the tables locomotion and adroit: BC, TD3+BC, IQL, CQL, DT.

    make d3rlpy ARGS="locomotion --cases hopper-medium --methods td3_bc iql"

Runs in an environment of its own, as d3rlpy wants other versions. Learns from the data that the table has
collected, with as many gradient steps and as large batches as the table's planners, and evaluates in the
same episodes. Finished results are kept, so the same command goes on; the table picks them up when it is
made anew.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro

from kdp_core.benchmarks import gym_table, long_format
from kdp_core.benchmarks.cells import Progress
from kdp_core.benchmarks.d3rlpy_results import BaselineResult, budget_of, fitting_result, write_result
from kdp_core.benchmarks.gym_eval import Actor, GymEvaluationOptions, GymOutcome, act, episode_seeds
from kdp_core.benchmarks.gym_suites import BASELINES, Baseline, Case, own_data
from kdp_core.benchmarks.gym_training import SEED, GymTrainingOptions, rollouts_path
from kdp_core.benchmarks.progress import progress_bar, say
from kdp_core.cli import user_errors
from kdp_core.datasets import Episodes, open_episodes
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.ranges import at_least
from kdp_core.sim.gym_env import make_env


@dataclass(frozen=True)
class Arguments:
    """Command line; what is not given is as in the table."""

    table: tyro.conf.Positional[Literal["locomotion", "adroit"]]
    """Table that the results are for."""
    cases: tuple[str, ...] = ()
    """Data sets by name; all of the table's if none are given."""
    methods: tuple[Baseline, ...] = BASELINES
    """Methods."""
    seeds: tuple[int, ...] = (SEED,)
    """Training seeds; the table shows 0, as it trains its own planners."""
    quick: bool = False
    """For the table's --quick."""
    steps: int | None = None
    """Gradient steps."""
    batch: int | None = None
    """Transitions per gradient step (dt: at most 64 pieces of 20 steps)."""
    discount: float | None = None
    """Discount of rewards."""
    episodes: int | None = None
    """Episodes of the evaluation."""
    planners: Path = Path("out/train")
    """The table's folder of planners, with its data; results go to PLANNERS/TABLE/d3rlpy."""
    data: Path | None = None
    """Folder of data sets, where the table had --data."""
    threads: int = 1
    """PyTorch threads."""

    def __post_init__(self) -> None:
        given = [n for n in ("steps", "batch", "episodes") if getattr(self, n) is not None]
        at_least(self, 1, *given, "threads")

    @property
    def options(self) -> gym_table.GymTableOptions:
        """The table's options."""
        usual = gym_table.QUICK[self.table] if self.quick else gym_table.GymTableOptions()
        training: dict[str, Any] = {"steps": self.steps, "discount": self.discount}
        if self.batch is not None:
            training |= {"conditions": self.batch, "samples": 1}
        changed = replace(usual.training, **{k: v for k, v in training.items() if v is not None})
        return replace(
            usual,
            cases=self.cases or usual.cases,
            episodes=self.episodes or usual.episodes,
            training=changed,
        )

    @property
    def folder(self) -> Path:
        """The table's folder of planners."""
        return self.planners / (f"{self.table}-quick" if self.quick else self.table)


def data_of(case: Case, arguments: Arguments) -> Episodes:
    """The data that the table has collected, or the user's. Raises DataError if they are not there."""
    if arguments.data is not None:
        return open_episodes(own_data(case, arguments.data))
    path = rollouts_path(case, arguments.folder)
    if not path.is_dir():
        raise DataError(f"{path}: no data set; it is collected when the table is begun (or give --data)")
    return open_episodes(path)


def evaluate(
    case: Case, actor: Callable[[], Actor], episodes: int, show: Callable[[int], None]
) -> list[GymOutcome]:
    """The table's episodes, with a new actor for each."""
    env, outcomes = make_env(case.env), []
    try:
        for seed in episode_seeds(GymEvaluationOptions(case.env, episodes)):
            outcomes.append(act(actor(), env, seed, case.env))
            show(len(outcomes))
    finally:
        env.close()
    return outcomes


def run_case(
    case: Case,
    data: Episodes,
    arguments: Arguments,
    training: GymTrainingOptions,
    episodes: int,
    bar: Progress,
) -> None:
    """Train and evaluate what is missing of one case; prints a line for each result."""
    import d3rlpy_methods

    budget, known = budget_of(case, data, training, episodes), d3rlpy_methods.recorded(data)
    for seed in arguments.seeds:
        for method in arguments.methods:
            settings = d3rlpy_methods.settings_of(method, known, budget)
            label = f"{case.name}, {method}, seed {seed}"
            result = fitting_result(arguments.folder, case.name, method, seed, budget, settings)
            if result is None:
                began = time.process_time()
                actor = d3rlpy_methods.train(
                    method, known, budget, seed, arguments.threads,
                    lambda done, label=label: bar(f"{label}: training", done, budget.steps, done),
                )  # fmt: skip
                training_cpu_s = time.process_time() - began
                outcomes = evaluate(
                    case, actor, episodes,
                    lambda done, label=label: bar(f"{label}: episodes", done, episodes, done),
                )  # fmt: skip
                result = BaselineResult(
                    case.name, method, seed, budget, settings, training_cpu_s, long_format.environment(),
                    tuple(outcomes),
                )  # fmt: skip
                write_result(arguments.folder, result)
            score = np.mean([outcome.score for outcome in result.outcomes])
            say(f"{label}: score {score:.1f}, {result.training_cpu_s:.0f} s of processor time to train")


@user_errors
def main() -> None:
    """Train and evaluate what is missing."""
    arguments = tyro.cli(Arguments, description=__doc__)
    if importlib.util.find_spec("d3rlpy") is None:
        raise ConfigError("d3rlpy is not installed here; `make d3rlpy` runs this where it is")
    options = arguments.options
    with progress_bar() as bar:
        for case in gym_table.cases_of(arguments.table, options):
            run_case(case, data_of(case, arguments), arguments, options.training, options.episodes, bar)


if __name__ == "__main__":
    main()
