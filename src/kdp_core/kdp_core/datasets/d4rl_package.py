"""D4RL data sets by name, where the package d4rl is installed: it knows, and downloads, their files."""

from __future__ import annotations

import importlib
from pathlib import Path

from kdp_core.exceptions import DataError

PREFIX = "d4rl:"


def d4rl_file(name: str) -> Path:
    """The HDF5 file of the data set that d4rl calls ``name`` (``hopper-medium-v2``).

    The package downloads what is not there yet (``OfflineEnv.get_dataset``).

    Raises:
        DataError: d4rl does not import (the original needs mujoco_py), or does not have the data set.
    """
    where = f"{PREFIX}{name}"
    try:
        gym = importlib.import_module("gym")
        importlib.import_module("d4rl")
    except Exception as error:  # mujoco_py builds itself at import and fails in many ways
        raise DataError(
            f"{where}: the package d4rl does not import here ({_line(error)}); give its HDF5 file instead"
        ) from None
    try:
        env = gym.make(name).unwrapped
        env.get_dataset()
        return Path(env.dataset_filepath)
    except Exception as error:  # gym's and urllib's own
        raise DataError(f"{where}: d4rl gives no data set: {_line(error)}") from None


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
