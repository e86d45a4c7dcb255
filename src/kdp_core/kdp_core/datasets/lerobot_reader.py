"""LeRobotDataset v3.0 directories, read with pyarrow alone.

A frame holds an observation and the action taken in it, so an episode has as many observations as actions.
Observations keep lerobot's names as channels (``observation.state``, ``observation.environment_state``, …);
images, videos and text are left out. Other numbers of a frame become ``infos``.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kdp_core.datasets.episodes import Episode, Episodes
from kdp_core.datasets.lerobot_format import (
    ACTION,
    BOOKKEEPING,
    DONE,
    EPISODES_FOLDER,
    REWARD,
    STATE,
    TASKS,
    TRUNCATED,
    Feature,
    Info,
    load_info,
)
from kdp_core.datasets.lerobot_units import JointUnits
from kdp_core.datasets.parquet import column, read_table
from kdp_core.exceptions import DataError
from kdp_core.files import sha256_directory

_INDEX_COLUMNS = ("episode_index", "length", "data/chunk_index", "data/file_index")


class LeRobotEpisodes(Episodes):
    """Episodes of a local LeRobotDataset v3.0.

    ``unit`` is what state and action are in after reading: ``rad`` for joints, else as the data set says.
    """

    def __init__(
        self, root: str | Path, data_unit: str | None = None, calibration: str | Path | None = None
    ) -> None:
        """Open the data set and check its structure.

        Args:
            root: the folder that holds meta and data.
            data_unit: unit of state and action where the data set does not say it (see JointUnits).
            calibration: lerobot's calibration file of the arm, for unit ``normalized``.

        Raises:
            DataError: something is missing, damaged, of another version, or of an unknown unit.
        """
        self.root = Path(root)
        self.info: Info = load_info(self.root)
        self.path = self.root / "data"
        self.id = self.root.resolve().name
        self._units = JointUnits.of(self.info, str(self.root), data_unit, calibration)
        self.unit = self._units.unit
        self.fps = self.info.fps
        self.metadata = {"format": "lerobot", "unit": self.unit, **self.info.content}
        self._tasks = self._read_tasks()
        self._index = self._read_index()
        self._open: tuple[Path, dict[str, NDArray[Any]]] | None = None

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self._index)

    def step_counts(self) -> NDArray[np.int64]:
        """Number of frames of each episode, (len,)."""
        return np.array([row["length"] for row in self._index], np.int64)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all data files (computed on first use)."""
        return sha256_directory(self.path)

    def _read_tasks(self) -> dict[int, str]:
        """Sentences by task_index; lerobot keeps the sentence in pandas' index column."""
        path = self.root / TASKS
        table = read_table(path, required=("task_index",))
        texts = [n for n in table.column_names if n != "task_index" and pa.types.is_string(table[n].type)]
        texts += [n for n in table.column_names if n not in texts and pa.types.is_large_string(table[n].type)]
        if not texts:
            raise DataError(f"{path}: no column holds the tasks' sentences (found: {table.column_names})")
        return dict(zip(table["task_index"].to_pylist(), table[texts[0]].to_pylist(), strict=True))

    def _read_index(self) -> list[dict[str, Any]]:
        folder = self.root / EPISODES_FOLDER
        paths = sorted(folder.glob("*/*.parquet"))
        if not paths:
            raise DataError(f"{folder}: no chunk-000/file-000.parquet in it, expected the list of episodes")
        rows: list[dict[str, Any]] = []
        for path in paths:
            table = read_table(path, (*_INDEX_COLUMNS, "kdp/reset"), _INDEX_COLUMNS)
            for row in table.to_pylist():
                for name in _INDEX_COLUMNS:
                    if type(row[name]) is not int or row[name] < 0:
                        raise DataError(
                            f"{path}: {name} is {row[name]!r:.80}, expected a whole number from 0"
                        )
                rows.append(row)
        rows.sort(key=lambda row: row["episode_index"])
        total = self.info.total_episodes
        if len(rows) != total or [row["episode_index"] for row in rows] != list(range(total)):
            raise DataError(
                f"{folder}: lists {len(rows)} episodes, expected 0 to {self.info.total_episodes - 1} "
                "as in meta/info.json"
            )
        for row in rows:
            if row["length"] < 1:
                raise DataError(
                    f"{folder}: episode {row['episode_index']} has length {row['length']}, expected 1 or more"
                )
        return rows

    def _columns(self) -> dict[str, Feature]:
        return {name: feature for name, feature in self.info.features.items() if feature.numeric}

    def _load(self, path: Path) -> dict[str, NDArray[Any]]:
        """All numeric columns of one data file; the last one read is kept, as episodes come in order."""
        if self._open is not None and self._open[0] == path:
            return self._open[1]
        features = self._columns()
        table = read_table(path, tuple(features), tuple(features))
        arrays: dict[str, NDArray[Any]] = {}
        for name, feature in features.items():
            kind = np.dtype(feature.dtype)
            dtype: Any = np.int64 if name in BOOKKEEPING and kind.kind in "iu" else np.float64
            scalar = name in BOOKKEEPING or name in (REWARD, DONE, TRUNCATED)
            shape = () if scalar and feature.shape == (1,) else feature.shape
            arrays[name] = column(table, name, shape, dtype, path)
        for name in ("episode_index", "frame_index"):
            if name not in arrays:
                raise DataError(f"{path}: feature '{name}' is missing in meta/info.json")
        self._open = (path, arrays)
        return arrays

    def _read(self, index: int) -> Episode:
        row = self._index[index]
        path = self.root / self.info.data_path.format(
            chunk_index=row["data/chunk_index"], file_index=row["data/file_index"]
        )
        arrays = self._load(path)
        where = f"{path}: episode {index}"
        rows = np.flatnonzero(arrays["episode_index"] == index)
        if len(rows) != row["length"]:
            raise DataError(
                f"{where} has {len(rows)} frames, expected {row['length']} as in {EPISODES_FOLDER}"
            )
        part = {name: array[rows] for name, array in arrays.items()}
        self._check_order(part, where)
        numbers = {n: a for n, a in part.items() if n not in BOOKKEEPING}
        observations = {n: a for n, a in numbers.items() if n.startswith("observation.")}
        steps = len(rows)
        done = numbers.get(DONE, np.zeros(steps)) > 0.5
        truncated = numbers.get(TRUNCATED, np.zeros(steps)) > 0.5
        if not done.any() and TRUNCATED not in numbers:
            truncated[-1] = True  # the recording ended, and nothing says that the task did
        options, seed = _reset(row.get("kdp/reset"), where)
        if "task_index" in part and int(part["task_index"][0]) in self._tasks:
            options = {"task": self._tasks[int(part["task_index"][0])], **options}
        special = {ACTION, REWARD, DONE, TRUNCATED, *observations}
        episode = Episode(
            observations={n: a.astype(np.float32) for n, a in observations.items()},
            actions=numbers[ACTION].astype(np.float32),
            rewards=numbers.get(REWARD, np.zeros(steps)),
            terminations=done,
            truncations=truncated,
            seed=seed,
            options=options,
            infos={n: a.astype(np.float32) for n, a in numbers.items() if n not in special},
        ).check(where)
        return self._units.convert(episode, STATE)

    def _check_order(self, part: dict[str, NDArray[Any]], where: str) -> None:
        frames = part["frame_index"]
        if not np.array_equal(frames, np.arange(len(frames))):
            bad = int(np.flatnonzero(frames != np.arange(len(frames)))[0])
            raise DataError(f"{where}: frame_index[{bad}] is {frames[bad]}, expected {bad}")
        if "timestamp" in part:
            late = np.abs(part["timestamp"] - part["timestamp"][0] - frames / self.fps)
            if not (late < 0.5 / self.fps).all():
                bad = int(np.flatnonzero(~(late < 0.5 / self.fps))[0])
                expected = part["timestamp"][0] + bad / self.fps
                raise DataError(
                    f"{where}: timestamp[{bad}] is {part['timestamp'][bad]:g} s, expected {expected:g} s "
                    f"at {self.fps:g} frames per second"
                )


def _reset(text: Any, where: str) -> tuple[dict[str, Any], int | None]:
    """Options and seed that our writer keeps with the episode; none in a data set of others."""
    if text is None:
        return {}, None
    try:
        content = json.loads(text)
        options, seed = content["options"], content["seed"]
        return {name: np.array(v) if isinstance(v, list) else v for name, v in options.items()}, seed
    except (AttributeError, TypeError, ValueError, KeyError, RecursionError):
        raise DataError(f"{where}: kdp/reset is not the JSON that was written") from None
