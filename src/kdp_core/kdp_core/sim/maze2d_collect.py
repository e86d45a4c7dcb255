"""Maze2D's data: one stream of the waypoint controller going from random goal to random goal, no resets.

Written in D4RL's layout (HDF5): observations (N, 4), actions (N, 2), rewards (N,) for the goal of the moment,
terminals (N,) all false, timeouts (N,) true at the last step towards each goal, infos/goal (N, 2).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from kdp_core.files import atomic_file
from kdp_core.sim.maze2d import Maze2D, reward
from kdp_core.sim.maze2d_expert import WaypointController
from kdp_core.sim.maze2d_layout import MAZES, LayoutName, layout
from kdp_core.sim.maze2d_options import MazeCollectOptions
from kdp_core.sim.maze2d_routes import collect_routes

OPTIONS = "collect_options"
REPORT_EVERY = 10_000

Progress = Callable[[int, int], None]


def collect(
    name: LayoutName, options: MazeCollectOptions, progress: Progress | None = None
) -> dict[str, NDArray[np.generic]]:
    """The arrays of a data set by their names in the file.

    A goal is a random cell, 0.1 m more or less; it changes when the controller is there, or after the number
    of steps of an episode. ``progress(steps, of)`` is called now and then.
    """
    maze, rng = Maze2D(layout(name)), np.random.default_rng([options.seed, 0])
    controller = WaypointController(maze.layout, np.random.default_rng([options.seed, 1]))
    n = options.steps
    observations, actions = np.zeros((n, 4), np.float32), np.zeros((n, 2), np.float32)
    rewards, goals = np.zeros(n, np.float32), np.zeros((n, 2), np.float32)
    ends = np.zeros(n, np.bool_)
    state, since = maze.reset(rng, random_goal=True), 0
    for step in range(n):
        action, solved = controller.action(state, maze.goal)
        observations[step], actions[step], goals[step] = state, action, maze.goal
        rewards[step] = reward(state, maze.goal)
        ends[step] = solved or since >= maze.layout.steps
        state, _ = maze.step(action)
        since += 1
        if ends[step]:
            maze.draw_goal(rng)
            since = 0
        if progress is not None and (step + 1) % REPORT_EVERY == 0:
            progress(step + 1, n)
    return {
        "observations": observations,
        "actions": actions,
        "rewards": rewards,
        "terminals": np.zeros(n, np.bool_),
        "timeouts": ends,
        "infos/goal": goals,
    }


def collect_maze(
    name: LayoutName, options: MazeCollectOptions, path: Path, progress: Progress | None = None
) -> Path:
    """Write the data set ``path`` unless it is there already, made with the same options.

    Mazes with loops have journeys instead of the stream.
    """
    made = json.dumps({"maze": name, **asdict(options)}, sort_keys=True)
    if _made_with(path) == made:
        return path
    by_recipe = name in MAZES
    arrays = (collect if by_recipe else collect_routes)(name, options, progress)
    words = "Maze2D by D4RL's recipe: waypoint controller" if by_recipe else "journeys by random routes"
    with atomic_file(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs[OPTIONS] = made
        file.attrs["description"] = f"{words}, sparse reward, simulated"
        for key, array in arrays.items():
            file.create_dataset(key, data=array)
    return path


def _made_with(path: Path) -> str | None:
    try:
        with h5py.File(path, "r") as file:
            return str(file.attrs.get(OPTIONS))
    except OSError:
        return None
