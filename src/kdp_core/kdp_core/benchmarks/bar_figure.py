"""Figures of tables: a panel of bars with errors per task, published figures as lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdp_core.files import atomic_file

PANELS_PER_ROW = 3


@dataclass(frozen=True)
class Bar:
    """A measured figure with its standard error."""

    label: str
    value: float
    error: float
    colour: str


@dataclass(frozen=True)
class Line:
    """A published figure; ``style`` is Matplotlib's."""

    label: str
    value: float
    style: str


@dataclass(frozen=True)
class Panel:
    """One task; bars from top to bottom."""

    title: str
    bars: Sequence[Bar]
    lines: Sequence[Line]


def save_panels(panels: Sequence[Panel], unit: str, path: Path) -> Path:
    """Write the panels as one PNG; ``unit`` names the axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(PANELS_PER_ROW, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(1.5 + 3.8 * columns, 0.5 + 5.0 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    legend = {}
    for axis, panel in zip(axes, panels, strict=False):
        shown = panel.bars[::-1]
        axis.barh(
            [bar.label for bar in shown], [bar.value for bar in shown], xerr=[bar.error for bar in shown],
            color=[bar.colour for bar in shown], alpha=0.8,
        )  # fmt: skip
        for line in panel.lines:
            legend[line.label] = axis.axvline(line.value, color="k", linestyle=line.style)
        axis.set_title(panel.title)
        axis.set_xlabel(unit)
    for axis in axes[len(panels) :]:
        axis.remove()
    if legend:
        figure.legend(
            list(legend.values()), list(legend), loc="outside lower center", ncols=2, fontsize="small"
        )
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    return path
