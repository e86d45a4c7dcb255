"""CPU time of processes and everything they started, from /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path


class CpuLoad:
    """Load of named processes between `start` and `stop`, in percent of one core.

    `STOLEN` is what the host of a virtual machine gave to others: latencies are only as good as this is low.
    """

    STOLEN = "(stolen by the host)"

    def __init__(self) -> None:
        """Nothing is measured before `start`."""
        self._pids: dict[str, int] = {}
        self._before: dict[str, float] = {}
        self._t = self._stolen = 0.0

    def start(self, pids: dict[str, int]) -> None:
        """Begin with these processes."""
        self._pids, self._t = pids, time.monotonic()
        self._before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        self._stolen = stolen_seconds()

    def stop(self) -> dict[str, float]:
        """Percent of one core for each process since `start`; 0 for a process that has ended."""
        elapsed = max(time.monotonic() - self._t, 1e-6)
        used = {name: max(0.0, cpu_seconds(pid) - self._before[name]) for name, pid in self._pids.items()}
        used[self.STOLEN] = max(0.0, stolen_seconds() - self._stolen)
        return {name: round(100.0 * seconds / elapsed, 1) for name, seconds in used.items()}


def cpu_seconds(pid: int, proc: Path = Path("/proc")) -> float:
    """User and system time of `pid` and of its children that it has waited for, s; 0 when it is gone."""
    try:
        text = (proc / str(pid) / "stat").read_text()
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()  # the name in parentheses may hold blanks
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def stolen_seconds(proc: Path = Path("/proc")) -> float:
    """Time of all cores that the host of a virtual machine gave to others, s; 0 where it is not told."""
    try:
        fields = (proc / "stat").read_text().splitlines()[0].split()
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0
