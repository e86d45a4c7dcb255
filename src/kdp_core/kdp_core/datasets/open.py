"""One door to all data sets: by Minari id, Minari folder or D4RL file. Nothing is ever downloaded."""

import os
import re
from pathlib import Path

from kdp_core.datasets.d4rl_reader import D4rlEpisodes
from kdp_core.datasets.episodes import Episodes
from kdp_core.datasets.minari_reader import MAIN_FILE, METADATA_FILE, MinariEpisodes
from kdp_core.exceptions import DataError

_MINARI_ID = re.compile(r"[\w.-]+(/[\w.-]+)*-v\d+")


def minari_root() -> Path:
    """Where Minari keeps its data sets: MINARI_DATASETS_PATH, or ~/.minari/datasets."""
    return Path(os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets")


def open_episodes(ref: str | Path, max_episode_steps: int | None = None) -> Episodes:
    """Open a data set.

    Args:
        ref: a path to a Minari folder (or to the `data` folder in it), a path to a D4RL HDF5 file, or the id
            of a Minari data set that is already on this machine. A path that exists wins over an id.
        max_episode_steps: for old D4RL files without `timeouts`: cut episodes after this many steps.

    Raises:
        DataError: nothing is there, or what is there is not a usable data set.
    """
    text = str(ref)
    path = Path(text).expanduser()
    if not text.strip():
        raise DataError("data set: empty name, expected a Minari id, a Minari folder or a D4RL HDF5 file")
    if path.is_dir():
        return MinariEpisodes(_data_folder(path))
    if path.is_file():
        if path.name == MAIN_FILE and (path.parent / METADATA_FILE).is_file():
            return MinariEpisodes(path.parent)
        return D4rlEpisodes(path, max_episode_steps)
    if isinstance(ref, str) and _MINARI_ID.fullmatch(text):
        root = minari_root()
        if (root / text).is_dir():
            return MinariEpisodes(_data_folder(root / text))
        raise DataError(
            f"{text}: no such file, and no Minari data set of this id in {root} (none is downloaded)"
        )
    raise DataError(
        f"{text}: no such file or folder, expected a Minari id, a Minari folder or a D4RL HDF5 file"
    )


def _data_folder(folder: Path) -> Path:
    """The folder that holds the files, given it or the one above it."""
    for candidate in (folder / "data", folder):
        if (candidate / METADATA_FILE).exists() or (candidate / MAIN_FILE).exists():
            return candidate
    raise DataError(
        f"{folder}: not a Minari data set, expected data/{METADATA_FILE} and data/{MAIN_FILE} in it"
    )
