"""What a training run shows: a progress bar per phase on the terminal, the same numbers to TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

LINE_EVERY_S = 10.0


class Display:
    """One progress bar per phase on the terminal, the same numbers to TensorBoard."""

    def __init__(self, log_dir: Path) -> None:
        self.console = Console()
        self.log_dir = log_dir
        self.writer: SummaryWriter | None = None

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Callable[..., None]]:
        """A bar (a line every few seconds where the output is no terminal).

        Gives ``update(done, note, total=None)``.
        """
        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(30),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        shown = time.monotonic()
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bar:
            row = bar.add_task(name, total=total, note="")

            def update(done: float, note: str = "", total: float | None = None) -> None:
                nonlocal shown
                bar.update(row, completed=done, note=note, total=total)
                if not self.console.is_terminal and time.monotonic() - shown > LINE_EVERY_S:
                    print(f"{name}: {note}", flush=True)
                    shown = time.monotonic()

            yield update

    def scalars(self, step: int, **values: float) -> None:
        """Numbers of one step for TensorBoard."""
        if self.writer is None:  # not earlier, so that a run that fails on its input leaves nothing behind
            self.writer = SummaryWriter(str(self.log_dir))
        for name, value in values.items():
            if np.isfinite(value):
                self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write out what TensorBoard still holds back."""
        if self.writer is not None:
            self.writer.close()
