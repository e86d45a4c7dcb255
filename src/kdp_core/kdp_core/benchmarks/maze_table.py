"""The Maze2D table: fields and baselines with equal budgets, beside the published scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdp_core.benchmarks import long_format, maze_eval
from kdp_core.benchmarks.cells import Progress, cell
from kdp_core.benchmarks.maze_eval import MazeEvaluationOptions, MazeOutcome, Method, Protocol
from kdp_core.benchmarks.maze_training import METHODS, MazeMethod, MazeTrainingOptions, artifact_path
from kdp_core.benchmarks.training_runs import HEADLINE
from kdp_core.exceptions import DataError
from kdp_core.files import load_json, write_text
from kdp_core.ranges import at_least
from kdp_core.sim.maze2d_layout import MAZES, MazeName
from kdp_core.tasks.maze import PREFIX

PUBLISHED: dict[str, dict[MazeName, float]] = {
    "kdp": {"umaze": 122.3, "medium": 130.4, "large": 133.0},
    "diffuser": {"umaze": 113.9, "medium": 121.5, "large": 123.0},
}
"""Scores of the paper's Table II (single task, open loop, D4RL's data)."""


@dataclass(frozen=True)
class Row:
    """One line: a trained method, or a reference that plans nothing."""

    method: MazeMethod | Method
    protocol: Protocol = "open_loop"
    candidates: int = 1

    @property
    def planner(self) -> MazeMethod | None:
        """What must be trained."""
        return next((m for m in METHODS if m == self.method), None)


ROWS = (
    *(Row(m, "open_loop", k) for m in ("joint", "kdp", "energy", "diffuser") for k in (1, 16)),
    Row("joint", "open_loop", 64),
    Row("mean", "open_loop", 1),
    *(Row(m, "receding", k) for m in ("joint", "kdp", "energy", "diffuser") for k in (1, 16)),
    Row("mean", "receding", 1),
    Row("bc", "receding", 1),
    Row("waypoints", "receding", 1),
    Row("random", "receding", 1),
)


@dataclass(frozen=True)
class MazeTableOptions:
    """How much is run."""

    mazes: tuple[MazeName, ...] = MAZES
    """Mazes."""
    methods: tuple[MazeMethod, ...] = METHODS
    """Methods that are trained."""
    seeds: int = 3
    """Training seeds of joint and diffuser; each is evaluated on episodes of its own."""
    other_seeds: int = 3
    """Training seeds of the other methods, at most as many."""
    episodes: int = 100
    """Episodes per line, maze and seed."""
    replan_every: int = 20
    """Steps between plans of the receding protocol."""
    replanning_diffuser_seeds: int = 3
    """Training seeds of diffuser that plan anew (0: one plan only); with T = 256 a seed takes about half an
    hour of a core."""
    training: MazeTrainingOptions = field(default_factory=MazeTrainingOptions)
    """Training."""

    def __post_init__(self) -> None:
        at_least(self, 1, "seeds", "other_seeds", "episodes", "replan_every", prefix="options.")
        at_least(self, 0, "replanning_diffuser_seeds", prefix="options.")


QUICK = MazeTableOptions(
    mazes=("umaze",), seeds=1, other_seeds=1, episodes=20,
    training=MazeTrainingOptions(
        data_steps=100_000, steps=300, samples=8, neighbours=8, width=192, scorer_steps=150,
        diffusion_steps=20, pool=128,
    ),
)  # fmt: skip
"""One maze, one seed, few steps: minutes, to see that everything works; its figures mean little."""

Result = tuple[Row, MazeName, int, int, list[MazeOutcome]]


def cells(options: MazeTableOptions) -> Iterator[tuple[Row, MazeName, int]]:
    """All (row, maze, seed), maze by maze."""
    for maze in options.mazes:
        for row in ROWS:
            if row.planner is None or row.planner in options.methods:
                for seed in range(_seeds(row, options)):
                    yield row, maze, seed


def _seeds(row: Row, options: MazeTableOptions) -> int:
    if row.planner is not None and row.planner not in HEADLINE:
        return min(options.seeds, options.other_seeds)
    if row.method == "diffuser" and row.protocol == "receding":
        return min(options.seeds, options.replanning_diffuser_seeds)
    return options.seeds


def run_table(
    planners: Path,
    out: Path,
    options: MazeTableOptions,
    processes: int,
    progress: Progress,
    name: str = "maze",
) -> dict[str, Any]:
    """Evaluate what is missing (finished cells are kept below ``out``), write NAME.json and NAME.md.

    Both are written anew after each cell. Raises DataError if a planner is not trained.
    """
    data = describe(options)
    results: list[Result] = []
    document: dict[str, Any] = {}
    for row, maze, seed in cells(options):
        artifact = None if row.planner is None else artifact_path(maze, row.planner, seed, planners)
        evaluation = MazeEvaluationOptions(
            maze=maze, episodes=options.episodes, seed=seed, protocol=row.protocol, candidates=row.candidates,
            method=row.method if row.method in ("waypoints", "random") else "planner",
            artifact=None if artifact is None else str(artifact), replan_every=options.replan_every,
        )  # fmt: skip
        label = f"{maze}, {row.method}, {row.protocol}, K = {row.candidates}, seed {seed}"
        outcomes = cell(out / name, label, evaluation, MazeOutcome, maze_eval.evaluate, processes, progress)
        nfe = 0 if artifact is None else int(load_json(artifact / "provenance.json", DataError)["nfe"])
        results.append((row, maze, seed, nfe, outcomes))
        document = long_format.write(out / f"{name}.json", data, rows_of(results))
        write_text(out / f"{name}.md", markdown(data, results))
    return document


def describe(options: MazeTableOptions) -> str:
    """One sentence on data, training and episodes."""
    training = options.training
    horizon = f"{training.horizon} rows" if training.horizon else "192 / 320 / 544 rows (U / medium / large)"
    return (
        f"simulated Maze2D by D4RL's recipe: {training.data_steps} steps of its waypoint controller a maze, "
        f"generated here, not D4RL's files; windows of {horizon}; every method {training.steps} steps "
        f"of {training.conditions * training.samples} windows; {options.seeds} seed(s) of joint and "
        f"diffuser, {min(options.seeds, options.other_seeds)} of the others, x "
        f"{options.episodes} episodes, fixed goal; receding plans every {options.replan_every} steps; "
        "published scores are on D4RL's own data"
    )


def rows_of(results: list[Result]) -> list[long_format.Row]:
    """Long format."""
    rows = []
    for row, maze, seed, nfe, outcomes in results:
        n = len(outcomes)
        more = {"protocol": row.protocol, "candidates": row.candidates, "episodes": n, "nfe": nfe}
        values = {"score": [o.score for o in outcomes], "success": [float(o.success) for o in outcomes]}
        if outcomes[0].wall_share is not None:
            values["wall_share"] = [o.wall_share for o in outcomes if o.wall_share is not None]
        for metric, numbers in values.items():
            error = float(np.std(numbers, ddof=1) / np.sqrt(n)) if n > 1 else None
            mean = float(np.mean(numbers))
            rows.append(long_format.row(PREFIX + maze, row.method, metric, mean, error, seed, **more))
        times = [o.plan_ms for o in outcomes if o.plan_ms is not None]
        if times:
            median = float(np.median(times))
            rows.append(
                long_format.row(PREFIX + maze, row.method, "planner_ms_p50", median, None, seed, **more)
            )
    return rows


def markdown(data: str, results: list[Result]) -> str:
    """As Markdown: score, standard error and published score per maze; the rest as U / medium / large."""
    mazes = list(dict.fromkeys(maze for _, maze, _, _, _ in results))
    head = "".join(f" {maze} | published |" for maze in mazes)
    lines = [data, "", f"| method | protocol | K | NFE |{head} success % | in walls % | plan, ms p50 |"]
    lines.append("|---|---|---|---|" + "---|---|" * len(mazes) + "---|---|---|")
    for row in dict.fromkeys(r for r, _, _, _, _ in results):
        scores, success, walls, times, nfes = "", [], [], [], []
        for maze in mazes:
            run = [o for r, m, _, _, outcomes in results if r == row and m == maze for o in outcomes]
            published = PUBLISHED.get(row.method, {}).get(maze) if row.protocol == "open_loop" else None
            scores += f" {_mean(results, row, maze)} | {published or ''} |"
            success.append(f"{100 * np.mean([o.success for o in run]):.0f}" if run else "-")
            walls.append(_figure([100 * o.wall_share for o in run if o.wall_share is not None], np.mean))
            times.append(_figure([o.plan_ms for o in run if o.plan_ms is not None], np.median))
            nfes += [str(nfe) for r, m, _, nfe, _ in results if r == row and m == maze][:1]
        nfe = " / ".join(dict.fromkeys(nfes))
        lines.append(
            f"| {row.method} | {row.protocol} | {row.candidates} | {nfe} |{scores} "
            f"{' / '.join(success)} | {' / '.join(walls)} | {' / '.join(times)} |"
        )
    return "\n".join(lines) + "\n"


def _mean(results: list[Result], row: Row, maze: MazeName) -> str:
    """Mean score and its standard error: over seeds where there are several, else over episodes."""
    runs = [[o.score for o in outcomes] for r, m, _, _, outcomes in results if r == row and m == maze]
    if not runs:
        return ""
    numbers = [float(np.mean(run)) for run in runs] if len(runs) > 1 else runs[0]
    error = f" ± {np.std(numbers, ddof=1) / np.sqrt(len(numbers)):.1f}" if len(numbers) > 1 else ""
    return f"{np.mean(numbers):.1f}{error}"


def _figure(numbers: list[float], average: Any) -> str:
    return f"{average(numbers):.2g}" if numbers else "-"
