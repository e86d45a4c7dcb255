"""Collect demonstrations of a tabletop task over processes and store them as a LeRobotDataset."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from kdp_core import __version__
from kdp_core.datasets.episodes import Episode
from kdp_core.datasets.lerobot_format import ACTION, ENVIRONMENT, STATE
from kdp_core.datasets.lerobot_writer import write_lerobot
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.sim.so100 import TaskName
from kdp_core.sim.so100_geometry import JOINTS
from kdp_core.sim.tabletop_collect import TICK_S, collect_episodes
from kdp_core.sim.tabletop_options import TabletopCollectOptions

CHUNK_EPISODES = 20
SENTENCE = {
    "pick_place": "Pick up the cube and place it at the goal.",
    "stack": "Stack the first cube on the second.",
}


def collect_tabletop(
    task: TaskName,
    options: TabletopCollectOptions,
    path: str | Path,
    processes: int = 2,
    overwrite: bool = False,
    progress: Callable[[int, int, int], None] | None = None,
) -> Path:
    """Demonstrate ``options.episodes`` scenes and write the LeRobotDataset ``path`` (v3.0, 50 Hz, rad).

    The episodes do not depend on ``processes``. ``progress(tried, of, kept)`` is called now and then. Raises
    DataError if ``path`` exists and ``overwrite`` is false.
    """
    if processes < 1:
        raise ConfigError(f"processes must be at least 1, got {processes}")
    if Path(path).exists() and not overwrite:  # before minutes of demonstrating, not after
        raise DataError(f"{path}: exists already; remove it, or pass --overwrite")
    numbers = [f"{joint}.pos" for joint in JOINTS]
    pose = ("x", "y", "z", "qx", "qy", "qz", "qw")
    cubes = 2 if task == "stack" else 1
    environment = [f"cube_{i}.{p}" for i in range(cubes) for p in pose] + [f"goal.{p}" for p in "xyz"]
    starts = range(0, options.episodes, CHUNK_EPISODES)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        chunks = pool.imap(partial(_chunk, task, options), starts)

        def episodes() -> Iterator[Episode]:
            kept = 0
            for number, chunk in enumerate(chunks):
                yield from chunk
                kept += len(chunk)
                if progress is not None:
                    tried = min((number + 1) * CHUNK_EPISODES, options.episodes)
                    progress(tried, options.episodes, kept)

        return write_lerobot(
            path,
            episodes(),
            fps=round(1.0 / TICK_S),
            unit="rad",
            names={STATE: numbers, ACTION: numbers, ENVIRONMENT: environment},
            task=SENTENCE[task],
            robot_type="so100_follower",
            metadata={
                "task": task,
                "description": "memoryless expert with two grasps, simulated SO-100; measured states under "
                "disturbances, undisturbed expert targets",
                "code_version": __version__,
                "collect_options": asdict(options),
            },
            overwrite=overwrite,
        )


def _chunk(task: TaskName, options: TabletopCollectOptions, first: int) -> list[Episode]:
    count = min(CHUNK_EPISODES, options.episodes - first)
    return list(collect_episodes(task, options, first, count))
