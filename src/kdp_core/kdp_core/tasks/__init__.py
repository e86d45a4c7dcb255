"""Tasks by name. Other packages add theirs through the entry-point group ``kdp_core.tasks``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import entry_points

from kdp_core.exceptions import ConfigError
from kdp_core.tasks.base import Inputs, Task, check_inputs

ENTRY_POINT_GROUP = "kdp_core.tasks"


def make_task(name: str, horizon: int | None = None) -> Task:
    """Make the task called ``name`` (its spec carries the name), with windows of ``horizon`` rows.

    Without a horizon, its own. Behaviour cloning plans windows of one row. Raises ConfigError for an unknown
    task, or one of another package that takes no horizon and has another.
    """
    if name == "flight":
        from kdp_core.tasks import flight

        return flight.FlightTask(horizon=flight.HORIZON if horizon is None else horizon)
    if name in ("pick_place", "stack"):
        from kdp_core.tasks import tabletop

        rows = tabletop.HORIZON if horizon is None else horizon
        return tabletop.TabletopTask("pick_place" if name == "pick_place" else "stack", rows)
    from kdp_core.tasks import maze

    if (layout := maze.maze_name(name)) is not None:
        return maze.MazeTask(layout, horizon)
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    if name in found:
        return _from_entry(name, found[name].load(), horizon)
    mazes = map(maze.task_name, (*maze.MAZES, *maze.ROUTES))
    known = sorted({"flight", "pick_place", "stack", *mazes, *found})
    raise ConfigError(f"task '{name}' is unknown; known: {', '.join(known)}")


def _from_entry(name: str, factory: Callable[..., Task], horizon: int | None) -> Task:
    takes_horizon = "horizon" in inspect.signature(factory).parameters
    task = factory(horizon=horizon) if horizon is not None and takes_horizon else factory()
    if horizon is not None and task.spec.horizon != horizon:
        raise ConfigError(
            f"task '{name}' has windows of {task.spec.horizon} rows and takes no horizon, got {horizon}"
        )
    return task


__all__ = ["Inputs", "Task", "check_inputs", "make_task"]
