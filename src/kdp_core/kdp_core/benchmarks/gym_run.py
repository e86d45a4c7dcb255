"""A table in Gymnasium's environments from data to figure; what is finished is kept."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from kdp_core.benchmarks import gym_table, long_format
from kdp_core.benchmarks.bar_figure import Bar, Line, Panel, save_panels
from kdp_core.benchmarks.cells import Progress
from kdp_core.benchmarks.d3rlpy_results import batch_of
from kdp_core.benchmarks.gym_suites import SUITES, Case, Suite, SuiteName
from kdp_core.benchmarks.gym_training import Source, data_of, policies_of, train_missing
from kdp_core.benchmarks.spread import ONE_AFTER_ANOTHER, Spread
from kdp_core.datasets import Episodes
from kdp_core.exceptions import DataError
from kdp_core.sim.gym_env import make_env

PLANNERS = Path("out/train")
"""Where planners are unless told otherwise."""
STYLES = {"kdp": "--", "diffuser": ":", "bc": "-."}


def run_suite(
    name: SuiteName,
    label: str,
    source: Source,
    planners: Path,
    out: Path,
    options: gym_table.GymTableOptions,
    processes: int,
    say: Callable[[str], None],
    bar: Callable[[], AbstractContextManager[Progress]],
    spread: Spread = ONE_AFTER_ANOTHER,
) -> Path:
    """Collect, train and evaluate what is missing, case by case; write OUT/LABEL.{json,md,png} after each.

    Args:
        name: the table.
        label: name of its files, and of its folder of planners where it differs from ``name``.
        source: where data come from.
        planners: folder of all tables' planners.
        out: folder of the results.
        options: how much is run.
        processes: worker processes of the evaluation.
        say: told what is going on in training.
        bar: shows progress of collecting and of the evaluation.
        spread: where trainings run.

    Returns:
        the Markdown table.

    Raises:
        KdpError: policies or data are missing or wrong, or planners are there that do not belong.
    """
    suite, cases = SUITES[name], gym_table.cases_of(name, options)
    folder = planners / label.replace(name, suite.planners)
    methods = tuple(
        dict.fromkeys(r.planner for r in gym_table.rows_of_table(name, options) if r.planner is not None)
    )
    data: dict[str, Episodes] = {}
    results: list[gym_table.Result] = []
    document: long_format.Document = {}
    for case in cases:
        policies = policies_of(case, source, options.training, folder, say)
        with bar() as show:

            def collecting(done: int, total: int, show: Progress = show, case: str = case.name) -> None:
                show(f"{case}: collecting", done, total, done)

            data[case.name] = data_of(case, source, policies, options.training, folder, collecting)
        require_fitting(case, data[case.name])
        # Here too, so that results which do not fit are refused before hours of training.
        gym_table.baselines_of(name, case, data[case.name], folder, options)
        train_missing(case, methods, options.training, data[case.name], folder, say, spread)
        with bar() as show:
            results += gym_table.evaluate_case(
                name, case, data[case.name], folder, out / label, options, processes, show
            )
        note = missing_baselines(name, results, d3rlpy_arguments(name, label, source, planners, options))
        document = gym_table.write_table(
            name, out / f"{label}.md", gym_table.describe(data, options), results, note
        )
        save_figure(suite, document, out / f"{label}.png")
    return out / f"{label}.md"


def require_fitting(case: Case, episodes: Episodes) -> None:
    """Raise DataError unless a data set has the observations and actions of the case's environment."""
    env, first = make_env(case.env), episodes[0]
    spaces = (env.observation_space, env.action_space)
    env.close()
    wanted = tuple(n for space in spaces for n in space.shape or ())
    arrays = [*first.channels().values(), first.actions]
    found = tuple(array.shape[-1] for array in arrays)
    if found != wanted:
        raise DataError(
            f"{episodes.path}: observations and actions have {found} numbers, expected {wanted} "
            f"for {case.env}"
        )


def missing_baselines(name: SuiteName, results: Sequence[gym_table.Result], arguments: str) -> str:
    """A line for the table that says how the rows of d3rlpy come which it lacks; empty if it lacks none."""
    cases = dict.fromkeys(result.case.name for result in results)
    there = {(result.case.name, result.row.method) for result in results}
    wanted = [row.method for row in SUITES[name].rows if row.baseline is not None]
    missing = [method for method in wanted if any((case, method) not in there for case in cases)]
    if not missing:
        return ""
    return (
        f"\nd3rlpy's {', '.join(missing)}: not run for every data set above; "
        f'`make d3rlpy ARGS="{arguments}"` does it, then make this table again.\n'
    )


def d3rlpy_arguments(
    name: SuiteName, label: str, source: Source, planners: Path, options: gym_table.GymTableOptions
) -> str:
    """Arguments of training/d3rlpy_baselines.py that give it this table's data and budget."""
    words: list[object] = [name]
    usual = gym_table.GymTableOptions()
    if label.endswith("-quick"):
        words.append("--quick")
        usual = gym_table.QUICK[name]
    if options.cases != usual.cases:
        words += ["--cases", *options.cases]
    for flag, value, default in (
        ("steps", options.training.steps, usual.training.steps),
        ("batch", batch_of(options.training), batch_of(usual.training)),
        ("discount", options.training.discount, usual.training.discount),
        ("episodes", options.episodes, usual.episodes),
        ("planners", planners, PLANNERS),
        ("data", source.data, None),
    ):
        if value != default:
            words += [f"--{flag}", value]
    return shlex.join(map(str, words))


def _style(method: str, chunk: int) -> str:
    """Line style of a published figure."""
    return STYLES[method] if chunk == 1 else ":"


def save_figure(suite: Suite, document: long_format.Document, path: Path) -> Path:
    """Write the figure as PNG, one panel per case of the document."""
    scale = 100.0 if suite.metric == "success" else 1.0
    rows: Sequence[long_format.Row] = [r for r in document["rows"] if r["metric"] == suite.metric]
    chunks = len({row["chunk"] for row in rows}) > 1
    panels = []
    for case in dict.fromkeys(row["task"] for row in rows):
        bars = [
            Bar(
                f"{row['method']}, K = {row['candidates']}" + (f", L = {row['chunk']}" if chunks else ""),
                scale * (row["value"] or 0.0),
                scale * (row["stderr"] or 0.0),
                "tab:grey" if row["method"] in ("random", "data") else "tab:blue",
            )
            for row in rows
            if row["task"] == case
        ]
        lines = [
            Line(
                f"{method}, published" + (f", L = {chunk}" if chunks else ""),
                figures[case],
                _style(method, chunk),
            )
            for (method, chunk), figures in suite.published.items()
            if case in figures and method in STYLES
        ]
        panels.append(Panel(case, bars, lines))
    return save_panels(panels, "success, %" if suite.metric == "success" else "D4RL's score", path)
