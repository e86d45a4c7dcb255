"""The tables locomotion, antmaze, adroit and chunking, beside the published figures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdp_core.benchmarks import gym_eval, long_format
from kdp_core.benchmarks.cells import Progress, cell
from kdp_core.benchmarks.d3rlpy_results import BaselineResult, results_of_case
from kdp_core.benchmarks.gym_eval import GymEvaluationOptions, GymOutcome
from kdp_core.benchmarks.gym_suites import (
    AVERAGE,
    BASELINES,
    GYM_METHODS,
    SUITES,
    Baseline,
    Case,
    GymMethod,
    GymRow,
    Suite,
    SuiteName,
)
from kdp_core.benchmarks.gym_training import GymTrainingOptions, data_outcomes, planner_path
from kdp_core.benchmarks.training_runs import POLICY_METHODS
from kdp_core.datasets import Episodes
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.files import load_json, write_text
from kdp_core.ranges import at_least


@dataclass(frozen=True)
class GymTableOptions:
    """How much is run."""

    cases: tuple[str, ...] = ()
    """Data sets by name; all if none are given."""
    methods: tuple[GymMethod, ...] = GYM_METHODS
    """Methods that are trained."""
    episodes: int = 50
    """Episodes per line and data set."""
    most_candidates: int = 64
    """Lines with more candidates are left out."""
    temperature: float = 0.5
    """Of the noise of every method that samples (low-temperature sampling)."""
    training: GymTrainingOptions = field(default_factory=GymTrainingOptions)
    """Training."""

    def __post_init__(self) -> None:
        at_least(self, 1, "episodes", "most_candidates", prefix="options.")
        at_least(self, 0, "temperature", prefix="options.")


@dataclass(frozen=True)
class Result:
    """One cell: what was run and how it went."""

    row: GymRow
    case: Case
    nfe: int
    outcomes: Sequence[GymOutcome]

    def figures(self, metric: str) -> list[float]:
        """Scores, or successes as 0 and 100, of all episodes; none where the environment does not tell."""
        if metric == "score":
            return [o.score for o in self.outcomes]
        return [100.0 * o.success for o in self.outcomes if o.success is not None]


QUICK_TRAINING = GymTrainingOptions(
    data_steps=20_000, windows=8000, steps=300, samples=8, neighbours=8, width=192, scorer_steps=150
)
QUICK: dict[SuiteName, GymTableOptions] = {
    "locomotion": GymTableOptions(
        ("hopper-medium",), episodes=4, most_candidates=16, training=QUICK_TRAINING
    ),
    "antmaze": GymTableOptions(("antmaze-umaze",), episodes=4, most_candidates=16, training=QUICK_TRAINING),
    "adroit": GymTableOptions(("pen",), episodes=6, training=QUICK_TRAINING),
    "chunking": GymTableOptions(("pen",), episodes=6, training=QUICK_TRAINING),
}
"""One data set, few steps: minutes, to see that everything works; the figures mean little."""


def cases_of(name: SuiteName, options: GymTableOptions) -> tuple[Case, ...]:
    """The chosen cases. Raises ConfigError for an unknown one."""
    cases = SUITES[name].cases
    for wanted in options.cases:
        if wanted not in {case.name for case in cases}:
            known = ", ".join(case.name for case in cases)
            raise ConfigError(f"options.cases: '{wanted}' is unknown in table {name}; known: {known}")
    return tuple(case for case in cases if not options.cases or case.name in options.cases)


def rows_of_table(name: SuiteName, options: GymTableOptions) -> tuple[GymRow, ...]:
    """The lines that ``options`` leave."""
    return tuple(
        row
        for row in SUITES[name].rows
        if row.candidates <= options.most_candidates
        and (row.planner is None or row.planner in options.methods)
    )


def baselines_of(
    name: SuiteName, case: Case, episodes: Episodes, planners: Path, options: GymTableOptions
) -> dict[Baseline, BaselineResult]:
    """d3rlpy's results that are there for a case. Raises DataError if one was made in another way."""
    methods = [row.baseline for row in rows_of_table(name, options) if row.baseline is not None]
    return results_of_case(planners, case, methods, episodes, options.training, options.episodes)


def evaluate_case(
    name: SuiteName,
    case: Case,
    episodes: Episodes,
    planners: Path,
    cells: Path,
    options: GymTableOptions,
    processes: int,
    progress: Progress,
) -> list[Result]:
    """All lines of one case; finished cells are kept below ``cells``. Raises DataError without a planner."""
    results = []
    baselines = baselines_of(name, case, episodes, planners, options)
    for row in rows_of_table(name, options):
        if row.baseline is not None:
            if row.baseline in baselines:
                results.append(Result(row, case, 1, baselines[row.baseline].outcomes))
            continue
        if row.method == "data":
            results.append(Result(row, case, 0, data_outcomes(case, episodes)))
            continue
        artifact = None if row.planner is None else planner_path(case, row.planner, planners)
        evaluation = GymEvaluationOptions(
            case.env,
            options.episodes,
            0,
            None if artifact is None else str(artifact),
            row.candidates,
            row.chunk,
            1.0 if artifact is None else options.temperature,
        )
        label = f"{case.name}, {row.method}, K = {row.candidates}, L = {row.chunk}"
        outcomes = cell(cells, label, evaluation, GymOutcome, gym_eval.evaluate, processes, progress)
        nfe = 0 if artifact is None else int(load_json(artifact / "provenance.json", DataError)["nfe"])
        results.append(Result(row, case, nfe, outcomes))
    return results


def write_table(
    name: SuiteName, path: Path, data: str, results: Sequence[Result], note: str = ""
) -> long_format.Document:
    """Write PATH.json and PATH.md, which ends with ``note``, and return the document."""
    document = long_format.write(path.with_suffix(".json"), data, long_rows(results))
    write_text(path.with_suffix(".md"), markdown(SUITES[name], data, results) + note)
    return document


def describe(data: dict[str, Episodes], options: GymTableOptions) -> str:
    """One sentence on data, training and episodes."""
    training = options.training
    sources = "; ".join(f"{case}: {_origin(episodes)}" for case, episodes in data.items())
    horizon = f"{training.horizon} rows" if training.horizon else "8 rows (HalfCheetah 4)"
    return (
        f"data: {sources}; about {training.windows} windows of {horizon} a data set; every method "
        f"{training.steps} steps of {training.conditions * training.samples} windows, one training seed a "
        f"cell; {options.episodes} episodes each, noise times {options.temperature:g}; "
        "published figures are on D4RL's own data"
    )


def _origin(episodes: Episodes) -> str:
    steps, metadata = int(np.sum(episodes.step_counts())), episodes.metadata
    if "collect_options" in metadata:
        return f"{steps} steps, {metadata.get('description')}"
    return f"{steps} steps of {episodes.id}, given by the user"


def long_rows(results: Sequence[Result]) -> list[long_format.Row]:
    """Long format; success is a share."""
    rows = []
    for result in results:
        row, task = result.row, result.case.name
        more: dict[str, Any] = {"protocol": "receding", "candidates": row.candidates, "chunk": row.chunk}
        more |= {"episodes": len(result.outcomes), "nfe": result.nfe}
        for metric, scale in (("score", 1.0), ("success", 0.01)):
            if numbers := result.figures(metric):
                mean, error = _mean(numbers)
                error = None if error is None else scale * error
                rows.append(long_format.row(task, row.method, metric, scale * mean, error, 0, **more))
        if times := [o.plan_ms for o in result.outcomes if o.plan_ms is not None]:
            median = float(np.median(times))
            rows.append(long_format.row(task, row.method, "planner_ms_p50", median, None, 0, **more))
    return rows


def _mean(numbers: Sequence[float]) -> tuple[float, float | None]:
    """Mean and its standard error over episodes."""
    error = float(np.std(numbers, ddof=1) / np.sqrt(len(numbers))) if len(numbers) > 1 else None
    return float(np.mean(numbers)), error


def markdown(suite: Suite, data: str, results: Sequence[Result]) -> str:
    """As Markdown: the metric with its standard error per case and on average, published figures beside."""
    cases = list(dict.fromkeys(result.case.name for result in results))
    columns = [*cases, *([AVERAGE] if len(cases) == len(suite.cases) > 1 else [])]
    beside = {column for figures in suite.published.values() for column in figures}
    head = "".join(f" {c} | published |" if c in beside else f" {c} |" for c in columns)
    other = "success" if suite.metric == "score" else "score"
    head += f" {other} |" if any(result.figures(other) for result in results) else ""
    lines = [data, "", f"| method | K | L | NFE |{head} plan, ms p50 |"]
    lines.append("|---" * (lines[-1].count("|") - 1) + "|")
    rows = list(dict.fromkeys(result.row for result in results))
    for row in rows:
        mine = {result.case.name: result for result in results if result.row == row}
        most = max(r.candidates for r in rows if (r.method, r.chunk) == (row.method, row.chunk))
        published = suite.published.get((row.method, row.chunk), {}) if row.candidates == most else {}
        shown = ""
        for column in columns:
            shown += f" {_cell(mine, cases if column == AVERAGE else [column], suite.metric)} |"
            shown += f" {published.get(column, '')} |" if column in beside else ""
        if head.endswith(f" {other} |"):
            shown += (
                " " + " / ".join(_cell(mine, [case], other).split(" ")[0] or "-" for case in cases) + " |"
            )
        times = [o.plan_ms for r in mine.values() for o in r.outcomes if o.plan_ms is not None]
        nfe = next(iter(mine.values())).nfe
        lines.append(
            f"| {row.method} | {row.candidates} | {row.chunk} | {nfe} |{shown} "
            f"{f'{np.median(times):.2g}' if times else '-'} |"
        )
    return "\n".join([*lines, *_published_only(suite, {row.method for row in rows})]) + "\n"


def _published_only(suite: Suite, shown: Collection[str]) -> list[str]:
    """A line with the published figures of methods that are not among the ``shown`` ones, if any."""
    columns = [AVERAGE] if suite.only_published else [case.name for case in suite.cases]
    figures = {method: f"{score}" for method, score in suite.only_published.items()}
    for method in (*BASELINES, *POLICY_METHODS):
        published = suite.published.get((method, 1), {})
        if method not in shown and set(columns) <= set(published):
            figures[method] = " / ".join(f"{published[column]}" for column in columns)
    if not figures:
        return []
    told = ", ".join(f"{method} {score}" for method, score in figures.items())
    return ["", f"Published only, {' / '.join(columns)}: {told}."]


def _cell(mine: dict[str, Result], cases: Sequence[str], metric: str) -> str:
    """Mean over ``cases`` of their means, with its standard error; empty where one is missing."""
    numbers = [mine[case].figures(metric) if case in mine else [] for case in cases]
    if not all(numbers):
        return ""
    means, errors = zip(*map(_mean, numbers), strict=True)
    if None in errors:
        return f"{np.mean(means):.1f}"
    return f"{np.mean(means):.1f} ± {np.sqrt(np.sum(np.square(errors))) / len(cases):.1f}"
