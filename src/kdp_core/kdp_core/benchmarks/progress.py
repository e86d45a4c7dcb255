"""How tables show on the terminal what they are doing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from kdp_core.benchmarks.cells import Progress


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar with the time left; gives ``show(label, done, total, successes)``.

    Where the output is no terminal, a line per finished label.
    """
    console = Console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=console, disable=not console.is_terminal) as bar:
        row = bar.add_task("", total=1, note="")

        def show(label: str, done: int, total: int, good: int) -> None:
            note = f"{good}/{done} of {total}" if total else ""
            bar.update(row, description=label, completed=done, total=total or None, note=note)
            if total == 0:
                console.print(label, soft_wrap=True)
            elif not console.is_terminal and done == total:
                print(f"{label}: {good}/{total}", flush=True)

        yield show
