"""The arm's table: candidates, chunks (Table VI) and baselines on unseen scenes, in lockstep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kdp_core.benchmarks import long_format
from kdp_core.benchmarks.cells import Progress, cell, rate, safe_share
from kdp_core.benchmarks.tabletop_eval import TabletopEvaluationOptions, TabletopOutcome, evaluate
from kdp_core.controller import ControllerOptions
from kdp_core.files import write_text
from kdp_core.shipped import shipped_artifact
from kdp_core.sim.so100 import TaskName

TASKS: tuple[TaskName, ...] = ("pick_place", "stack")


@dataclass(frozen=True)
class Row:
    """One line. ``planner``: folder ending below the trained planners', None for the shipped artifact.

    ``chunk`` rows of a window are executed before the next plan; ``share``: of the scenes of a set.
    """

    name: str
    planner: str | None = None
    candidates: int = 64
    chunk: int = 1
    share: float = 1.0
    main: bool = False


ROWS = (
    Row("joint, K = 64", main=True),
    Row("joint, K = 16", candidates=16, share=0.5),
    Row("joint, K = 1", candidates=1, share=0.5),
    Row("joint, K = 64, L = 4", chunk=4, share=0.5),
    Row("joint, K = 64, L = 8", chunk=8, share=0.5),
    Row("Diffuser (our network, T = 20), K = 64, L = 8", "diffuser_mlp", chunk=8, share=0.5),
    Row("Diffuser (U-Net, T = 20), K = 64, L = 8", "diffuser", chunk=8, share=0.3),
    Row("behaviour cloning", "bc", candidates=1, share=0.5),
)


@dataclass(frozen=True)
class ArmTableOptions:
    """How much is run: ``sets`` x ``scenes`` for the main row, one set for the others."""

    tasks: tuple[TaskName, ...] = TASKS
    scenes: int = 200
    sets: int = 3
    delay_ms: float = 20.0


Result = tuple[Row, TaskName, int, list[TabletopOutcome]]


def cells(options: ArmTableOptions) -> Iterator[tuple[Row, TaskName, int, int]]:
    """All (row, task, set, scenes), in the table's order."""
    for row in ROWS:
        for task in options.tasks:
            for number in range(options.sets if row.main else 1):
                yield row, task, number, max(1, round(row.share * options.scenes))


def run_table(
    planners: Path, out: Path, options: ArmTableOptions, processes: int, progress: Progress
) -> dict[str, Any]:
    """Run what is missing of the table (finished cells are kept below ``out``), write arm.json and .md.

    A baseline whose planner is not trained is left out, said by ``progress`` with a total of 0.
    """
    data = (
        f"simulated SO-100 in lockstep at 50 Hz, delay {options.delay_ms:g} ms for all methods, noisy joints "
        f"and cube poses, unseen scenes from seed 500000000 on"
    )
    results: list[Result] = []
    document: dict[str, Any] = {}
    for row, task, number, scenes in cells(options):
        artifact = artifact_of(planners, row, task)
        label = f"{task}, {row.name}, set {number}"
        if not artifact.is_dir():
            progress(f"{label}: left out, {artifact} is not there", 0, 0, 0)
            continue
        evaluation = TabletopEvaluationOptions(
            task=task, scenes=scenes, seed=number, delay_ms=options.delay_ms, artifact=str(artifact),
            controller=ControllerOptions(candidates=row.candidates, chunk=0 if row.chunk == 1 else row.chunk),
        )  # fmt: skip
        outcomes = cell(out / "arm", label, evaluation, TabletopOutcome, evaluate, processes, progress)
        results.append((row, task, number, outcomes))
        document = long_format.write(out / "arm.json", data, _rows(results))
        write_text(out / "arm.md", markdown(data, results))
    return document


def artifact_of(planners: Path, row: Row, task: TaskName) -> Path:
    """Where the planner of a row is."""
    if row.planner is None:
        return shipped_artifact(f"so100_{task}")
    return planners / f"so100_{task}_{row.planner}" / "artifact"


def _rows(results: list[Result]) -> list[long_format.Row]:
    rows = []
    for row, task, number, outcomes in results:
        success = float(np.mean([o.success for o in outcomes]))
        times = [o.time_s for o in outcomes if o.time_s is not None]
        more = {
            "candidates": row.candidates,
            "chunk": row.chunk,
            "episodes": len(outcomes),
            "protocol": "receding",
        }
        values = {
            "success": (success, np.sqrt(success * (1 - success) / len(outcomes))),
            "time_to_success_s": (float(np.median(times)) if times else float("nan"), None),
            "safe_action_share": (safe_share(outcomes), None),
        }
        for metric, (value, stderr) in values.items():
            rows.append(long_format.row(f"so100-{task}", row.name, metric, value, stderr, number, **more))
    return rows


def markdown(data: str, results: list[Result]) -> str:
    """As Markdown: per task success % [95 % Wilson interval] and median time to success."""
    tasks = list(dict.fromkeys(task for _, task, _, _ in results))
    head = "".join(f" {task} | median time, s |" for task in tasks)
    lines = [data, "", f"| success % [95 % Wilson] |{head}", "|---|" + "---|" * (2 * len(tasks))]
    for row in dict.fromkeys(r for r, _, _, _ in results):
        entries = []
        for task in tasks:
            run = [o for r, t, _, outcomes in results if r == row and t == task for o in outcomes]
            times = [o.time_s for o in run if o.time_s is not None]
            entries += [rate(sum(o.success for o in run), len(run)) if run else ""]
            entries += [f"{np.median(times):.1f}" if times else "-"]
        lines.append(f"| {row.name} | " + " | ".join(entries) + " |")
    return "\n".join(lines) + "\n"


def smaller(options: ArmTableOptions, scenes: int) -> ArmTableOptions:
    """The same table with few scenes, for a quick look."""
    return replace(options, scenes=scenes, sets=1)
