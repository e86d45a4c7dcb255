#!/usr/bin/env python3
"""Benchmark tables: `python training/benchmark.py flight [--quick]`; interrupted runs keep finished cells."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kdp_core.benchmarks.flight_table import TableOptions, run_table, smaller
from kdp_core.cli import user_errors


@dataclass
class Arguments:
    """Command line of benchmark.py."""

    table: Annotated[Literal["flight"], tyro.conf.Positional]
    """Which table."""
    planners: Path = Path("out/train")
    """Folder with one training folder per planner (docs/flight-benchmark.md says how they are trained)."""
    out: Path = Path("out/bench")
    """Folder of TABLE.json and TABLE.md."""
    quick: bool = False
    """A tenth of the worlds."""
    processes: int = os.cpu_count() or 1
    """Worker processes."""
    options: TableOptions = field(default_factory=TableOptions)
    """How much is flown."""


@user_errors
def main() -> None:
    """Run and print the table."""
    arguments = tyro.cli(Arguments, description=__doc__)
    options = smaller(arguments.options, 20) if arguments.quick else arguments.options
    console = Console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        row = bar.add_task("", total=1, note="")

        def show(label: str, done: int, total: int, good: int) -> None:
            bar.update(row, description=label, completed=done, total=total, note=f"{good}/{done} of {total}")
            if not console.is_terminal and done == total:
                print(f"{label}: {good}/{total}", flush=True)

        run_table(arguments.planners, arguments.out, options, arguments.processes, show)
    print((arguments.out / "flight.md").read_text())


if __name__ == "__main__":
    main()
