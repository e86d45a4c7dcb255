"""Table II: what a plan costs, all methods in one run on one machine, beside the published times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdp_core.benchmarks import long_format
from kdp_core.benchmarks.cost import Cell, CostOptions, description, measure, ratios, rows
from kdp_core.benchmarks.cost_e2e import available, end_to_end_ms
from kdp_core.benchmarks.cost_figure import save_times
from kdp_core.files import write_text
from kdp_core.ranges import at_least

PUBLISHED: dict[tuple[str, int], float] = {
    ("bc", 1): 1.01,
    ("diffuser_ranked", 1): 149.32,
    ("diffuser_ranked", 16): 172.16,
    ("diffuser_ranked", 64): 279.98,
    ("kdp_ranked", 1): 1.98,
    ("kdp_ranked", 16): 3.97,
    ("kdp_ranked", 64): 4.76,
}
"""Milliseconds per step on one A100 (arXiv 2603.14056, Table II; Diffuser with T = 20)."""


@dataclass(frozen=True)
class CostTableOptions:
    """How much is measured."""

    measure: CostOptions = field(default_factory=CostOptions)
    """Plan calls."""
    flights: int = 1
    """Flights per ranked method over the whole ROS graph, for the end-to-end times; 0: none."""

    def __post_init__(self) -> None:
        at_least(self, 0, "flights", prefix="options.")


QUICK = CostTableOptions(CostOptions(candidates=(64,), rounds=5))
"""Minutes."""
Times = dict[tuple[str, int], tuple[float | None, int]]


def run_table(out: Path, options: CostTableOptions, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, write cost.json (long format), cost.md and cost.png below ``out``; returns the document."""
    cells = measure(options.measure, say)
    found = [row for cell in cells for row in rows(cell, cells, options.measure)]
    data = description(options.measure)
    ends: Times = {}
    if options.flights and not available():
        say("end to end: left out, the ROS packages are not there (run through tools/run-in-workspace)")
    elif options.flights:
        ends = _ends(cells, out / "cost", options, say)
        data += f"; end to end: {options.flights} flight(s) each over the simulated Crazyflie's ROS graph"
    for (method, k), (value, n) in ends.items():
        more = {"candidates": k, "cycles": n, "simulated": 1}
        found.append(long_format.row(options.measure.task, method, "e2e_ms_p50", value, **more))
    for (method, k), published in PUBLISHED.items():
        name = f"{method} (published)"
        found.append(long_format.row(options.measure.task, name, "planner_ms_p50", published, candidates=k))
    document = long_format.write(out / "cost.json", data, found)
    write_text(out / "cost.md", markdown(data, cells, ends))
    save_times(_bars(found), "ms per plan, p50 (one CPU thread)", out / "cost.png")
    return document


def _ends(cells: list[Cell], folder: Path, options: CostTableOptions, say: Callable[[str], None]) -> Times:
    ends: Times = {}
    for cell in cells:
        name = cell.graph.method.removesuffix("_ranked")
        if cell.graph.ranked or name == "bc":
            found = end_to_end_ms(name, cell.k, options.flights, options.measure.sizes, folder, say)
            ends[cell.graph.method, cell.k] = found
    return ends


def markdown(data: str, cells: list[Cell], ends: Times) -> str:
    """As Markdown; ratios are to the one-step planner with as many candidates, ranked alike."""
    lines = [
        data,
        "",
        "| method | K | NFE | BEF | planner p50 / p99, ms | x KDP | end to end p50, ms | calls "
        "| published, ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        p50, p99 = cell.percentiles_ms()
        ratio, _ = ratios(cell, cells)
        end, n = ends.get((cell.graph.method, cell.k), (None, -1))
        shown = "" if n < 0 else "never in time" if end is None else f"{end:.1f}"
        lines.append(
            f"| {cell.graph.method} | {cell.k} | {cell.graph.nfe} | {cell.bef} | {p50:.2f} / {p99:.2f} "
            f"| {'' if ratio is None else f'{ratio:.1f}'} | {shown} | {len(cell.seconds)} "
            f"| {PUBLISHED.get((cell.graph.method, cell.k), '')} |"
        )
    return "\n".join(lines) + "\n"


def _bars(found: list[long_format.Row]) -> list[tuple[str, float, bool]]:
    """(label, ms, whether published) of every row of times."""
    return [
        (f"{row['method']}, K = {row['candidates']}", row["value"], "published" in row["method"])
        for row in found
        if row["metric"] == "planner_ms_p50"
    ]
