"""The Maze2D table as a figure: measured scores with their errors, the published ones as lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdp_core.benchmarks.long_format import Document
from kdp_core.files import atomic_file
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mazes = list(dict.fromkeys(row["task"].removeprefix(PREFIX) for row in document["rows"]))
    figure = Figure(figsize=(1.5 + 3.8 * len(mazes), 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(mazes), squeeze=False, sharey=True)[0]
    for panel, maze in zip(panels, mazes, strict=True):
        shown = bars(document, maze)[::-1]
        labels = [f"{label}, {'one plan' if p == 'open_loop' else 'replanned'}" for label, p, _, _ in shown]
        colours = ["tab:blue" if p == "open_loop" else "tab:green" for _, p, _, _ in shown]
        panel.barh(labels, [v for *_, v, _ in shown], xerr=[e for *_, e in shown], color=colours, alpha=0.8)
        for method, scores in published.items():
            if maze in scores:
                panel.axvline(scores[maze], color="k", linestyle=STYLES[method], label=f"{method}, published")
        panel.set_title(PREFIX + maze)
        panel.set_xlabel("D4RL score")
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=2, fontsize="small")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    return path
