"""What a LeRobotDataset v3.0 directory holds, and its meta/info.json read and checked.

``data/chunk-000/file-000.parquet`` (one row per frame, several episodes per file), ``meta/info.json``
(features, rate, paths), ``meta/stats.json``, ``meta/tasks.parquet`` (sentence -> task_index) and
``meta/episodes/chunk-000/file-000.parquet`` (one row per episode: length, file, rows).
Source: lerobot 0.4.4 and 0.6.1, ``lerobot.datasets`` (https://github.com/huggingface/lerobot).
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from kdp_core.exceptions import DataError
from kdp_core.files import load_json

INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES_FOLDER = "meta/episodes"
FILE_PATTERN = "chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_PATH = f"data/{FILE_PATTERN}"
VERSION = "v3.0"
FILES_PER_CHUNK = 1000
DATA_FILE_MB = 100
VIDEO_FILE_MB = 200

STATE = "observation.state"
ENVIRONMENT = "observation.environment_state"
ACTION = "action"
REWARD, DONE, TRUNCATED = "next.reward", "next.done", "next.truncated"
BOOKKEEPING: dict[str, str] = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
UNIT_KEY = "kdp"
"""Our own entry of info.json: {"unit": "rad"}, the unit of observation.state and action."""


@dataclass(frozen=True)
class Feature:
    """One feature of info.json: its type, the shape of one frame, and the names of its numbers."""

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] | None

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers or booleans (not an image, a video or text)."""
        try:
            return np.dtype(self.dtype).kind in "fiub"
        except TypeError:
            return False


@dataclass(frozen=True)
class Info:
    """What meta/info.json says."""

    content: dict[str, Any]
    fps: float
    features: dict[str, Feature]
    data_path: str
    total_episodes: int

    @property
    def unit(self) -> str | None:
        """Unit of state and action as the data set declares it, if it does."""
        entry = self.content.get(UNIT_KEY)
        unit = entry.get("unit") if isinstance(entry, dict) else None
        return unit if isinstance(unit, str) else None


def load_info(root: Path) -> Info:
    """Read meta/info.json.

    Raises:
        DataError: it is missing, not JSON, of another format version, or lacks state or action.
    """
    path = root / INFO
    content = load_json(path, DataError)
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, expected an object")
    _require_version(content.get("codebase_version"), root)
    fps = content.get("fps")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < 1e6:
        raise DataError(f"{path}: fps is {fps!r}, expected the frames per second")
    total = content.get("total_episodes")
    if isinstance(total, bool) or not isinstance(total, int) or total < 1:
        raise DataError(f"{path}: total_episodes is {total!r}, expected at least 1")
    data_path = content.get("data_path")
    if not isinstance(data_path, str) or not _is_pattern(data_path):
        raise DataError(f"{path}: data_path is {data_path!r:.80}, expected {DATA_PATH!r}")
    features = content.get("features")
    if not isinstance(features, dict):
        raise DataError(f"{path}: features is {type(features).__name__}, expected an object")
    parsed = {name: _feature(name, value, path) for name, value in features.items()}
    for name in (STATE, ACTION):
        if name not in parsed:
            raise DataError(f"{path}: feature '{name}' is missing (found: {', '.join(sorted(parsed))})")
        if len(parsed[name].shape) != 1 or not parsed[name].numeric:
            raise DataError(
                f"{path}: feature '{name}' is {parsed[name].dtype} of shape {list(parsed[name].shape)}, "
                "expected numbers in one dimension"
            )
    return Info(content, float(fps), parsed, data_path, total)


def _is_pattern(text: str) -> bool:
    """Whether text is a relative path inside the data set with nothing but the two numbers to fill in."""
    try:
        fields = list(string.Formatter().parse(text))
    except ValueError:
        return False
    for _, name, spec, conversion in fields:
        if name is not None and (name not in ("chunk_index", "file_index") or conversion):
            return False
        if spec and not re.fullmatch(r"0?\d?d", spec):
            return False
    parts = PurePosixPath(text).parts
    return bool(parts) and not text.startswith("/") and ".." not in parts and "\0" not in text


def _require_version(version: Any, root: Path) -> None:
    if version == VERSION:
        return
    path = root / INFO
    if isinstance(version, str) and version.startswith("v2"):
        name, parent = root.resolve().name, root.resolve().parent
        raise DataError(
            f"{path}: codebase_version is {version}, expected {VERSION}; where lerobot 0.4 is installed "
            f"convert it with: python -m lerobot.datasets.v30.convert_dataset_v21_to_v30 --repo-id={name} "
            f"--root={parent} --push-to-hub=false (lerobot 0.5 and later: python -m "
            f"lerobot.scripts.convert_dataset_v21_to_v30 with --root={root.resolve()})"
        )
    raise DataError(f"{path}: codebase_version is {version!r}, expected {VERSION!r}")


def _feature(name: str, value: Any, path: Path) -> Feature:
    shape = value.get("shape") if isinstance(value, dict) else None
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("dtype"), str)
        or not isinstance(shape, list)
        or not all(type(size) is int and size > 0 for size in shape)
    ):
        raise DataError(f"{path}: feature '{name}' is {value!s:.80}, expected dtype and shape")
    return Feature(value["dtype"], tuple(shape), _names(value.get("names"), shape))


def _names(names: Any, shape: list[int]) -> tuple[str, ...] | None:
    """One name per number: a list, or as older data sets have it a mapping of axis to list or to index."""
    if isinstance(names, dict):
        lists = [v for v in names.values() if isinstance(v, list)]
        names = lists[0] if len(lists) == 1 else list(names)
    if not isinstance(names, list) or len(shape) != 1 or len(names) != shape[0]:
        return None
    return tuple(str(name) for name in names)
