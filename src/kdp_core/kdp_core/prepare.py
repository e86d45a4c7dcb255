"""A data set and a task to training windows and a spec with its normaliser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kdp_core.datasets import open_episodes
from kdp_core.exceptions import DataError
from kdp_core.spec import Spec
from kdp_core.tasks import Task
from kdp_core.windows import WindowBatch, check_windows, concatenate, fit_normaliser


@dataclass(frozen=True)
class Prepared:
    """Windows, the spec that describes them, and where they came from."""

    batch: WindowBatch
    spec: Spec
    data_id: str
    data_hash: str
    episodes: int


def prepare(data: str | Path, task: Task, progress: Callable[[int, int], None] | None = None) -> Prepared:
    """Read a Minari or D4RL data set and cut it into the task's windows. Raises DataError in one line."""
    episodes = open_episodes(data)
    spec = task.spec
    usable = episodes.require_steps(spec.horizon * getattr(task, "rows_per_window_row", 1))
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
