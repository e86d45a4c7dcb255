"""Cells of a benchmark table: one evaluation each, kept in a file of its own, so that a table can go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from kdp_core.exceptions import DataError
from kdp_core.files import load_json, write_json
from kdp_core.proportions import wilson

Progress = Callable[[str, int, int, int], None]
"""``progress(label, done, total, successes)``."""
T = TypeVar("T")


def cell(
    folder: Path,
    label: str,
    options: Any,
    outcome: Callable[..., T],
    evaluate: Callable[..., list[T]],
    processes: int,
    progress: Progress,
) -> list[T]:
    """Outcomes of one cell, from its file if it was made with the same options and planner before.

    Args:
        folder: where the files of the table's cells are.
        label: names the cell, its file too.
        options: dataclass with a field ``artifact`` (path or None).
        outcome: class of one outcome, a dataclass of plain values.
        evaluate: ``evaluate(options, processes, progress)``.
        processes: worker processes.
        progress: called as the evaluation goes on.

    Raises:
        DataError: the planner is not there, or the file is broken.
    """
    key = json.loads(json.dumps(asdict(options)))
    key["artifact"] = None if options.artifact is None else sums(Path(options.artifact))
    path = folder / f"{''.join(c if c.isalnum() else '_' for c in label)}.json"
    if path.exists():
        known = load_json(path, DataError)
        if known["options"] == key:
            return [outcome(**o) for o in known["outcomes"]]
    outcomes = evaluate(options, processes, lambda done, total, good: progress(label, done, total, good))
    write_json(path, {"options": key, "outcomes": [asdict(o) for o in outcomes]})  # type: ignore[call-overload]
    return outcomes


def sums(artifact: Path) -> str:
    """The artifact's SHA256SUMS. Raises DataError when there is no artifact."""
    try:
        return (artifact / "SHA256SUMS").read_text()
    except OSError:
        raise DataError(f"{artifact}: no trained planner; train it first (see docs/)") from None


def rate(successes: int, n: int) -> str:
    """Success in % with its 95 % Wilson interval and n, for a Markdown table."""
    low, high = wilson(successes, n)
    return f"{100 * successes / n:.1f} [{100 * low:.1f}, {100 * high:.1f}] n = {n}"


def safe_share(outcomes: Sequence[Any]) -> float:
    """Share of the cycles in which the safe action stepped in."""
    return float(sum(o.safe_cycles for o in outcomes) / max(1, sum(o.cycles for o in outcomes)))
