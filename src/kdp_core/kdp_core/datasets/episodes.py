"""What every reader gives: episodes of observations, actions and rewards, checked before use."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from kdp_core.exceptions import DataError
from kdp_core.files import sha256_file

Observations = NDArray[np.float32] | dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of T steps.

    Attributes:
        observations: float32 (T+1, d_o), or (T, d_o) where the format keeps no last one; or a dict of such.
        actions: float32 (T, d_a).
        rewards: float64 (T,).
        terminations: bool (T,), true where the task ended the episode.
        truncations: bool (T,), true where a time limit did.
        seed: seed of the reset that began the episode, if known.
        options: what else describes the reset (numbers, strings, arrays, nested dicts).
        infos: further arrays with T rows that belong to the steps, by name.
    """

    observations: Observations
    actions: NDArray[np.float32]
    rewards: NDArray[np.float64]
    terminations: NDArray[np.bool_]
    truncations: NDArray[np.bool_]
    seed: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    infos: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.actions)

    def channels(self) -> dict[str, NDArray[np.float32]]:
        """All observation arrays by name; a plain array is called `observations`."""
        return (
            self.observations if isinstance(self.observations, dict) else {"observations": self.observations}
        )

    def check(self, where: str) -> "Episode":
        """Return self if all lengths agree and all numbers are finite.

        Args:
            where: file and episode, the beginning of the error's line.

        Raises:
            DataError: names `where`, the field, the first bad index and what was expected.
        """
        steps = len(self.actions)
        if self.actions.ndim != 2 or steps == 0:
            raise DataError(f"{where}: actions have shape {self.actions.shape}, expected (steps >= 1, size)")
        for name in ("rewards", "terminations", "truncations"):
            shape = getattr(self, name).shape
            if shape != (steps,):
                raise DataError(
                    f"{where}: {name} have shape {shape}, expected ({steps},) as there are {steps} actions"
                )
        channels = self.channels()
        if not channels:
            raise DataError(f"{where}: observations are empty, expected at least one array")
        rows = len(next(iter(channels.values())))
        for name, array in channels.items():
            if array.ndim < 2 or len(array) not in (steps, steps + 1) or len(array) != rows:
                wanted = f"({steps} or {steps + 1} rows, size), the same rows in every channel"
                raise DataError(f"{where}: observation {name!r} has shape {array.shape}, expected {wanted}")
            require_finite(array, where, f"observation {name!r}")
        require_finite(self.actions, where, "actions")
        require_finite(self.rewards, where, "rewards")
        for name, array in self.infos.items():
            if len(array) != steps:
                raise DataError(f"{where}: infos/{name} have {len(array)} rows, expected {steps}")
            require_finite(array, where, f"infos/{name}")
        return self


def require_finite(array: NDArray[Any], where: str, name: str) -> None:
    """Raise a DataError that names the first index of `array` which is not finite."""
    finite = np.isfinite(array)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise DataError(
            f"{where}: {name}[{', '.join(map(str, index))}] is {array[index]}, expected a finite number"
        )


class Episodes(Sequence[Episode]):
    """The episodes of one data set, read when asked for.

    Attributes:
        id: the data set's name.
        path: the file that holds the numbers; `hash` is its SHA-256.
        metadata: what the data set says about itself and its environment.
    """

    id: str
    path: Path
    metadata: Mapping[str, Any]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the data file, 64 hexadecimal digits (computed on first use)."""
        return sha256_file(self.path)

    @abstractmethod
    def _read(self, index: int) -> Episode:
        """Episode `index` (0 <= index < len), checked."""

    @abstractmethod
    def step_counts(self) -> NDArray[np.int64]:
        """Number of steps of each episode, (len,), without reading the episodes."""

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> list[Episode]: ...
    def __getitem__(self, index: int | slice) -> Episode | list[Episode]:
        """One episode, or a list of them for a slice. Raises DataError if its data are broken."""
        if isinstance(index, slice):
            return [self._read(i) for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        return self._read(position)

    def __iter__(self) -> Iterator[Episode]:
        """All episodes in order."""
        return (self._read(index) for index in range(len(self)))

    def read_all(self, progress: Callable[[int, int], None] | None = None) -> list[Episode]:
        """All episodes, calling `progress(done, total)` now and then."""
        episodes = []
        for episode in self:
            episodes.append(episode)
            if progress is not None and (len(episodes) % 256 == 0 or len(episodes) == len(self)):
                progress(len(episodes), len(self))
        return episodes

    def require_steps(self, minimum: int, every: bool = False) -> NDArray[np.int64]:
        """Indices of the episodes with at least `minimum` steps.

        Args:
            minimum: steps that a window needs.
            every: refuse the data set if any episode is shorter, instead of only if all are.

        Raises:
            DataError: no episode is long enough (or, with `every`, one is not).
        """
        counts = self.step_counts()
        usable = np.flatnonzero(counts >= minimum)
        if every and len(usable) < len(counts):
            first = int(np.flatnonzero(counts < minimum)[0])
            raise DataError(
                f"{self.path}: episode {first} has {counts[first]} steps, expected at least {minimum}"
            )
        if len(usable) == 0:
            raise DataError(
                f"{self.path}: all {len(counts)} episodes are too short: "
                f"the longest has {counts.max()} steps, expected at least {minimum}"
            )
        return usable
