"""Data and planners of the tables in Gymnasium's environments: equal data, steps and batch for all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdp_core.benchmarks import training_runs
from kdp_core.benchmarks.d4rl_scores import normalised_score
from kdp_core.benchmarks.gym_eval import GymOutcome
from kdp_core.benchmarks.gym_suites import ONE_ROW, Case, GymMethod, own_data, policy_files
from kdp_core.benchmarks.spread import ONE_AFTER_ANOTHER, Spread
from kdp_core.benchmarks.training_runs import POLICY_METHODS, settings_of
from kdp_core.datasets import Episodes, open_episodes
from kdp_core.exceptions import DataError
from kdp_core.files import load_json
from kdp_core.ranges import at_least
from kdp_core.sim.gym_collect import RolloutOptions, collect_rollouts

if TYPE_CHECKING:
    from kdp_core.run_config import RunConfig

SEED = 0
"""One training per cell."""
DEMONSTRATION_SEED = 1


@dataclass(frozen=True)
class GymTrainingOptions:
    """How every planner is trained."""

    data_steps: int = 300_000
    """Recorded steps per data set."""
    windows: int = 60_000
    """Windows of a data set, about (of its rows, every n-th begins one)."""
    horizon: int = 0
    """Rows of a window; 0: 8, HalfCheetah 4 (Diffuser's: 32 and 4)."""
    discount: float = 0.99
    """Of the return to go that the scorer learns."""
    steps: int = 2000
    """Gradient steps."""
    conditions: int = 32
    """Conditions per step; the batch is conditions x samples windows for every method."""
    samples: int = 16
    """Generated windows per condition."""
    neighbours: int = 16
    """Data windows per condition of the joint and energy fields."""
    temperatures: tuple[float, ...] = (0.05, 0.2, 0.5)
    """Softmax temperatures of the joint field."""
    learning_rate: float = 2e-3
    """Peak learning rate of every method."""
    components: int = 0
    """Components of the decoder; 0: none, or noisy actions would be smoothed away."""
    width: int = 256
    """Width of the networks."""
    scorer_steps: int = 1500
    """Gradient steps of the scorer."""
    diffusion_steps: int = 20
    """Diffuser's T, as published."""
    first_action_weight: float = 10.0
    """Weight of the first action over everything else in every method's loss, as Diffuser's."""
    base_blocks: int = 3
    """Blocks of the regression base of joint and energy; 0: none."""
    base_share: float = 0.75
    """Share of their steps that learn it."""
    scorer_actions: int = 1
    """Actions that the scorer judges; 0: whole windows."""
    clone_steps: int = 2000
    """Gradient steps of the clone whose rollouts are half of Adroit's data; 0: experts' rollouts alone."""
    threads: int = 1
    """PyTorch threads."""

    def __post_init__(self) -> None:
        at_least(self, 1, "data_steps", "windows", "threads", prefix="training.")  # the rest: TrainConfig
        at_least(self, 0, "horizon", "clone_steps", prefix="training.")


@dataclass(frozen=True)
class Source:
    """Where data come from: a folder of policy files to roll out, or a folder of data sets."""

    policies: Path | None = None
    data: Path | None = None


def policies_of(
    case: Case, source: Source, options: GymTrainingOptions, folder: Path, say: Callable[[str], None]
) -> tuple[Path, ...]:
    """The policies whose rollouts are the case's data; none for a user's own data.

    For Adroit one of them is a clone, trained here on a few rollouts of the other, as half of D4RL's
    ``cloned`` data are rollouts of a policy cloned from demonstrations.
    """
    if source.data is not None:
        return ()
    from kdp_core.run_config import RunConfig
    from kdp_core.train_config import TrainConfig

    policies = policy_files(case, source.policies)
    if not (case.clone_of_steps and options.clone_steps):
        return policies
    demonstrations = folder / "data" / f"{case.name}-demonstrations-v0"
    rollouts = RolloutOptions(case.env, case.clone_of_steps, DEMONSTRATION_SEED)
    train = TrainConfig(steps=options.clone_steps, seed=SEED)
    clone = RunConfig(
        task="control",
        data=str(collect_rollouts(policies, rollouts, demonstrations)),
        out=folder / "data" / f"clone-of-{policies[0].stem}",
        threads=options.threads,
        horizon=1,
        train=settings_of("bc", train, train.diffuser),
    )
    training_runs.train_missing([clone], lambda: None, f"{case.name}: policy of half the data", say)
    return *policies, clone.out / "artifact"


def data_of(
    case: Case,
    source: Source,
    policies: tuple[Path, ...],
    options: GymTrainingOptions,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Episodes:
    """The case's data set: the user's own, or rollouts below ``folder``, unless they are there already."""
    if source.data is not None:
        return open_episodes(own_data(case, source.data))
    rollouts = RolloutOptions(case.env, options.data_steps, SEED)
    return open_episodes(collect_rollouts(policies, rollouts, rollouts_path(case, folder), progress))


def rollouts_path(case: Case, folder: Path) -> Path:
    """Where a case's rollouts are."""
    return folder / "data" / f"{case.name}-rollouts-v0"


def data_outcomes(case: Case, episodes: Episodes) -> list[GymOutcome]:
    """The data's own whole episodes (a piece cut off at the end of a D4RL file is none)."""
    found = []
    for number, episode in enumerate(episodes):
        if episode.terminations[-1] or episode.truncations[-1]:
            total = float(episode.rewards.sum())
            score = normalised_score(case.env, total)
            found.append(GymOutcome(number, total, score, None, len(episode), 0, None))
    return found


def training_config(
    case: Case, method: GymMethod, options: GymTrainingOptions, episodes: Episodes, folder: Path
) -> RunConfig:
    """The run that trains one planner below ``folder``; behaviour cloning has windows of one row."""
    from kdp_core.baselines.diffuser_config import DiffuserConfig  # here: torch, which no worker needs
    from kdp_core.generator import NetworkSize
    from kdp_core.run_config import RunConfig
    from kdp_core.scorer import ScorerConfig
    from kdp_core.tasks.control import ControlOptions
    from kdp_core.train_config import TrainConfig

    train = TrainConfig(
        steps=options.steps,
        conditions=options.conditions,
        samples=options.samples,
        neighbours=options.neighbours,
        temperatures=options.temperatures,
        learning_rate=options.learning_rate,
        components=options.components,
        first_action_weight=options.first_action_weight,
        base_share=options.base_share,
        network=NetworkSize(
            width=options.width, base_blocks=options.base_blocks, scorer_actions=options.scorer_actions
        ),
        scorer=ScorerConfig(
            steps=options.scorer_steps, conditions=options.conditions, samples=options.samples
        ),
        seed=SEED,
    )
    diffuser = DiffuserConfig(
        network="mlp",
        diffusion_steps=options.diffusion_steps,
        first_action_weight=options.first_action_weight,
    )
    train = settings_of(method, train, diffuser)
    if method in POLICY_METHODS:
        train = replace(train, q_learning=replace(train.q_learning, discount=options.discount))
    steps = int(np.sum(episodes.step_counts()))
    return RunConfig(
        task="control",
        data=str(episodes.path),
        out=planner_path(case, method, folder).parent,
        threads=options.threads,
        horizon=1 if method in ONE_ROW else options.horizon or case.horizon,
        control=ControlOptions(
            options.discount, max(1, math.ceil(steps / options.windows)), method in POLICY_METHODS
        ),
        train=train,
    )


def planner_path(case: Case, method: GymMethod, folder: Path) -> Path:
    """Where a planner is."""
    return folder / case.name / f"{method}{SEED}" / "artifact"


def train_missing(
    case: Case,
    methods: tuple[GymMethod, ...],
    options: GymTrainingOptions,
    episodes: Episodes,
    folder: Path,
    say: Callable[[str], None],
    spread: Spread = ONE_AFTER_ANOTHER,
) -> None:
    """Train the case's planners, unless they are there; goes on from checkpoints.

    Raises DataError if a planner is there that was trained in another way, or on other data.
    """
    for method in methods:
        provenance = planner_path(case, method, folder) / "provenance.json"
        if provenance.exists() and load_json(provenance, DataError).get("data_sha256") != episodes.hash:
            raise DataError(f"{provenance}: trained on other data; choose another --planners or delete it")
    wanted = [training_config(case, method, options, episodes, folder) for method in methods]
    training_runs.train_missing(wanted, lambda: None, f"{case.name}: data {episodes.id}", say, spread)
