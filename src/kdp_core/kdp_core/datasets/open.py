"""One door to all data sets: Minari id or folder, LeRobotDataset folder, D4RL file or name.

Nothing is downloaded, except by d4rl itself for a data set that is asked for by its name there.
"""

import os
import re
from pathlib import Path

from kdp_core.datasets.d4rl_package import PREFIX, d4rl_file
from kdp_core.datasets.d4rl_reader import D4rlEpisodes
from kdp_core.datasets.episodes import Episodes
from kdp_core.datasets.lerobot_format import INFO
from kdp_core.datasets.lerobot_reader import LeRobotEpisodes
from kdp_core.datasets.minari_reader import MAIN_FILE, METADATA_FILE, MinariEpisodes
from kdp_core.exceptions import DataError

_EXPECTED = "expected a Minari id, a Minari or LeRobotDataset folder, a D4RL HDF5 file or d4rl:NAME"
_MINARI_ID = re.compile(r"[\w.-]+(/[\w.-]+)*-v\d+")


def minari_root() -> Path:
    """Where Minari keeps its data sets: MINARI_DATASETS_PATH, or ~/.minari/datasets."""
    return Path(os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets")


def open_episodes(
    ref: str | Path,
    max_episode_steps: int | None = None,
    data_unit: str | None = None,
    calibration: str | Path | None = None,
) -> Episodes:
    """Open a data set.

    Args:
        ref: a path to a Minari folder (or to the `data` folder in it), to a LeRobotDataset v3.0 folder (with
            meta/info.json in it) or to a D4RL HDF5 file, or the id of a Minari data set that is already on
            this machine, or `d4rl:NAME` where the package d4rl imports. A path that exists wins over an id.
        max_episode_steps: for old D4RL files without `timeouts`: cut episodes after this many steps.
        data_unit: for a LeRobotDataset: unit of its joints (rad, deg, normalized, raw) if it does not say.
        calibration: for a LeRobotDataset in lerobot's own units: the arm's calibration file.

    Raises:
        DataError: nothing is there, or what is there is not a usable data set.
    """
    text = str(ref)
    path = Path(text).expanduser()
    if not text.strip():
        raise DataError(f"data set: empty name, {_EXPECTED}")
    if path.is_dir() and (path / INFO).exists():
        return LeRobotEpisodes(path, data_unit, calibration)
    if data_unit not in (None, "raw") or calibration is not None:
        raise DataError(f"{text}: data unit and calibration are for LeRobotDatasets, but {INFO} is not in it")
    if path.is_dir():
        return MinariEpisodes(_data_folder(path))
    if path.is_file():
        if path.name == MAIN_FILE and (path.parent / METADATA_FILE).is_file():
            return MinariEpisodes(path.parent)
        return D4rlEpisodes(path, max_episode_steps)
    if text.startswith(PREFIX):
        return D4rlEpisodes(d4rl_file(text.removeprefix(PREFIX)), max_episode_steps)
    if isinstance(ref, str) and _MINARI_ID.fullmatch(text):
        root = minari_root()
        if (root / text).is_dir():
            return MinariEpisodes(_data_folder(root / text))
        raise DataError(
            f"{text}: no such file, and no Minari data set of this id in {root} (none is downloaded)"
        )
    raise DataError(f"{text}: no such file or folder, {_EXPECTED}")


def _data_folder(folder: Path) -> Path:
    """The folder that holds the files, given it or the one above it."""
    for candidate in (folder / "data", folder):
        if (candidate / METADATA_FILE).exists() or (candidate / MAIN_FILE).exists():
            return candidate
    raise DataError(
        f"{folder}: no data set, expected data/{METADATA_FILE} and data/{MAIN_FILE} (Minari) or {INFO} "
        "(LeRobotDataset v3.0) in it"
    )
