"""Table IV: what each part of the paper's field does, on Maze2D, beside the published figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kdp_core.benchmarks import long_format, maze_eval
from kdp_core.benchmarks.ablation import VARIANTS, Variant, action_diversity, train_variants, variant_config
from kdp_core.benchmarks.bar_figure import Bar, Line, Panel, save_panels
from kdp_core.benchmarks.cells import Progress, cell
from kdp_core.benchmarks.maze_eval import MazeEvaluationOptions, MazeOutcome
from kdp_core.benchmarks.maze_table import QUICK as QUICK_MAZE
from kdp_core.benchmarks.maze_training import MazeTrainingOptions
from kdp_core.benchmarks.spread import ONE_AFTER_ANOTHER, Spread
from kdp_core.files import write_text
from kdp_core.planner import Planner
from kdp_core.ranges import at_least
from kdp_core.sim.maze2d_layout import MAZES, MazeName
from kdp_core.tasks.maze import task_name

CANDIDATES = (1, 16)


@dataclass(frozen=True)
class AblationOptions:
    """How much is run."""

    mazes: tuple[MazeName, ...] = MAZES
    """Mazes."""
    seeds: int = 1
    """Training seeds."""
    episodes: int = 100
    """Episodes per line, maze and seed."""
    training: MazeTrainingOptions = field(default_factory=MazeTrainingOptions)
    """Training, as of the table `maze`, whose planners are used where they are the same."""

    def __post_init__(self) -> None:
        at_least(self, 1, "seeds", "episodes", prefix="options.")


QUICK = AblationOptions(mazes=("umaze",), episodes=20, training=QUICK_MAZE.training)
"""Minutes, to see that everything works; its figures mean little."""


@dataclass(frozen=True)
class Result:
    """One planner: outcomes per number of candidates, and its action diversity."""

    variant: Variant
    maze: MazeName
    seed: int
    outcomes: dict[int, list[MazeOutcome]]
    diversity: float


def run_table(
    planners: Path,
    out: Path,
    options: AblationOptions,
    processes: int,
    say: Callable[[str], None],
    progress: Progress,
    spread: Spread = ONE_AFTER_ANOTHER,
    name: str = "ablation",
) -> dict[str, Any]:
    """Train and evaluate what is missing, maze by maze; write NAME.json, NAME.md and NAME.png after each.

    Raises DataError if a planner is there that was trained in another way.
    """
    results: list[Result] = []
    document: dict[str, Any] = {}
    for number, maze in enumerate(options.mazes):
        train_variants(maze, options.seeds, options.training, planners, say, spread)
        for variant in VARIANTS:
            for seed in range(options.seeds):
                artifact = variant_config(maze, variant, seed, options.training, planners).out / "artifact"
                outcomes = {}
                for k in CANDIDATES:
                    evaluation = MazeEvaluationOptions(
                        maze=maze, episodes=options.episodes, seed=seed, candidates=k, artifact=str(artifact)
                    )
                    label = f"{maze}, {variant.name}, K = {k}, seed {seed}"
                    outcomes[k] = cell(
                        out / name, label, evaluation, MazeOutcome, maze_eval.evaluate, processes, progress
                    )
                diversity = action_diversity(Planner.load(artifact), maze, seed)
                results.append(Result(variant, maze, seed, outcomes, diversity))
        data = describe(replace(options, mazes=options.mazes[: number + 1]))
        document = long_format.write(out / f"{name}.json", data, rows_of(results))
        write_text(out / f"{name}.md", markdown(data, results))
        save_figure(results, out / f"{name}.png")
    return document


def describe(options: AblationOptions) -> str:
    """One sentence on data, training and episodes."""
    training = options.training
    windows = training.conditions * training.samples
    return (
        f"simulated Maze2D by D4RL's recipe ({', '.join(options.mazes)}), {training.data_steps} steps of "
        f"data a maze, generated here; {training.steps} gradient steps of {windows} windows; "
        f"{options.seeds} seed(s) x {options.episodes} episodes, one plan followed (open loop), fixed goal; "
        "action diversity: spread of 64 candidates over that of the data; published figures are averages "
        "over three mazes on D4RL's data, and of a diversity that the paper does not define"
    )


def rows_of(results: list[Result]) -> list[long_format.Row]:
    """Long format, the published figures as methods of their own."""
    rows = []
    for r in results:
        for k, outcomes in r.outcomes.items():
            more = {"protocol": "open_loop", "candidates": k, "episodes": len(outcomes)}
            for metric, values in _metrics(outcomes).items():
                mean, error = _mean(values)
                rows.append(
                    long_format.row(task_name(r.maze), r.variant.name, metric, mean, error, r.seed, **more)
                )
        rows.append(
            long_format.row(task_name(r.maze), r.variant.name, "action_diversity", r.diversity, None, r.seed)
        )
    for variant in VARIANTS:
        if variant.published is not None:
            columns = (("locomotion", "score"), ("maze2d", "score"), ("maze2d", "action_diversity"))
            for (task, metric), value in zip(columns, variant.published, strict=True):
                rows.append(long_format.row(task, f"{variant.name} (published)", metric, value))
    return rows


def markdown(data: str, results: list[Result]) -> str:
    """As Markdown: scores with standard errors (over seeds, or episodes of one), walls and diversity."""
    mazes = list(dict.fromkeys(r.maze for r in results))
    columns = [f"{maze}, K = {k}" for maze in mazes for k in CANDIDATES]
    columns += [f"average, K = {k}" for k in CANDIDATES]
    head = ["field", *columns, "in walls %", "action diversity", "published: Maze2D", "diversity"]
    lines = [data, "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for variant in VARIANTS:
        mine = [r for r in results if r.variant is variant]
        scores = []
        for maze in mazes:
            for k in CANDIDATES:
                runs = [_metrics(r.outcomes[k])["score"] for r in mine if r.maze == maze]
                mean, error = _mean([np.mean(run) for run in runs] if len(runs) > 1 else runs[0])
                scores.append(f"{mean:.1f} ± {error:.1f}")
        for k in CANDIDATES:
            means = [np.mean(_metrics(r.outcomes[k])["score"]) for r in mine]
            scores.append(f"{np.mean(means):.1f}")
        walls = [np.mean(_metrics(r.outcomes[1])["wall_share"]) for r in mine]
        diversity = np.mean([r.diversity for r in mine])
        published = ["", ""] if variant.published is None else [f"{v:g}" for v in variant.published[1:]]
        line = [variant.name, *scores, f"{100 * np.mean(walls):.0f}", f"{diversity:.3g}", *published]
        lines.append(f"| {' | '.join(line)} |")
    return "\n".join(lines) + "\n"


def save_figure(results: list[Result], path: Path) -> Path:
    """Scores at K = 16 per maze as PNG."""
    panels = []
    for maze in dict.fromkeys(r.maze for r in results):
        bars = []
        for variant in VARIANTS:
            runs = [
                _metrics(r.outcomes[16])["score"] for r in results if r.variant is variant and r.maze == maze
            ]
            mean, error = _mean([np.mean(run) for run in runs] if len(runs) > 1 else runs[0])
            bars.append(Bar(variant.name, mean, error, "tab:blue" if variant.published else "tab:green"))
        panels.append(Panel(task_name(maze), bars, [Line("full method, published (average)", 128.2, "--")]))
    return save_panels(panels, "D4RL score, one plan, K = 16", path)


def _metrics(outcomes: list[MazeOutcome]) -> dict[str, list[float]]:
    return {
        "score": [o.score for o in outcomes],
        "success": [float(o.success) for o in outcomes],
        "wall_share": [float(o.wall_share or 0.0) for o in outcomes],
    }


def _mean(values: Any) -> tuple[float, float]:
    n = len(values)
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else 0.0
