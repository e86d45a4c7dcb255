"""The routes table: who learns the distribution of the routes, and who their mean? Equal budgets for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kdp_core.benchmarks import long_format, routes_eval
from kdp_core.benchmarks.cells import Progress, cell
from kdp_core.benchmarks.maze_training import MazeMethod, MazeTrainingOptions, artifact_path
from kdp_core.benchmarks.routes_eval import CANDIDATES, RoutesEvaluationOptions, RoutesOutcome
from kdp_core.benchmarks.routes_scores import spread_skill
from kdp_core.benchmarks.training_runs import pairs
from kdp_core.exceptions import DataError
from kdp_core.files import load_json, write_text
from kdp_core.ranges import at_least
from kdp_core.sim.maze2d_layout import ROUTES, RouteName, layout
from kdp_core.tasks.maze import task_name

TEMPERATURES = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Of the joint field: routes lie several times farther apart than windows do on average, because under most
conditions there is one route, and up to 0.5 all samples end on one of the routes (docs/method-notes.md)."""
METHODS: tuple[MazeMethod, ...] = ("joint", "kdp", "energy", "mean", "diffuser")
DATA = "data"
"""The line of fresh journeys, judged as if they were plans: what no method can beat but by chance."""


TRAINING = MazeTrainingOptions(
    temperatures=TEMPERATURES,
    final_temperatures=TEMPERATURES[:3],
    steps=4000,
    base_blocks=0,
)
"""The same for every method; only the joint field has these temperatures. The high ones are needed until
samples have found all routes, a tenth of the steps; after that they blur. Without a regression base: around
the mean of several routes, which lies in a wall, samples collapse (docs/method-notes.md)."""


@dataclass(frozen=True)
class RoutesTableOptions:
    """How much is run."""

    mazes: tuple[RouteName, ...] = ROUTES
    """Mazes with loops."""
    methods: tuple[MazeMethod, ...] = METHODS
    """Methods that are trained."""
    seeds: int = 3
    """Training seeds of joint and diffuser; each is evaluated under conditions of its own."""
    other_seeds: int = 3
    """Training seeds of the other methods, at most as many."""
    conditions: int = 40
    """Pairs of start and goal per line, maze and seed."""
    samples: int = 64
    """Plans, and reference journeys, per condition."""
    training: MazeTrainingOptions = field(default_factory=lambda: TRAINING)
    """Training."""

    def __post_init__(self) -> None:
        at_least(self, 1, "seeds", "other_seeds", "conditions", prefix="options.")
        at_least(self, 2, "samples", prefix="options.")


QUICK = RoutesTableOptions(
    mazes=("ring",), seeds=1, other_seeds=1, conditions=12,
    training=replace(
        TRAINING, data_steps=100_000, steps=300, conditions=32, samples=8, neighbours=8, width=192,
        scorer_steps=150, pool=128, final_temperatures=(),
    ),
)  # fmt: skip
"""One maze, one seed, few steps: minutes, to see that everything works; its figures mean little."""


@dataclass(frozen=True)
class Result:
    """One cell."""

    maze: RouteName
    method: str
    seed: int
    nfe: int
    outcomes: list[RoutesOutcome]


def cells(options: RoutesTableOptions) -> Iterator[tuple[RouteName, str, int]]:
    """All (maze, method, seed), maze by maze; seeds together, for they share their conditions."""
    for maze in options.mazes:
        for seed in range(options.seeds):
            yield maze, DATA, seed
            for method, of_seed in pairs(options.methods, options.seeds, options.other_seeds):
                if of_seed == seed:
                    yield maze, method, seed


def evaluation(
    planners: Path, options: RoutesTableOptions, maze: RouteName, method: str, seed: int
) -> RoutesEvaluationOptions:
    """How one cell is evaluated."""
    planner = next((m for m in METHODS if m == method), None)
    artifact = None if planner is None else str(artifact_path(maze, planner, seed, planners))
    return RoutesEvaluationOptions(
        maze=maze, conditions=options.conditions, samples=options.samples, seed=seed,
        method="planner" if planner else "data", artifact=artifact, horizon=options.training.horizon,
    )  # fmt: skip


def run_table(
    planners: Path, out: Path, options: RoutesTableOptions, progress: Progress, name: str = "routes"
) -> dict[str, Any]:
    """Evaluate what is missing (finished cells are kept below ``out``), write NAME.json and NAME.md.

    Both are written anew after each cell. Raises DataError if a planner is not trained.
    """
    data = describe(options)
    results: list[Result] = []
    document: dict[str, Any] = {}
    for maze, method, seed in cells(options):
        how = evaluation(planners, options, maze, method, seed)
        label = f"{maze}, {method}, seed {seed}"
        outcomes = cell(out / name, label, how, RoutesOutcome, routes_eval.evaluate, 1, progress)
        nfe = 0
        if how.artifact is not None:
            nfe = int(load_json(Path(how.artifact) / "provenance.json", DataError)["nfe"])
        results.append(Result(maze, method, seed, nfe, outcomes))
        document = long_format.write(out / f"{name}.json", data, rows_of(results, options.samples))
        write_text(out / f"{name}.md", markdown(data, results))
    return document


def describe(options: RoutesTableOptions) -> str:
    """One sentence on data, training and conditions."""
    training = options.training
    rows = " / ".join(str(training.horizon or layout(maze).horizon) for maze in options.mazes)
    return (
        f"simulated mazes with loops ({' / '.join(options.mazes)}): {training.data_steps} steps of journeys "
        f"by random routes a maze, generated here; windows of {rows} rows; every method {training.steps} "
        f"steps of {training.conditions * training.samples} windows; {options.seeds} seed(s) of joint and "
        f"diffuser, {min(options.seeds, options.other_seeds)} of the others, x "
        f"{options.conditions} held-out pairs of start and goal with two or more routes, {options.samples} "
        f"plans against {options.samples} fresh journeys each; distances are root mean squares over the rows "
        f"of a path, m"
    )


def metrics(outcomes: list[RoutesOutcome]) -> dict[str, tuple[float, float | None]]:
    """What is measured of all samples, (value, standard error over conditions) by metric."""
    values = {
        "energy_score": [o.energy_score for o in outcomes],
        "route_coverage": [o.coverage for o in outcomes],
        "route_difference": [o.route_difference for o in outcomes],
        "wall_fraction": [o.wall_fraction for o in outcomes],
    }
    out = {metric: (float(np.mean(numbers)), _error(numbers)) for metric, numbers in values.items()}
    return {**out, "spread_skill": spread_skill([o.spread for o in outcomes], [o.error for o in outcomes])}


def successes(outcomes: list[RoutesOutcome]) -> dict[int, list[float]]:
    """Success by number of candidates, where plans were ranked."""
    found = {k: [getattr(o, f"success_{k}") for o in outcomes] for k in CANDIDATES}
    return {k: [float(s) for s in found[k]] for k in CANDIDATES if None not in found[k]}


def rows_of(results: list[Result], samples: int) -> list[long_format.Row]:
    """Long format."""
    rows = []
    for result in results:
        found = [
            (metric, samples, value, error) for metric, (value, error) in metrics(result.outcomes).items()
        ]
        for k, numbers in successes(result.outcomes).items():
            found.append(("success", k, float(np.mean(numbers)), _error(numbers)))
        if result.method != DATA:
            times = [o.plan_ms for o in result.outcomes]
            found.append(("planner_ms_p50", max(CANDIDATES), float(np.median(times)), None))
        more = {"protocol": "open_loop", "episodes": len(result.outcomes), "nfe": result.nfe}
        rows += [
            long_format.row(
                task_name(result.maze), result.method, metric, value, error, result.seed, candidates=k, **more
            )
            for metric, k, value, error in found
        ]
    return rows


def markdown(data: str, results: list[Result]) -> str:
    """As Markdown: means over seeds, with their standard error where there are several."""
    lines = [data, ""]
    lines.append(
        "| maze | method | NFE | energy score, m | spread / skill | routes covered % | difference of routes "
        "| in walls % | success %, K = 1 / 16 / 64 | 64 plans, ms p50 |"
    )
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for maze, method in dict.fromkeys((r.maze, r.method) for r in results):
        runs = [r for r in results if (r.maze, r.method) == (maze, method)]
        found = [metrics(r.outcomes) for r in runs]
        good = [successes(r.outcomes) for r in runs]
        success = " / ".join(f"{100 * np.mean([g[k] for g in good]):.0f}" for k in good[0])
        time = "-" if method == DATA else f"{np.median([o.plan_ms for r in runs for o in r.outcomes]):.2g}"
        lines.append(
            f"| {maze} | {method} | {runs[0].nfe} | {_mean(found, 'energy_score', 3)} "
            f"| {_mean(found, 'spread_skill', 2)} | {_mean(found, 'route_coverage', 1, 100)} "
            f"| {_mean(found, 'route_difference', 2)} | {_mean(found, 'wall_fraction', 2, 100)} "
            f"| {success} | {time} |"
        )
    return "\n".join(lines) + "\n"


def _mean(found: list[dict[str, Any]], metric: str, digits: int, scale: float = 1.0) -> str:
    """Mean over seeds and its standard error: over seeds where there are several, else over conditions."""
    numbers = [scale * f[metric][0] for f in found]
    error = _error(numbers) if len(numbers) > 1 else found[0][metric][1]
    if error is not None and len(numbers) == 1:
        error *= scale
    return f"{np.mean(numbers):.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def _error(numbers: list[float]) -> float | None:
    return float(np.std(numbers, ddof=1) / np.sqrt(len(numbers))) if len(numbers) > 1 else None
