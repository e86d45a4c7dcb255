"""Benchmarks over a whole graph: many episodes in real time, kept one by one, so that a call can go on.

Each episode is a line of a .jsonl file as soon as it has ended; its first line says under which conditions.
Every episode that was started counts: a graph that broke does so as a failure.
"""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from kdp_core.exceptions import ConfigError, KdpError

RESTARTS = 3  # a graph that breaks this often is no accident


class Result(Protocol):
    """What a robot's result has in common with the other's."""

    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        ...


class Runner(Protocol):
    """The graph of one robot."""

    def start(self, seed: int) -> None:
        """Start all processes in the world `seed`."""
        ...


R = TypeVar("R", bound=Result)
G = TypeVar("G", bound=Runner)


@dataclass(frozen=True)
class Series(Generic[R]):
    """A file of results: `result` is their class, `word` what one of them is called (its number's field)."""

    path: Path
    conditions: dict[str, Any]
    result: type[R]
    word: str

    def load(self) -> list[R]:
        """Results of earlier calls. ConfigError if unreadable, or made under other conditions."""
        if not self.path.exists():
            return []
        names = {field.name for field in fields(self.result)}  # type: ignore[arg-type]
        lines = self.path.read_text(encoding="utf-8").splitlines()
        try:
            header, *rows = (json.loads(line) for line in lines)
            results = [self.result(**{key: row[key] for key in names}) for row in rows]
            differing = sorted(key for key in self.conditions if header.get(key) != self.conditions[key])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{self.path}: not a file of {self.word}s ({error}); use --fresh to start again"
            ) from None
        if differing:
            raise ConfigError(
                f"{self.path}: other conditions then ({', '.join(differing)}); use --fresh to start again"
            )
        return results

    def append(self, row: dict[str, Any]) -> None:
        """Add one line; the first one is the conditions."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.conditions) + "\n", encoding="utf-8")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def run_missing(
    series: Series[R],
    count: int,
    first_seed: int,
    open_graph: Callable[[], AbstractContextManager[G]],
    run: Callable[[G, int, int], R],
    broken: Callable[[int, int, str], R],
    say: Callable[[str], None],
    line: Callable[[R], str],
) -> list[R]:
    """Run what is missing of `count` episodes; returns all, in order.

    Args:
        series: where they are kept.
        count: episode numbers are 1 to `count`.
        first_seed: the world of episode 1; the others follow.
        open_graph: makes the graph's runner; started here, and anew after it broke.
        run: (runner, number, seed) -> result.
        broken: (number, seed, error) -> the result of an episode whose graph broke.
        say, line: one line per result.

    Raises:
        KdpError: the graph broke too often.
    """
    results = series.load()
    done = {getattr(result, series.word) for result in results}
    missing = [number for number in range(1, count + 1) if number not in done]
    if results:
        say(f"{len(results)} {series.word}s are there already, {len(missing)} to go")
    restarts = 0
    while missing:
        with open_graph() as runner:
            runner.start(first_seed + missing[0] - 1)
            while missing:
                number = missing.pop(0)
                seed = first_seed + number - 1
                try:
                    result = run(runner, number, seed)
                except KdpError as error:
                    result = broken(number, seed, str(error))
                series.append(result.to_dict())
                results.append(result)
                say(line(result))
                if result.reason.startswith("graph: "):
                    restarts += 1
                    break
        if restarts > RESTARTS:
            raise KdpError(f"the graph broke {restarts} times, last: {results[-1].reason}")
    kept = [result for result in results if getattr(result, series.word) <= count]
    return sorted(kept, key=lambda result: getattr(result, series.word))


def planner_sum(artifact: str) -> str:
    """SHA-256 of the artifact's graph, in hexadecimal digits."""
    return hashlib.sha256((Path(artifact) / "planner.onnx").read_bytes()).hexdigest()


def figures(replan_hz: float | None, planner_ms: dict[str, Any], e2e_ms: dict[str, Any]) -> str:
    """The latencies of one episode in a few words, "" if there are none."""
    if replan_hz is None or not e2e_ms["n"]:
        return ""
    return f"  {replan_hz:.1f} Hz  planner {planner_ms['p50']:.2f} ms  end to end {e2e_ms['p50']:.2f} ms"


def closing(summary: dict[str, Any], episodes: int) -> str:
    """The lines printed at the end."""
    low, high = summary["success_wilson95"]
    return (
        f"{summary['success']} of {episodes} succeeded "
        f"(95 % Wilson {100 * low:.1f} to {100 * high:.1f} %), "
        f"median {summary['tts_s']} s, replan {summary['replan_hz']} Hz\nplanner ms {summary['planner_ms']}\n"
        f"end to end ms {summary['e2e_ms']}\nCPU % of a core {summary['cpu_percent']}"
    )


def interruptible() -> None:
    """SIGINT and SIGTERM end the program tidily, also where a script's background job ignores SIGINT."""
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, signal.default_int_handler)
