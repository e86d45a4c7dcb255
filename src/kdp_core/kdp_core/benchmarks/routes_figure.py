"""The routes table as a figure: sampled plans of one condition, coloured by route, beside the data's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdp_core.benchmarks.route_classes import block_centres, route_class
from kdp_core.benchmarks.routes_eval import Condition, conditions, plans, source_of
from kdp_core.benchmarks.routes_table import DATA, RoutesTableOptions, evaluation
from kdp_core.files import atomic_file
from kdp_core.sim.maze2d_layout import CENTRE_OFFSET_M, HALF_CELL_M, Layout, RouteName, layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED = 0
"""Training seed that is shown."""


def save_figure(planners: Path, options: RoutesTableOptions, path: Path) -> Path:
    """Write the figure as PNG: a row per maze, a panel for the data and one for each method."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = (DATA, *options.methods)
    figure = Figure(figsize=(2.9 * len(shown), 3.2 * len(options.mazes)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(options.mazes), len(shown), squeeze=False)
    for line, maze in zip(panels, options.mazes, strict=True):
        condition = most_routes(maze, options)
        for panel, method in zip(line, shown, strict=True):
            source = source_of(evaluation(planners, options, maze, method, SEED))
            draw(panel, layout(maze), condition, plans(source, condition, options.samples))
            panel.set_title(f"{maze}: {method}", fontsize="medium")
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return path


def most_routes(maze: RouteName, options: RoutesTableOptions) -> Condition:
    """The first of the evaluated conditions with the most routes."""
    horizon = options.training.horizon or layout(maze).horizon
    known = conditions(maze, options.conditions, options.samples, horizon, SEED)
    return max(known, key=lambda condition: len(set(condition.routes)))


def draw(panel: Axes, maze: Layout, condition: Condition, paths: np.ndarray) -> None:
    """Walls, and paths (K, H, 2) m coloured by their route; grey if the data never take it.

    x counts rows and goes down, y goes to the right, as the layout is written.
    """
    from matplotlib import colormaps

    low, high = CENTRE_OFFSET_M - HALF_CELL_M, CENTRE_OFFSET_M - HALF_CELL_M + np.array(maze.free.shape)
    panel.imshow(~maze.free, cmap="Greys", vmax=2.0, extent=(low, high[1], high[0], low))
    routes = {route: number for number, route in enumerate(sorted(set(condition.routes)))}
    colours, centres = colormaps["tab10"], block_centres(maze)
    for path in paths:
        number = routes.get(route_class(path, centres))
        colour = "0.3" if number is None else colours(number % 10)
        panel.plot(path[:, 1], path[:, 0], color=colour, linewidth=0.7, alpha=0.7)
    panel.plot(*condition.state[1::-1], "ko", markersize=5)
    panel.plot(*condition.goal[::-1], "k*", markersize=8)
    panel.set_xlim(low + HALF_CELL_M, high[1] - HALF_CELL_M)  # half of the outer walls
    panel.set_ylim(high[0] - HALF_CELL_M, low + HALF_CELL_M)
    panel.set_xticks([])
    panel.set_yticks([])
