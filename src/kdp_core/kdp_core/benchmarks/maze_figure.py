"""The Maze2D table as a figure: measured scores with their errors, the published ones as lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdp_core.benchmarks.bar_figure import Bar, Line, Panel, save_panels
from kdp_core.benchmarks.long_format import Document
from kdp_core.tasks.maze import PREFIX

STYLES = {"kdp": "--", "diffuser": ":"}


def bars(document: Document, maze: str) -> list[tuple[str, str, float, float]]:
    """Bars of one maze, (label, protocol, mean over seeds, standard error), in the table's order."""
    found: dict[tuple[str, str, int], list[Any]] = {}
    for row in document["rows"]:
        if row["task"] == PREFIX + maze and row["metric"] == "score" and row["value"] is not None:
            found.setdefault((row["method"], row["protocol"], row["candidates"]), []).append(row)
    out = []
    for (method, protocol, candidates), rows in found.items():
        values = [row["value"] for row in rows]
        spread = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        error = rows[0]["stderr"] or 0.0 if spread is None else spread
        out.append((f"{method}, K = {candidates}", protocol, float(np.mean(values)), error))
    return out


def save_figure(document: Document, published: Mapping[str, Mapping[Any, float]], path: Path) -> Path:
    """Write the figure as PNG, one panel per maze of the document."""
    panels = []
    for maze in dict.fromkeys(row["task"].removeprefix(PREFIX) for row in document["rows"]):
        shown = [
            Bar(
                f"{label}, {'one plan' if protocol == 'open_loop' else 'replanned'}",
                value,
                error,
                "tab:blue" if protocol == "open_loop" else "tab:green",
            )
            for label, protocol, value, error in bars(document, maze)
        ]
        lines = [
            Line(f"{method}, published", scores[maze], STYLES[method])
            for method, scores in published.items()
            if maze in scores
        ]
        panels.append(Panel(PREFIX + maze, shown, lines))
    return save_panels(panels, "D4RL score", path)
