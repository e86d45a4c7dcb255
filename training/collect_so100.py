#!/usr/bin/env python3
"""Collect expert demonstrations of the simulated SO-100 as a LeRobotDataset."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kdp_core.cli import user_errors
from kdp_core.sim.tabletop_dataset import collect_tabletop
from kdp_core.sim.tabletop_options import TabletopCollectOptions


@dataclass
class Arguments:
    """Command line of collect_so100.py."""

    task: Literal["pick_place", "stack"] = "pick_place"
    """What is demonstrated."""
    out: Path | None = None
    """Folder of the data set; default: out/data/so100_TASK."""
    overwrite: bool = False
    """Replace an existing data set."""
    processes: int = os.cpu_count() or 1
    """Worker processes; the data do not depend on it."""
    collect: TabletopCollectOptions = field(default_factory=TabletopCollectOptions)
    """How much, and how disturbed."""


@user_errors
def main() -> None:
    """Collect and report."""
    arguments = tyro.cli(Arguments, description=__doc__)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        row = bar.add_task("demonstrating", total=arguments.collect.episodes, note="")

        def show(done: int, total: int, kept: int) -> None:
            bar.update(row, completed=done, total=total, note=f"{kept} kept of {done}/{total}")

        out = arguments.out or Path("out/data") / f"so100_{arguments.task}"
        path = collect_tabletop(
            arguments.task, arguments.collect, out, arguments.processes, arguments.overwrite, show
        )
    print(f"data set: {path}")


if __name__ == "__main__":
    main()
