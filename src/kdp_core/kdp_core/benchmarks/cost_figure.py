"""The cost table as a figure: times of a plan over orders of magnitude."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kdp_core.files import atomic_file


def save_times(times: Sequence[tuple[str, float, bool]], unit: str, path: Path) -> Path:
    """Write bars of times over orders of magnitude as PNG: (label, value, whether it is a published one)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 1.0 + 0.25 * len(times)), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    labels, values, published = zip(*times[::-1], strict=True)
    colours = ["tab:gray" if is_published else "tab:blue" for is_published in published]
    bars = axis.barh(labels, values, color=colours, alpha=0.8)
    axis.bar_label(
        bars, [f" {value:.0f}" if value >= 100 else f" {value:.2g}" for value in values], fontsize="small"
    )
    axis.set_xscale("log")
    axis.set_xlim(min(values) / 2, max(values) * 4)
    axis.set_xlabel(f"{unit}; grey: published, on a GPU")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    return path
