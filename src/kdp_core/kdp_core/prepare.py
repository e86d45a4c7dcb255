"""A data set and a task to training windows and a spec with its normaliser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kdp_core.exceptions import DataError
from kdp_core.spec import Spec
from kdp_core.tasks import Task
from kdp_core.windows import WindowBatch, check_windows, concatenate, fit_normaliser

if TYPE_CHECKING:
    from kdp_core.datasets import Episodes


@dataclass(frozen=True)
class Prepared:
    """Windows, the spec that describes them, and where they came from."""

    batch: WindowBatch
    spec: Spec
    data_id: str
    data_hash: str
    episodes: int


def prepare(episodes: Episodes, task: Task, progress: Callable[[int, int], None] | None = None) -> Prepared:
    """Cut a data set (``kdp_core.datasets.open_episodes``) into the task's windows.

    Raises DataError in one line.
    """
    spec, data = task.spec, episodes.path
    unit = getattr(episodes, "unit", None)  # a LeRobotDataset knows that of its joints
    if unit is not None and unit != spec.action[0].unit:
        raise DataError(
            f"{data}: state and action are in {unit!r}, expected {spec.action[0].unit!r} "
            f"as in spec '{spec.name}'"
        )
    whole = spec.horizon * getattr(task, "rows_per_window_row", 1)
    usable = episodes.require_steps(getattr(task, "shortest_episode", whole))
    parts, total = [], len(usable)
    for done, index in enumerate(usable):
        try:
            part = task.windows(episodes[int(index)])
        except DataError as error:
            raise DataError(f"{data}: episode {index}: {error}") from None
        part.group = np.full(len(part), int(index), np.int64)
        parts.append(part)
        if progress is not None and done % 200 == 0:
            progress(done, total)
    if progress is not None:
        progress(total, total)
    if not parts:
        raise DataError(f"{data}: no episodes")
    batch = concatenate(parts)
    check_windows(batch, spec, str(data))
    fitted = spec.model_copy(update={"normaliser": fit_normaliser(batch, spec)})
    return Prepared(batch, Spec.model_validate(fitted.model_dump()), episodes.id, episodes.hash, total)
