"""Table IV's planners: the paper's field with one part of it changed, trained on Maze2D."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdp_core.benchmarks import training_runs
from kdp_core.benchmarks.maze_training import MazeTrainingOptions, data_path, training_config
from kdp_core.benchmarks.spread import ONE_AFTER_ANOTHER, Spread
from kdp_core.planner import Planner
from kdp_core.sim.maze2d import Maze2D
from kdp_core.sim.maze2d_layout import MazeName, layout
from kdp_core.tasks.maze import MazeTask, task_name

if TYPE_CHECKING:
    from kdp_core.run_config import RunConfig

DIVERSITY_CONDITIONS = 50
DIVERSITY_CANDIDATES = 64
DIVERSITY_SEED_BASE = 600_000_000


@dataclass(frozen=True)
class Variant:
    """One line: its name, what of ``KdpOptions`` differs from the paper's method, the published figures.

    published: locomotion, Maze2D and action diversity (arXiv 2603.14056, Table IV), None for our own field.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict, hash=False)
    published: tuple[float, float, float] | None = None

    @property
    def folder(self) -> str:
        """Start of the folder's name; the paper's whole method and ours are those of the table `maze`."""
        if self.published is None:
            return "joint"
        return "_".join(["kdp", *self.name.split()]) if self.changes else "kdp"


VARIANTS = (
    Variant("full method", {}, (90.7, 128.2, 0.93)),
    Variant("full-window distances", {"distances": "window"}, (2.91, 9.6, 0.14)),
    Variant("self-negatives included", {"mask_self": False}, (78.08, 91.3, 0.93)),
    Variant("attraction only", {"repulsion": False}, (1.05, 3.7, 2.2e6)),
    Variant("no normalisation", {"normalise": False}, (86.93, 131.5, 0.93)),
    Variant("single temperature", {"temperatures": (0.2,)}, (92.37, 102.1, 0.93)),
    Variant("field joint (ours)"),
)


def variant_config(
    maze: MazeName, variant: Variant, seed: int, options: MazeTrainingOptions, folder: Path
) -> RunConfig:
    """The run that trains one planner."""
    if variant.published is None:
        return training_config(maze, "joint", seed, options, folder)
    config = training_config(maze, "kdp", seed, options, folder)
    changed = replace(config.train, kdp=replace(config.train.kdp, **variant.changes))
    return replace(config, train=changed, out=folder / maze / f"{variant.folder}{seed}")


def train_variants(
    maze: MazeName,
    seeds: int,
    options: MazeTrainingOptions,
    folder: Path,
    say: Callable[[str], None],
    spread: Spread = ONE_AFTER_ANOTHER,
) -> None:
    """Collect the maze's data and train what is missing."""
    wanted = [variant_config(maze, v, seed, options, folder) for seed in range(seeds) for v in VARIANTS]

    def collect() -> None:
        from kdp_core.sim.maze2d_collect import collect_maze

        collect_maze(maze, wanted[0].mazes, data_path(maze, folder))

    training_runs.train_missing(wanted, collect, f"{task_name(maze)}, ablations", say, spread)


def action_diversity(planner: Planner, maze: MazeName, seed: int) -> float:
    """Spread of 64 candidates' actions about their mean, over the spread of all the data's actions.

    Root mean square over 50 starts, rows and components. The paper does not define its figure; this one is 1
    where the candidates of one condition are as diverse as the whole data.
    """
    normaliser = planner.spec.normaliser
    assert normaliser is not None  # every artifact has one
    task, world = MazeTask(maze, planner.spec.horizon), Maze2D(layout(maze))
    squares = []
    for number in range(DIVERSITY_CONDITIONS):
        rng = np.random.default_rng(DIVERSITY_SEED_BASE + 1000 * seed + number)
        state = world.reset(rng, True)
        inputs = {"position": state[:2], "velocity": state[2:], "goal": world.goal}
        noise = rng.standard_normal((DIVERSITY_CANDIDATES, planner.d_noise), dtype=np.float32)
        start, goal = (part.astype(np.float32) for part in task.encode(inputs))
        windows, _ = planner.propose(start, goal, noise)
        actions = windows[..., planner.spec.d_state :].astype(np.float64) / np.array(normaliser.action_std)
        squares.append(np.var(actions, axis=0, ddof=1).mean())
    return float(np.sqrt(np.mean(squares)))
