"""A group of processes that live and end together, each with its own log file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from kdp_core.exceptions import KdpError

INTERRUPT_S, TERMINATE_S = 15.0, 5.0  # a driver in flight lands before it ends


class ProcessDied(KdpError):
    """A process of the graph ended by itself; the message names its log file."""


@dataclass(frozen=True)
class Ended:
    """A process that is no longer there."""

    name: str
    code: int
    log: Path | None

    def __str__(self) -> str:
        """One line: what, how, and where to read more."""
        how = f"killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"exit code {self.code}"
        where = f", see {self.log}" if self.log else ""
        return f"{self.name} ended ({how}){where}"


class ProcessGroup:
    """Starts commands, each in a session of its own, and stops them with one SIGINT each.

    A session of its own keeps a terminal's Ctrl-C from reaching the children: they get exactly one SIGINT,
    from `stop`, where a second one would interrupt their clean-up.
    """

    def __init__(self, log_dir: Path | None = None) -> None:
        """Keep stdout and stderr in `log_dir`/NAME.log, or leave them on the terminal when it is None."""
        self.log_dir = log_dir
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._vital: set[str] = set()
        self._told: set[str] = set()
        self._buried: set[str] = set()

    def start(
        self, name: str, command: list[str], *, vital: bool = True, env: dict[str, str] | None = None
    ) -> int:
        """Start `command`; returns its process id. ProcessDied when it cannot be started."""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        output = None
        if self.log_dir is not None:
            self.log_dir.mkdir(parents=True, exist_ok=True)
            output = self._log(name).open("wb")
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
                env=environment,
            )
        except OSError as error:
            raise ProcessDied(f"cannot start {name}: {error}") from None
        finally:
            if output is not None:
                output.close()
        self.processes[name] = process
        if vital:
            self._vital.add(name)
        return process.pid

    def pid(self, name: str) -> int:
        """Process id of `name`."""
        return self.processes[name].pid

    def ended(self) -> list[Ended]:
        """Processes that ended since the last call, each reported once."""
        gone = []
        for name, process in self.processes.items():
            code = process.poll()
            if code is not None and name not in self._told:
                self._told.add(name)
                gone.append(Ended(name, code, self._log(name) if self.log_dir else None))
        return gone

    def check(self, only_vital: bool = False) -> None:
        """ProcessDied with one line when any (vital) process has ended."""
        for ended in self.ended():
            if not only_vital or ended.name in self._vital:
                raise ProcessDied(str(ended))

    def is_vital(self, name: str) -> bool:
        """Whether the group ends when `name` does."""
        return name in self._vital

    def stop(self) -> dict[str, int]:
        """Interrupt all, wait, and kill what does not listen. Returns the exit codes; safe to call twice."""
        for sig, patience in (
            (signal.SIGINT, INTERRUPT_S),
            (signal.SIGTERM, TERMINATE_S),
            (signal.SIGKILL, 5.0),
        ):
            alive = [process for process in self.processes.values() if process.poll() is None]
            for process in alive:
                process.send_signal(sig)
            deadline = time.monotonic() + patience
            for process in alive:
                try:
                    process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    continue
        for name in self.processes.keys() - self._buried:
            _signal_session(self.processes[name].pid, signal.SIGKILL)  # such as the nodes of a dead launch
            self._buried.add(name)
        codes = {name: process.returncode for name, process in self.processes.items()}
        self._told.update(codes)
        return codes

    def _log(self, name: str) -> Path:
        assert self.log_dir is not None
        return self.log_dir / f"{name}.log"


def _signal_session(pid: int, sig: signal.Signals) -> None:
    """Send `sig` to every process that is left of the session that `pid` led; there may be none."""
    try:
        os.killpg(pid, sig)
    except ProcessLookupError:
        return
