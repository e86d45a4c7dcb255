"""D4RL data sets: one HDF5 file with the steps of all episodes one after another.

Layout (https://github.com/Farama-Foundation/D4RL/wiki/Tasks): observations (N, d_o), actions (N, d_a),
rewards (N,), terminals (N,), in later versions timeouts (N,), and for mazes infos/goal (N, 2). There is no
last observation, so an episode has as many observations as actions.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdp_core.datasets.episodes import Episode, Episodes, require_finite
from kdp_core.datasets.hdf5 import hdf5_errors, open_hdf5, read_numbers
from kdp_core.exceptions import DataError

_KEYS = "observations, actions, rewards, terminals and, in later versions, timeouts"


class D4rlEpisodes(Episodes):
    """Episodes of a D4RL file, all in memory; infos["goal"] is each step's goal if the file has it."""

    def __init__(self, path: str | Path, max_episode_steps: int | None = None) -> None:
        """Read the file, check it and cut it into episodes.

        Args:
            path: the HDF5 file.
            max_episode_steps: also cut after this many steps; needed by old files without `timeouts`.

        Raises:
            DataError: the file is missing, truncated, empty, of the wrong shapes or not finite.
        """
        self.path = Path(path)
        self.id = self.path.stem
        where = str(self.path)
        with open_hdf5(self.path) as file, hdf5_errors(f"{where}: content"):
            names = set(file)
            if "observations" not in names and "episode_0" in names:
                raise DataError(
                    f"{where}: is a Minari main file without its metadata.json, expected a Minari folder"
                )
            for name in ("observations", "actions", "rewards", "terminals"):
                if name not in names:
                    raise DataError(
                        f"{where}: {name} is missing, expected {_KEYS} (found: {sorted(names) or 'nothing'})"
                    )
            source = f"{where}:"
            self._observations = read_numbers(file.id, "observations", np.float32, source)
            self._actions = read_numbers(file.id, "actions", np.float32, source)
            self._rewards = _flat(read_numbers(file.id, "rewards", np.float64, source))
            self._terminals = _flat(read_numbers(file.id, "terminals", np.bool_, source))
            has_timeouts = "timeouts" in names
            self._timeouts = (
                _flat(read_numbers(file.id, "timeouts", np.bool_, source))
                if has_timeouts
                else np.zeros(len(self._terminals), np.bool_)
            )
            self._infos: dict[str, NDArray[np.float32]] = {}
            if "infos" in names and "goal" in file["infos"]:
                self._infos["goal"] = read_numbers(file.id, "infos/goal", np.float32, source)
            self.metadata: dict[str, Any] = {"format": "d4rl", "has_timeouts": has_timeouts}
        self._check(where)
        self._starts, self._ends = self._cut(max_episode_steps)

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self._starts)

    def step_counts(self) -> NDArray[np.int64]:
        """Number of steps of each episode, (len,)."""
        return self._ends - self._starts

    def _check(self, where: str) -> None:
        steps = len(self._actions) if self._actions.ndim else 0
        for name, array in (("observations", self._observations), ("actions", self._actions)):
            if array.ndim != 2 or array.shape[1] == 0:
                raise DataError(f"{where}: {name} have shape {array.shape}, expected (steps, size)")
        if steps == 0:
            raise DataError(f"{where}: actions are empty, expected at least one step")
        arrays = {
            "observations": self._observations,
            "rewards": self._rewards,
            "terminals": self._terminals,
            "timeouts": self._timeouts,
            **{f"infos/{name}": array for name, array in self._infos.items()},
        }
        for name, array in arrays.items():
            if array.ndim == 0 or len(array) != steps:
                raise DataError(
                    f"{where}: {name} have shape {array.shape}, expected {steps} rows as there are actions"
                )
        for name in ("rewards", "terminals", "timeouts"):
            if arrays[name].ndim != 1:
                raise DataError(f"{where}: {name} have shape {arrays[name].shape}, expected ({steps},)")
        for name, array in {**arrays, "actions": self._actions}.items():
            require_finite(array, where, name)

    def _cut(self, max_episode_steps: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and one-past-last row of each episode; what follows the last mark is one of its own."""
        steps = len(self._actions)
        ends = np.flatnonzero(self._terminals | self._timeouts) + 1
        if len(ends) == 0 or ends[-1] != steps:
            ends = np.append(ends, steps)
        starts = np.concatenate([[0], ends[:-1]])
        if max_episode_steps is not None:
            if max_episode_steps < 1:
                raise DataError(f"max_episode_steps is {max_episode_steps}, expected at least 1")
            pieces = [np.arange(a, b, max_episode_steps) for a, b in zip(starts, ends, strict=True)]
            starts = np.concatenate(pieces)
            ends = np.append(starts[1:], steps)
        return starts.astype(np.int64), ends.astype(np.int64)

    def _read(self, index: int) -> Episode:
        rows = slice(self._starts[index], self._ends[index])
        return Episode(
            observations=self._observations[rows],
            actions=self._actions[rows],
            rewards=self._rewards[rows],
            terminations=self._terminals[rows],
            truncations=self._timeouts[rows],
            infos={name: array[rows] for name, array in self._infos.items()},
        )


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """Some files store (N, 1) where (N,) is meant."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
