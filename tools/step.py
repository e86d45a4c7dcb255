"""Run one long command with a log file, a live line while it runs, and its last lines when it fails."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from machine import SetupError

SHOWN_ON_FAILURE = 20


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(f"setup: {text}", flush=True)


def run(title: str, command: list[str], log: Path, environment: dict[str, str], folder: Path) -> None:
    """Run ``command`` in ``folder`` with all output in ``log``; raise SetupError if it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    live = sys.stdout.isatty()
    if not live:
        say(f"{title} ...")
    begin = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        try:
            while process.poll() is None:
                time.sleep(0.2)
                if live:
                    _show(f"{title} ... {time.monotonic() - begin:3.0f} s  {_last_line(log)}")
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if live:
        _show("")
    seconds = time.monotonic() - begin
    if process.returncode != 0:
        tail = "\n".join(_lines(log)[-SHOWN_ON_FAILURE:])
        raise SetupError(f"{title} failed after {seconds:.0f} s; the end of {log}:\n{tail}")
    say(f"{title}: {seconds:.0f} s")


def _lines(log: Path) -> list[str]:
    return [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]


def _last_line(log: Path) -> str:
    lines = _lines(log)
    return lines[-1].strip() if lines else ""


def _show(text: str) -> None:
    """Replace the terminal's current line."""
    width = 100
    sys.stdout.write(f"\r\033[K{text[:width]}")
    sys.stdout.flush()
