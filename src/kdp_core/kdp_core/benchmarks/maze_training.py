"""Planners of the Maze2D table: equal data, gradient steps and batch for every method."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from kdp_core.exceptions import DataError
from kdp_core.files import load_json
from kdp_core.ranges import at_least
from kdp_core.sim.maze2d_layout import MazeName, layout
from kdp_core.tasks.maze import PREFIX

if TYPE_CHECKING:
    from kdp_core.run_config import RunConfig

MazeMethod = Literal["joint", "kdp", "energy", "mean", "diffuser", "bc"]
METHODS: tuple[MazeMethod, ...] = get_args(MazeMethod)
DIFFUSION_STEPS: dict[MazeName, int] = {"umaze": 64, "medium": 256, "large": 256}
"""Diffuser's T, as published."""


@dataclass(frozen=True)
class MazeTrainingOptions:
    """How every planner is trained."""

    data_steps: int = 1_000_000
    """Recorded steps of 0.01 s per maze."""
    horizon: int = 0
    """Rows of a window; 0: as published (128, 256, 384)."""
    steps: int = 6000
    """Gradient steps."""
    conditions: int = 64
    """Conditions per step; the batch is conditions x samples windows for every method."""
    samples: int = 8
    """Generated windows per condition."""
    neighbours: int = 16
    """Data windows per condition of the joint and energy fields."""
    components: int = 96
    """Components of the decoder."""
    width: int = 256
    """Width of the networks."""
    scorer_steps: int = 3000
    """Gradient steps of the scorer."""
    pool: int = 2048
    """Conditions whose windows Diffuser's scorer learns from (the others' generates its own in each step)."""
    diffusion_steps: int = 0
    """Diffuser's T; 0: as published (64, 256, 256)."""
    threads: int = 1
    """PyTorch threads."""

    def __post_init__(self) -> None:
        at_least(self, 0, "horizon", "diffusion_steps", prefix="training.")
        at_least(self, 1, "data_steps", "threads", prefix="training.")  # the rest is checked by TrainConfig


def training_config(
    maze: MazeName, method: MazeMethod, seed: int, options: MazeTrainingOptions, folder: Path
) -> RunConfig:
    """The run that trains one planner below ``folder``; behaviour cloning is the mean field on one row."""
    from kdp_core.baselines.diffuser_config import (
        DiffuserConfig,
    )  # here: torch, which no worker process needs
    from kdp_core.generator import NetworkSize
    from kdp_core.run_config import RunConfig
    from kdp_core.scorer import ScorerConfig
    from kdp_core.sim.maze2d_options import MazeCollectOptions
    from kdp_core.train_config import TrainConfig

    batch = options.conditions * options.samples
    train = TrainConfig(
        steps=options.steps,
        conditions=options.conditions,
        samples=options.samples,
        neighbours=options.neighbours,
        components=options.components,
        network=NetworkSize(width=options.width),
        scorer=ScorerConfig(
            steps=options.scorer_steps,
            conditions=options.conditions,
            samples=options.samples,
            pool=options.pool,
        ),
        seed=seed,
    )
    horizon = options.horizon or layout(maze).horizon
    if method == "diffuser":
        steps = options.diffusion_steps or DIFFUSION_STEPS[maze]
        diffusion = DiffuserConfig(network="mlp", diffusion_steps=steps, first_action_weight=1.0)
        train = replace(train, method="diffuser", diffuser=diffusion)
    elif method == "mean":
        train = replace(train, field="mean", conditions=batch, samples=1)
    elif method == "bc":
        horizon = 1
        train = replace(
            train, field="mean", conditions=batch, samples=1, neighbours=1, components=0,
            scorer=ScorerConfig(steps=20),
        )  # fmt: skip
    else:
        train = replace(train, field=method)
    return RunConfig(
        task=PREFIX + maze,
        data=str(data_path(maze, folder)),
        out=folder / maze / f"{method}{seed}",
        threads=options.threads,
        horizon=horizon,
        train=train,
        mazes=MazeCollectOptions(steps=options.data_steps),
    )


def data_path(maze: MazeName, folder: Path) -> Path:
    """Where a maze's data set is."""
    return folder / "data" / f"{PREFIX}{maze}.hdf5"


def artifact_path(maze: MazeName, method: MazeMethod, seed: int, folder: Path) -> Path:
    """Where a planner is."""
    return folder / maze / f"{method}{seed}" / "artifact"


def train_missing(
    maze: MazeName,
    methods: tuple[MazeMethod, ...],
    seeds: int,
    options: MazeTrainingOptions,
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """Collect the maze's data and train its planners, unless they are there; goes on from checkpoints.

    Raises DataError if a planner is there that was trained in another way.
    """
    wanted = [training_config(maze, m, s, options, folder) for s in range(seeds) for m in methods]
    missing = [config for config in wanted if not _trained(config)]
    if not missing:
        return
    from kdp_core.run_training import run_training
    from kdp_core.sim.maze2d_collect import collect_maze

    say(f"{PREFIX}{maze}: {options.data_steps} steps of data, {len(missing)} of {len(wanted)} planners to do")
    collect_maze(maze, missing[0].mazes, data_path(maze, folder))
    for number, config in enumerate(missing):
        say(f"{config.out} ({number + 1} of {len(missing)})")
        run_training(config, asdict(config))


def _trained(config: RunConfig) -> bool:
    path = config.out / "artifact" / "provenance.json"
    if not path.exists():
        return False
    found, mine = load_json(path, DataError).get("configuration"), asdict(config)
    if _what_matters(found) != _what_matters(json.loads(json.dumps(mine, default=str))):
        raise DataError(f"{path}: trained with another configuration; choose another --planners or delete it")
    return True


def _what_matters(configuration: Any) -> Any:
    """All but where things are and what changes no weight."""
    left_out = ("data", "out", "artifact", "threads", "collect", "demonstrations")
    if not isinstance(configuration, dict):
        return None
    kept = {key: value for key, value in configuration.items() if key not in left_out}
    kept["train"] = {k: v for k, v in configuration.get("train", {}).items() if k != "checkpoint_every"}
    return kept
