"""Planners of the tables maze and routes: equal data, gradient steps and batch for every method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kdp_core.benchmarks import training_runs
from kdp_core.benchmarks.spread import ONE_AFTER_ANOTHER, Spread
from kdp_core.benchmarks.training_runs import METHODS, PlannerMethod, settings_of
from kdp_core.ranges import at_least
from kdp_core.sim.maze2d_layout import LayoutName, layout
from kdp_core.tasks.maze import task_name

__all__ = [
    "METHODS",
    "MazeMethod",
    "MazeTrainingOptions",
    "artifact_path",
    "train_missing",
    "training_config",
]

if TYPE_CHECKING:
    from kdp_core.run_config import RunConfig

MazeMethod = PlannerMethod
DIFFUSION_STEPS: dict[LayoutName, int] = {
    "umaze": 64, "medium": 256, "large": 256, "ring": 20, "blocks": 20,
}  # fmt: skip
"""Diffuser's T: as published in D4RL's mazes, 20 in those with loops."""


@dataclass(frozen=True)
class MazeTrainingOptions:
    """How every planner is trained."""

    data_steps: int = 1_000_000
    """Recorded steps of 0.01 s per maze."""
    horizon: int = 0
    """Rows of a window; 0: the maze's own (192, 320, 544 in D4RL's mazes; published: 128, 256, 384)."""
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
    final_temperatures: tuple[float, ...] = ()
    """Of the joint field in the last `final_share` of its steps; none given: the same."""
    final_share: float = 0.9
    """Share of the steps that have `final_temperatures`."""
    learning_rate: float = 2e-3
    """Peak learning rate of every method."""
    components: int = 96
    """Components of the decoder."""
    width: int = 256
    """Width of the networks."""
    base_blocks: int = 3
    """Blocks of the regression base of joint and energy; 0: none."""
    scorer_steps: int = 1000
    """Gradient steps of the scorer."""
    pool: int = 512
    """Conditions whose windows Diffuser's scorer learns from (the others' generates its own in each step)."""
    diffusion_steps: int = 0
    """Diffuser's T; 0: the maze's own (as published: 64, 256, 256)."""
    threads: int = 1
    """PyTorch threads."""

    def __post_init__(self) -> None:
        at_least(self, 0, "horizon", "diffusion_steps", prefix="training.")
        at_least(self, 1, "data_steps", "threads", prefix="training.")  # the rest is checked by TrainConfig


def training_config(
    maze: LayoutName, method: MazeMethod, seed: int, options: MazeTrainingOptions, folder: Path
) -> RunConfig:
    """The run that trains one planner below ``folder``; behaviour cloning has windows of one row."""
    from kdp_core.baselines.diffuser_config import (
        DiffuserConfig,
    )  # here: torch, which no worker process needs
    from kdp_core.generator import NetworkSize
    from kdp_core.run_config import RunConfig
    from kdp_core.scorer import ScorerConfig
    from kdp_core.sim.maze2d_options import MazeCollectOptions
    from kdp_core.train_config import TrainConfig

    train = TrainConfig(
        steps=options.steps,
        conditions=options.conditions,
        samples=options.samples,
        neighbours=options.neighbours,
        temperatures=options.temperatures,
        final_temperatures=options.final_temperatures,
        final_share=options.final_share,
        learning_rate=options.learning_rate,
        components=options.components,
        network=NetworkSize(width=options.width, base_blocks=options.base_blocks),
        scorer=ScorerConfig(
            steps=options.scorer_steps,
            conditions=options.conditions,
            samples=options.samples,
            pool=options.pool,
        ),
        seed=seed,
    )
    steps = options.diffusion_steps or DIFFUSION_STEPS[maze]
    diffuser = DiffuserConfig(network="mlp", diffusion_steps=steps, first_action_weight=1.0)
    return RunConfig(
        task=task_name(maze),
        data=str(data_path(maze, folder)),
        out=folder / maze / f"{method}{seed}",
        threads=options.threads,
        horizon=1 if method == "bc" else options.horizon or layout(maze).horizon,
        train=settings_of(method, train, diffuser),
        mazes=MazeCollectOptions(steps=options.data_steps),
    )


def data_path(maze: LayoutName, folder: Path) -> Path:
    """Where a maze's data set is."""
    return folder / "data" / f"{task_name(maze)}.hdf5"


def artifact_path(maze: LayoutName, method: MazeMethod, seed: int, folder: Path) -> Path:
    """Where a planner is."""
    return folder / maze / f"{method}{seed}" / "artifact"


def train_missing(
    maze: LayoutName,
    planners: Sequence[tuple[MazeMethod, int]],
    options: MazeTrainingOptions,
    folder: Path,
    say: Callable[[str], None],
    spread: Spread = ONE_AFTER_ANOTHER,
) -> None:
    """Collect the maze's data and train its planners (method, seed), unless they are there.

    Goes on from checkpoints. Raises DataError if a planner is there that was trained in another way.
    """
    wanted = [training_config(maze, method, seed, options, folder) for method, seed in planners]

    def collect() -> None:
        from kdp_core.sim.maze2d_collect import collect_maze

        collect_maze(maze, wanted[0].mazes, data_path(maze, folder))

    what = f"{task_name(maze)}: {options.data_steps} steps of data"
    training_runs.train_missing(wanted, collect, what, say, spread)
