"""Tasks by name. Other packages add theirs through the entry-point group ``kdp_core.tasks``."""

from __future__ import annotations

from importlib.metadata import entry_points

from kdp_core.exceptions import ConfigError
from kdp_core.tasks.base import Inputs, Task, check_inputs

ENTRY_POINT_GROUP = "kdp_core.tasks"


def make_task(name: str) -> Task:
    """Make the task called ``name`` (its spec carries the name). Raises ConfigError for an unknown one."""
    if name == "flight":
        from kdp_core.tasks.flight import FlightTask

        return FlightTask()
    if name in ("pick_place", "stack"):
        from kdp_core.tasks.tabletop import TabletopTask

        return TabletopTask("pick_place" if name == "pick_place" else "stack")
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    if name in found:
        task: Task = found[name].load()()
        return task
    known = sorted({"flight", "pick_place", "stack", *found})
    raise ConfigError(f"task '{name}' is unknown; known: {', '.join(known)}")


__all__ = ["Inputs", "Task", "check_inputs", "make_task"]
