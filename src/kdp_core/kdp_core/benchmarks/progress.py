"""How tables show on the terminal what they are doing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from kdp_core.benchmarks.cells import Progress

LINE_EVERY_S = 20.0
"""Of a label that is not finished, where the output is no terminal."""


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar with the time left; gives ``show(label, done, total, successes)``.

    Where the output is no terminal, a line per finished label, and one every 20 s.
    """
    console = Console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=console, disable=not console.is_terminal) as bar:
        row, shown = bar.add_task("", total=1, note=""), time.monotonic()

        def show(label: str, done: int, total: int, good: int) -> None:
            nonlocal shown
            note = f"{good}/{done} of {total}" if total else ""
            bar.update(row, description=label, completed=done, total=total or None, note=note)
            if total == 0:
                console.print(label, soft_wrap=True)
            elif not console.is_terminal and (done == total or time.monotonic() - shown > LINE_EVERY_S):
                print(f"{label}: {note}", flush=True)
                shown = time.monotonic()

        yield show
