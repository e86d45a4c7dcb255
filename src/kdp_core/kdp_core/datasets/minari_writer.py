"""Store episodes as a Minari data set, fast enough for many short ones.

Minari's own `create_dataset_from_buffers` makes resizable, chunked arrays: measured at 3.3 ms of CPU time to
write and 24 kB on disk for a 50-step episode of three observation channels. The same layout with compact
arrays takes 0.8 ms and 5.6 kB; Minari reads it like its own and can append episodes to it. The cost is per
array, not per step.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5p, h5s, h5t

from kdp_core.datasets.episodes import Episode
from kdp_core.datasets.hdf5 import BOOL_TYPE
from kdp_core.datasets.minari_reader import MAIN_FILE
from kdp_core.exceptions import DataError
from kdp_core.files import atomic_directory

_COMPACT_BYTES = 32_000  # HDF5 keeps a compact array in its object header, which ends at 64 kB
_FILE_TYPES = {np.dtype("f4"): h5t.IEEE_F32LE, np.dtype("f8"): h5t.IEEE_F64LE, np.dtype(bool): BOOL_TYPE}


def write_minari(
    path: str | Path,
    episodes: Iterable[Episode],
    dataset_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Store episodes as a Minari data set in the folder `path`, which appears only when complete.

    `minari.MinariDataset(path / "data")` reads it, and `minari.load_dataset(dataset_id)` if `path` is
    MINARI_DATASETS_PATH / dataset_id. Seeds and options are kept per episode, infos are not.

    Args:
        path: folder of the data set.
        episodes: at least one; a generator is consumed as it goes. Observations need T+1 rows.
        dataset_id: `namespace/name-v0`; by default the folder's name, with `-v0` added if it has none.
        metadata: further JSON values for metadata.json (algorithm_name, author, description, ...).
        overwrite: replace an existing folder.
        progress: called with the number of episodes written so far.

    Returns:
        `path`.

    Raises:
        DataError: an episode is malformed, or the folder exists.
    """
    path = Path(path).absolute()
    identity = _check_id(dataset_id or _default_id(path))
    with atomic_directory(path, overwrite, DataError) as temporary:
        data = temporary / "data"
        data.mkdir()
        file = _create(data / MAIN_FILE)
        try:
            writer = _EpisodeWriter(file, str(path))
            for episode in episodes:
                writer.add(episode)
                if progress is not None:
                    progress(writer.count)
        finally:
            file.close()
        if writer.first is None:
            raise DataError(f"{path}: no episodes to write, expected at least 1")
        _write_metadata(data, writer, {**(metadata or {}), "dataset_id": identity})
    return path


def _default_id(path: Path) -> str:
    stem, _, version = path.name.rpartition("-v")
    return path.name if stem and version.isdigit() else f"{path.name}-v0"


def _check_id(dataset_id: str) -> str:
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        parse_dataset_id(dataset_id)
    except (ValueError, TypeError):
        raise DataError(f"dataset_id {dataset_id!r}: expected namespace/name-v0") from None
    return dataset_id


def _create(path: Path) -> h5f.FileID:
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_meta_block_size(1 << 20)  # everything here is metadata to HDF5: give it large blocks
    return h5f.create(str(path).encode(), h5f.ACC_EXCL, fapl=access)


class _EpisodeWriter:
    """Appends episodes to an open file."""

    def __init__(self, file: h5f.FileID, name: str) -> None:
        self._file = file
        self._name = name
        self._scalar = h5s.create(h5s.SCALAR)
        self._layouts = {True: _array_properties(h5d.COMPACT), False: _array_properties(h5d.CONTIGUOUS)}
        self.first: Episode | None = None
        self.count = 0
        self.steps = 0

    def add(self, episode: Episode) -> None:
        where = f"{self._name}: episode_{self.count}"
        _check(episode, self.first or episode, where)
        try:
            self._write(episode)
        except (OSError, RuntimeError, ValueError, TypeError, OverflowError) as cause:
            raise DataError(f"{where}: cannot be written: {' '.join(str(cause).split())}") from None
        self.first = self.first or episode
        self.count += 1
        self.steps += len(episode)

    def _write(self, episode: Episode) -> None:
        group = h5g.create(self._file, f"episode_{self.count}".encode())
        if isinstance(episode.observations, dict):
            channels = h5g.create(group, b"observations")
            for name, array in episode.observations.items():
                self._array(channels, name, array, np.float32)
        else:
            self._array(group, "observations", episode.observations, np.float32)
        self._array(group, "actions", episode.actions, np.float32)
        self._array(group, "rewards", episode.rewards, np.float64)
        self._array(group, "terminations", episode.terminations, np.bool_)
        self._array(group, "truncations", episode.truncations, np.bool_)
        h5g.create(group, b"infos")  # empty, because Minari's EpisodeData cannot be printed without
        self._integer(group, b"id", self.count)
        self._integer(group, b"total_steps", len(episode))
        if episode.seed is not None:
            self._integer(group, b"seed", episode.seed)
        self._options(group, "options", episode.options)

    def _array(self, parent: h5g.GroupID, name: str, array: Any, dtype: type) -> None:
        array = np.ascontiguousarray(array, dtype)
        kind = _FILE_TYPES[array.dtype]
        layout = self._layouts[array.nbytes <= _COMPACT_BYTES]
        dataset = h5d.create(parent, name.encode(), kind, h5s.create_simple(array.shape), layout)
        dataset.write(h5s.ALL, h5s.ALL, array, kind)

    def _integer(self, group: h5g.GroupID, name: bytes, value: int) -> None:
        number = np.asarray(value, np.int64)
        h5a.create(group, name, h5t.STD_I64LE, self._scalar).write(number, h5t.STD_I64LE)

    def _options(self, group: h5g.GroupID, prefix: str, options: Mapping[str, Any]) -> None:
        for key, value in options.items():
            name = f"{prefix}/{key}"
            if isinstance(value, Mapping):
                self._options(group, name, value)
            elif value is None or (not isinstance(value, str) and np.asarray(value).dtype.kind not in "biuf"):
                raise ValueError(
                    f"{name} is a {type(value).__name__}, expected a number, a string or an array"
                )
            else:
                h5py.AttributeManager(h5py.Group(group))[name] = value


def _array_properties(layout: int) -> h5p.PropDCID:
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_layout(layout)
    properties.set_fill_time(h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)  # the same episodes give the same bytes, hence the same hash
    return properties


def _check(episode: Episode, first: Episode, where: str) -> None:
    episode.check(where)
    channels, expected = episode.channels(), first.channels()
    if list(channels) != list(expected) or type(episode.observations) is not type(first.observations):
        raise DataError(
            f"{where}: observations are {list(channels)}, expected {list(expected)} as in episode_0"
        )
    for name, array in {**channels, "actions": episode.actions}.items():
        shape = {**expected, "actions": first.actions}[name].shape[1:]
        if array.shape[1:] != shape:
            raise DataError(
                f"{where}: {name} has rows of shape {array.shape[1:]}, expected {shape} as in episode_0"
            )
    rows = len(next(iter(channels.values())))
    if rows != len(episode) + 1:
        raise DataError(f"{where}: observations have {rows} rows, expected {len(episode) + 1} (steps + 1)")


def _write_metadata(data: Path, writer: _EpisodeWriter, metadata: dict[str, Any]) -> None:
    """Let Minari write metadata.json itself, so that the format of spaces is always its own."""
    from gymnasium import spaces
    from minari import __version__ as minari_version
    from minari.dataset.minari_storage import MinariStorage

    def box(array: Any) -> spaces.Box:
        return spaces.Box(-np.inf, np.inf, array.shape[1:], np.float32)

    first = writer.first
    assert first is not None
    is_dict = isinstance(first.observations, dict)
    channels: dict[str, spaces.Space[Any]] = {name: box(array) for name, array in first.channels().items()}
    scratch = data.parent / "scratch"
    storage = MinariStorage.new(
        scratch,
        observation_space=spaces.Dict(channels) if is_dict else channels["observations"],
        action_space=box(first.actions),
        data_format="hdf5",
    )
    (scratch / MAIN_FILE).unlink()
    (data / MAIN_FILE).rename(scratch / MAIN_FILE)
    totals = {"total_episodes": writer.count, "total_steps": writer.steps, "dataset_size": storage.get_size()}
    storage.update_metadata({**metadata, **totals, "minari_version": minari_version})
    data.rmdir()
    scratch.rename(data)
