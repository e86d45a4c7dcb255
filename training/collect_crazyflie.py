#!/usr/bin/env python3
"""Collect expert flights of the simulated Crazyflie as a Minari data set."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kdp_core.cli import user_errors
from kdp_core.sim.flight_collect import CollectOptions
from kdp_core.sim.flight_dataset import collect_flights


@dataclass
class Arguments:
    """Command line of collect_crazyflie.py."""

    out: Path = Path("out/data/crazyflie-poles-v0")
    """Folder of the data set."""
    overwrite: bool = False
    """Replace an existing data set."""
    processes: int = os.cpu_count() or 1
    """Worker processes; the data do not depend on it."""
    collect: CollectOptions = field(default_factory=CollectOptions)
    """What is flown."""


@user_errors
def main() -> None:
    """Collect and report."""
    arguments = tyro.cli(Arguments, description=__doc__)
    collect(arguments)


def collect(arguments: Arguments) -> Path:
    """Collect with a progress bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("collecting flights", total=arguments.collect.worlds, note="")

        def show(done: int, total: int, episodes: int) -> None:
            bar.update(task, completed=done, total=total, note=f"{done}/{total} worlds, {episodes} flights")

        path = collect_flights(
            arguments.collect, arguments.out, arguments.processes, arguments.overwrite, show
        )
    print(f"data set: {path}")
    return path


if __name__ == "__main__":
    main()
