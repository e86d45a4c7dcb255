"""The flight table: what part of the success is learned, what the ranking gives, what each field gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kdp_core.benchmarks import long_format
from kdp_core.benchmarks.cells import Progress, cell, rate, safe_share
from kdp_core.benchmarks.flight_eval import EvaluationOptions, Method, Outcome, evaluate
from kdp_core.controller import ControllerOptions
from kdp_core.files import write_text

Ranking = Literal["both", "learned", "task"]


@dataclass(frozen=True)
class Row:
    """One line of the table; ``artifact`` is a folder name below the folder of trained planners."""

    name: str
    artifact: str | None
    method: Method = "planner"
    candidates: int = 64
    ranking: Ranking = "both"
    main: bool = False
    poles: tuple[int, ...] = ()
    """Flown with these numbers of poles only; empty: with all of the options."""


ROWS = (
    Row("joint, K = 64", "joint0", main=True),
    Row("joint, K = 64, second training seed", "joint1", main=True),
    Row("joint, K = 16", "joint0", candidates=16),
    Row("joint, K = 1", "joint0", candidates=1),
    Row("joint, K = 64, task costs alone", "joint0", ranking="task"),
    Row("joint, K = 64, learned scorer alone", "joint0", ranking="learned"),
    Row("kdp (paper's field), K = 64, task costs", "kdp0", ranking="task", poles=(16,)),
    Row("kdp (paper's field), K = 1", "kdp0", candidates=1, poles=(16,)),
    Row("mean field, K = 1", "mean0", candidates=1),
    Row("mean field, 64 rotations, task costs", "mean0", method="rotated_mean", ranking="task"),
    Row("behaviour cloning", "crazyflie_bc", candidates=1),
    Row("no learning: 64 straight lines, task costs", None, method="straight_fan", ranking="task"),
)


@dataclass(frozen=True)
class TableOptions:
    """How much is flown: ``sets`` x ``worlds`` worlds for the main rows, one set of ``other_worlds`` else."""

    poles: tuple[int, ...] = (12, 16, 24)
    other_poles: tuple[int, ...] = (16, 24)
    worlds: int = 200
    sets: int = 3
    other_worlds: int = 100
    delay_ms: float = 12.0


def cells(options: TableOptions) -> Iterator[tuple[Row, int, int, int]]:
    """All (row, poles, set, worlds), the main rows first."""
    for row in sorted(ROWS, key=lambda r: not r.main):
        for poles in row.poles or (options.poles if row.main else options.other_poles):
            for number in range(options.sets if row.main else 1):
                yield row, poles, number, options.worlds if row.main else options.other_worlds


def run_table(
    planners: Path, out: Path, options: TableOptions, processes: int, progress: Progress
) -> dict[str, Any]:
    """Fly what is missing of the table (finished cells are kept below ``out``), write flight.json and .md.

    Both are written anew after each cell, so an interrupted run leaves a table of what was flown.
    """
    data = (
        f"simulated Crazyflie in lockstep at 50 Hz, delay {options.delay_ms:g} ms, noise 1 cm and 3 cm/s, "
        f"unseen worlds from seed 500000000 on"
    )
    results, document = [], {}
    for row, poles, number, worlds in cells(options):
        evaluation = EvaluationOptions(
            worlds=worlds, poles=poles, seed=number, delay_ms=options.delay_ms, method=row.method,
            artifact=None if row.artifact is None else str(planners / row.artifact / "artifact"),
            controller=ControllerOptions(candidates=row.candidates, ranking=row.ranking),
        )  # fmt: skip
        label = f"{row.name}_{poles}_{number}"
        outcomes = cell(out / "flight", label, evaluation, Outcome, evaluate, processes, progress)
        results.append((row, poles, number, outcomes))
        document = long_format.write(out / "flight.json", data, _rows(results))
        write_text(out / "flight.md", markdown(data, results))
    return document


def _rows(results: list[tuple[Row, int, int, list[Outcome]]]) -> list[long_format.Row]:
    rows = []
    for row, poles, number, outcomes in results:
        success = float(np.mean([o.success for o in outcomes]))
        times = [o.time_s for o in outcomes if o.time_s is not None]
        more = {"candidates": row.candidates, "episodes": len(outcomes), "protocol": "receding"}
        values = {
            "success": (success, np.sqrt(success * (1 - success) / len(outcomes))),
            "collisions": (float(np.mean([o.reason == "collision" for o in outcomes])), None),
            "time_to_success_s": (float(np.median(times)) if times else float("nan"), None),
            "safe_action_share": (safe_share(outcomes), None),
        }
        for metric, (value, stderr) in values.items():
            rows.append(long_format.row(f"poles-{poles}", row.name, metric, value, stderr, number, **more))
    return rows


def markdown(data: str, results: list[tuple[Row, int, int, list[Outcome]]]) -> str:
    """As Markdown: success % [95 % Wilson interval] per number of poles, median time, safe-action share."""
    poles = sorted({p for _, p, _, _ in results})
    lines = [data, "", "| | " + " | ".join(f"{p} poles" for p in poles) + " | median time, s | safe action |"]
    lines.append("|---|" + "---|" * (len(poles) + 2))
    for row in dict.fromkeys(r for r, _, _, _ in results):
        entries, everything = [], []
        for p in poles:
            flown = [o for r, q, _, outcomes in results if r == row and q == p for o in outcomes]
            everything += flown
            if not flown:
                entries.append("")
                continue
            entries.append(rate(sum(o.success for o in flown), len(flown)))
        times = [o.time_s for o in everything if o.time_s is not None]
        entries.append(f"{np.median(times):.1f}" if times else "-")
        entries.append(f"{100 * safe_share(everything):.1f} %")
        lines.append(f"| {row.name} | " + " | ".join(entries) + " |")
    return "\n".join(lines) + "\n"


def smaller(options: TableOptions, worlds: int) -> TableOptions:
    """The same table with few worlds, for a quick look."""
    return replace(options, worlds=worlds, sets=1, other_worlds=worlds)
