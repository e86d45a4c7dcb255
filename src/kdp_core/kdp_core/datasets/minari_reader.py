"""Minari data sets (HDF5 storage, version 0.5), read without importing Minari.

Layout (https://minari.farama.org/content/dataset_standards): `data/metadata.json` and `data/main_data.hdf5`
with one group `episode_<i>` per episode; the seed and `options/...` of the reset are the group's attributes.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5t
from numpy.typing import NDArray

from kdp_core.datasets.episodes import Episode, Episodes
from kdp_core.datasets.hdf5 import hdf5_errors, leaf_names, open_hdf5, read_numbers
from kdp_core.exceptions import DataError
from kdp_core.files import load_json

MAIN_FILE = "main_data.hdf5"
METADATA_FILE = "metadata.json"


class MinariEpisodes(Episodes):
    """Episodes of a local Minari data set; nested observation spaces become names such as `a/b`."""

    def __init__(self, data_folder: str | Path) -> None:
        """Open the data set and check its structure.

        Args:
            data_folder: the folder that holds metadata.json and main_data.hdf5.

        Raises:
            DataError: something is missing, damaged, empty or stored in another format.
        """
        folder = Path(data_folder)
        self.path = folder / MAIN_FILE
        self.metadata = _load_metadata(folder / METADATA_FILE)
        self.id = str(self.metadata.get("dataset_id", folder.parent.name))
        self._file = open_hdf5(self.path)
        self._count = self._check_groups(int(self.metadata["total_episodes"]))
        first = f"{self.path}: episode_0/observations"
        with hdf5_errors(first):
            observations = self._file["episode_0/observations"]
            grouped = isinstance(observations, h5py.Group)
            self._names = leaf_names(observations) if grouped else None
        if self._names == []:
            raise DataError(f"{first} is an empty group, expected at least one array")
        self._columns: dict[str, tuple[int, ...]] | None = None
        self._columns = _columns(self._read(0))

    def __len__(self) -> int:
        """Number of episodes."""
        return self._count

    def step_counts(self) -> NDArray[np.int64]:
        """Number of steps of each episode, (len,)."""
        counts = np.empty(self._count, np.int64)
        for index in range(self._count):
            name = f"episode_{index}/actions"
            with hdf5_errors(f"{self.path}: {name}"):
                counts[index] = h5d.open(self._file.id, name.encode()).shape[0]
        return counts

    def close(self) -> None:
        """Close the file; episodes already read stay valid."""
        self._file.close()

    def _check_groups(self, expected: int) -> int:
        """Number of episodes, after comparing the metadata with the file."""
        with hdf5_errors(f"{self.path}: list of episodes"):
            stored = len(self._file)
        if stored == 0 or expected == 0:
            raise DataError(
                f"{self.path}: holds {stored} episodes, {METADATA_FILE} says {expected}, expected at least 1"
            )
        if stored != expected:
            raise DataError(
                f"{self.path}: holds {stored} episodes, but total_episodes in {METADATA_FILE} is {expected}"
            )
        return stored

    def _read(self, index: int) -> Episode:
        where = f"{self.path}: episode_{index}"
        with hdf5_errors(where):
            group = h5g.open(self._file.id, f"episode_{index}".encode())
            seed, options = _read_reset(group)
        if self._names is None:
            observations: Any = _rows(read_numbers(group, "observations", np.float32, where))
        else:
            observations = {
                name: _rows(read_numbers(group, f"observations/{name}", np.float32, where))
                for name in self._names
            }
        episode = Episode(
            observations=observations,
            actions=_rows(read_numbers(group, "actions", np.float32, where)),
            rewards=read_numbers(group, "rewards", np.float64, where),
            terminations=read_numbers(group, "terminations", np.bool_, where),
            truncations=read_numbers(group, "truncations", np.bool_, where),
            seed=seed,
            options=options,
        ).check(where)
        if self._columns is not None and _columns(episode) != self._columns:
            raise DataError(f"{where}: sizes {_columns(episode)}, expected {self._columns} as in episode_0")
        return episode


def _load_metadata(path: Path) -> dict[str, Any]:
    metadata = load_json(path, DataError)
    if not isinstance(metadata, dict):
        raise DataError(f"{path}: holds a {type(metadata).__name__}, expected an object")
    total = metadata.get("total_episodes")
    if not isinstance(total, int) or total < 0:
        raise DataError(f"{path}: total_episodes is {total!r}, expected a number of episodes")
    if metadata.get("data_format", "hdf5") != "hdf5":
        raise DataError(f"{path}: data_format is {metadata['data_format']!r}, expected 'hdf5'")
    return metadata


def _rows(array: NDArray[Any]) -> NDArray[Any]:
    """Discrete spaces store one number per step: give them a column."""
    return array[:, None] if array.ndim == 1 else array


def _columns(episode: Episode) -> dict[str, tuple[int, ...]]:
    """Shape of one row of each channel and of the actions."""
    shapes = {name: array.shape[1:] for name, array in episode.channels().items()}
    return {**shapes, "actions": episode.actions.shape[1:]}


def _read_reset(group: h5g.GroupID) -> tuple[int | None, dict[str, Any]]:
    """Seed and options of the reset, which Minari flattens to attributes `options/a/b`."""
    names: list[bytes] = []
    h5a.iterate(group, names.append)
    seed: int | None = None
    options: dict[str, Any] = {}
    for name in names:
        if name == b"seed":
            value = _read_attribute(group, name)
            seed = int(value) if isinstance(value, int) else None
        elif name.startswith(b"options/"):
            _put(options, name.decode().split("/")[1:], _read_attribute(group, name))
    return seed, options


def _read_attribute(group: h5g.GroupID, name: bytes) -> Any:
    """One attribute: a Python number or string, or an array."""
    attribute = h5a.open(group, name)
    if attribute.get_type().get_class() in (
        h5t.INTEGER,
        h5t.FLOAT,
    ):  # several times faster than h5py's own way
        value: Any = np.empty(attribute.shape, attribute.dtype)
        attribute.read(value)
        return value if value.ndim else value.item()
    value = h5py.AttributeManager(h5py.Group(group))[name.decode()]
    return value.item() if isinstance(value, np.generic) else value


def _put(options: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        options = options.setdefault(key, {})
    options[keys[-1]] = value
