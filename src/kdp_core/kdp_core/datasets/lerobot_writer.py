"""Store episodes as a LeRobotDataset v3.0 that lerobot opens offline (no images), with pyarrow alone.

lerobot keeps no observation after the last action: where an episode has one, it is left out. Seed and options
of an episode go to the column ``kdp/reset`` of meta/episodes, which lerobot carries along and ignores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kdp_core.datasets import lerobot_format as layout
from kdp_core.datasets.episodes import Episode
from kdp_core.datasets.lerobot_stats import Stats, aggregate, as_lists, feature_stats
from kdp_core.exceptions import DataError
from kdp_core.files import atomic_directory, write_json

_FLAGS = {layout.DONE: "terminations", layout.TRUNCATED: "truncations"}


def write_lerobot(
    path: str | Path,
    episodes: Iterable[Episode],
    fps: int,
    unit: str,
    names: Mapping[str, Sequence[str]] | None = None,
    task: str = "task",
    robot_type: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
    data_file_mb: float = layout.DATA_FILE_MB,
) -> Path:
    """Store episodes in the folder ``path``, which appears only when complete.

    Args:
        path: folder of the data set.
        episodes: at least one; a generator is consumed as it goes. Observations are one array (T or T+1, d),
            stored as ``observation.state``, or a dict of such by lerobot's names (``observation.state`` and
            others that begin with ``observation.``). Infos become features under their own names.
        fps: frames per second.
        unit: unit of ``observation.state`` and ``action`` (``rad`` for joints), kept in info.json.
        names: names of the numbers of a feature, for example the joints ``shoulder_pan.pos``, ...
        task: what the robot does, in a sentence; an episode's ``options["task"]`` goes before it.
        robot_type: lerobot's robot_type.
        metadata: further JSON values, kept under ``kdp`` in info.json.
        overwrite: replace an existing folder.
        progress: called with the number of episodes written so far.
        data_file_mb: begin a new data file above this size.

    Returns:
        ``path``.

    Raises:
        DataError: an episode is malformed, or the folder exists.
    """
    path = Path(path).absolute()
    if type(fps) is not int or fps < 1:
        raise DataError(f"{path}: fps is {fps!r}, expected a whole number of at least 1 (as lerobot has it)")
    with atomic_directory(path, overwrite, DataError) as temporary:
        writer = _Writer(temporary, str(path), fps, dict(names or {}), task, data_file_mb)
        try:
            for episode in episodes:
                writer.add(episode)
                if progress is not None:
                    progress(writer.count)
        finally:
            writer.close_file()
        if writer.count == 0:
            raise DataError(f"{path}: no episodes to write, expected at least 1")
        writer.finish({"unit": unit, **(metadata or {})}, robot_type)
    return path


class _Writer:
    """Appends episodes to data files and keeps what meta/ needs of each."""

    def __init__(
        self, root: Path, name: str, fps: int, names: dict[str, Sequence[str]], task: str, data_file_mb: float
    ) -> None:
        self._root, self._name, self._fps, self._names = root, name, fps, names
        self._task, self._limit = task, data_file_mb * 2**20
        self._tasks: dict[str, int] = {}
        self._shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._file: pq.ParquetWriter | None = None
        self._file_index, self._bytes = -1, 0.0
        self._index: list[dict[str, Any]] = []
        self._stats: list[dict[str, Stats]] = []
        self.count = self.frames = 0

    def add(self, episode: Episode) -> None:
        """Write one episode; raises DataError if it is malformed or unlike the first."""
        where = f"{self._name}: episode {self.count}"
        columns = _columns(episode.check(where), where)
        shapes = {name: (str(array.dtype), array.shape[1:] or (1,)) for name, array in columns.items()}
        self._shapes = self._shapes or shapes
        if shapes != self._shapes:
            raise DataError(f"{where}: features {shapes}, expected {self._shapes} as in episode 0")
        for name, labels in self._names.items():
            if name not in shapes or shapes[name][1] != (len(labels),):
                raise DataError(f"{where}: '{name}' is not of {len(labels)} numbers as its names are")
        options = dict(episode.options)
        text = str(options.pop("task", self._task))
        reset = _reset_json(options, episode.seed, where)
        steps = len(episode)
        columns |= {
            "timestamp": (np.arange(steps) / self._fps).astype(np.float32),
            "frame_index": np.arange(steps),
            "episode_index": np.full(steps, self.count),
            "index": np.arange(self.frames, self.frames + steps),
            "task_index": np.full(steps, self._tasks.setdefault(text, len(self._tasks))),
        }
        table = pa.table({name: _arrow(array) for name, array in columns.items()})
        if self._file is None or self._bytes + table.nbytes > self._limit:
            self._next_file(table.schema)
        assert self._file is not None
        self._file.write_table(table)
        self._bytes += table.nbytes
        stats = {name: feature_stats(array) for name, array in columns.items()}
        self._stats.append(stats)
        chunk, file = divmod(self._file_index, layout.FILES_PER_CHUNK)
        self._index.append(
            {
                "episode_index": self.count,
                "tasks": [text],
                "length": steps,
                "data/chunk_index": chunk,
                "data/file_index": file,
                "dataset_from_index": self.frames,
                "dataset_to_index": self.frames + steps,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
                "kdp/reset": reset,
                **{f"stats/{n}/{key}": v for n, part in stats.items() for key, v in as_lists(part).items()},
            }
        )
        self.count += 1
        self.frames += steps

    def _next_file(self, schema: pa.Schema) -> None:
        self.close_file()
        self._file_index += 1
        chunk, file = divmod(self._file_index, layout.FILES_PER_CHUNK)
        path = self._root / layout.DATA_PATH.format(chunk_index=chunk, file_index=file)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._bytes = pq.ParquetWriter(path, schema), 0.0

    def close_file(self) -> None:
        """Write the open data file's footer."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def finish(self, own: dict[str, Any], robot_type: str | None) -> None:
        """Write everything in meta/."""
        path = self._root / layout.EPISODES_FOLDER / layout.FILE_PATTERN.format(chunk_index=0, file_index=0)
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(self._index), path)
        pq.write_table(_tasks_table(self._tasks), self._root / layout.TASKS)
        total = {name: as_lists(aggregate([s[name] for s in self._stats])) for name in self._stats[0]}
        write_json(self._root / layout.STATS, total)
        features = {
            name: {"dtype": dtype, "shape": list(shape), "names": self._labels(name)}
            for name, (dtype, shape) in self._shapes.items()
        }
        features |= {n: {"dtype": d, "shape": [1], "names": None} for n, d in layout.BOOKKEEPING.items()}
        info = {
            "codebase_version": layout.VERSION,
            "robot_type": robot_type,
            "total_episodes": self.count,
            "total_frames": self.frames,
            "total_tasks": len(self._tasks),
            "chunks_size": layout.FILES_PER_CHUNK,
            "data_files_size_in_mb": layout.DATA_FILE_MB,
            "video_files_size_in_mb": layout.VIDEO_FILE_MB,
            "fps": self._fps,
            "splits": {"train": f"0:{self.count}"},
            "data_path": layout.DATA_PATH,
            "video_path": None,
            "features": features,
            layout.UNIT_KEY: own,
        }
        write_json(self._root / layout.INFO, info)

    def _labels(self, name: str) -> list[str] | None:
        return list(self._names[name]) if name in self._names else None


def _columns(episode: Episode, where: str) -> dict[str, NDArray[Any]]:
    """Features of an episode by lerobot's names, (T, ...) each."""
    observations = episode.observations
    channels = observations if isinstance(observations, dict) else {layout.STATE: observations}
    if layout.STATE not in channels or not all(name.startswith("observation.") for name in channels):
        raise DataError(
            f"{where}: observations are {list(channels)}, expected '{layout.STATE}' and others that begin "
            "with 'observation.'"
        )
    steps = len(episode)
    columns = {name: array[:steps].astype(np.float32) for name, array in channels.items()}
    columns[layout.ACTION] = episode.actions.astype(np.float32)
    columns[layout.REWARD] = episode.rewards.astype(np.float32)
    columns |= {name: getattr(episode, field) for name, field in _FLAGS.items()}
    for name, array in episode.infos.items():
        if name in columns or name in layout.BOOKKEEPING or "/" in name:
            raise DataError(f"{where}: infos/{name} is a reserved name, expected one without '/'")
        columns[name] = array.astype(np.float32)
    for name, array in columns.items():
        if array.ndim == 2 and array.shape[1] == 1:
            columns[name] = array[:, 0]  # lerobot keeps one number per frame as a plain column
        elif array.ndim > 2:
            raise DataError(f"{where}: '{name}' has rows of shape {array.shape[1:]}, expected one dimension")
    return columns


def _arrow(array: NDArray[Any]) -> pa.Array:
    if array.ndim == 1:
        return pa.array(array)
    return pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(array).reshape(-1)), array.shape[1]
    )


def _reset_json(options: Mapping[str, Any], seed: int | None, where: str) -> str:
    plain = {name: v.tolist() if isinstance(v, np.ndarray | np.generic) else v for name, v in options.items()}
    try:
        return json.dumps({"seed": seed, "options": plain}, allow_nan=False)
    except (TypeError, ValueError) as cause:
        raise DataError(f"{where}: options cannot be written: {cause}") from None


def _tasks_table(tasks: Mapping[str, int]) -> pa.Table:
    """Lerobot looks sentences up in a pandas index, so the table says which column is the index."""
    index = "__index_level_0__"
    described = [("task_index", "task_index", "int64", "int64"), (None, index, "unicode", "object")]
    pandas = {
        "index_columns": [index],
        "column_indexes": [],
        "columns": [
            {"name": name, "field_name": field, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
            for name, field, kind, numpy in described
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), index: pa.array(list(tasks))})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})
