"""Numbers out of HDF5 files, quickly, with every failure of the library turned into one line.

The low-level interface of h5py is used because a Minari file holds a handful of tiny data sets per episode:
there the high-level interface costs several times as much as the reading itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5s, h5t
from numpy.typing import NDArray

from kdp_core.exceptions import DataError

BOOL_TYPE = h5t.py_create(np.dtype(bool), logical=True)
_MEMORY_TYPES = {np.float32: h5t.NATIVE_FLOAT, np.float64: h5t.NATIVE_DOUBLE, np.bool_: BOOL_TYPE}


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises:
        DataError: the file is missing, truncated, locked by a writer or not HDF5.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return h5py.File(path, "r")
    except BlockingIOError:
        raise DataError(f"{path}: another process is writing to this file") from None
    except OSError as cause:
        raise DataError(
            f"{path}: cannot be opened, truncated or not an HDF5 file: {_reason(cause)}"
        ) from None


@contextmanager
def hdf5_errors(where: str) -> Iterator[None]:
    """Turn what h5py raises inside the block into a DataError that begins with `where`."""
    try:
        yield
    except KeyError:
        raise DataError(f"{where} is missing") from None
    except (OSError, RuntimeError, ValueError, TypeError, MemoryError) as cause:
        if "doesn't exist" in str(cause):  # what a missing group raises is not always a KeyError
            raise DataError(f"{where} is missing") from None
        raise DataError(f"{where} cannot be read, damaged or truncated: {_reason(cause)}") from None


def read_numbers(parent: h5g.GroupID, name: str, dtype: type, where: str) -> NDArray[Any]:
    """Read one whole data set.

    Args:
        parent: group that holds it.
        name: its path below the group.
        dtype: np.float32, np.float64 or np.bool_; what is stored is converted.
        where: file and group, the beginning of an error's line.

    Raises:
        DataError: it is missing, damaged, a group or not numeric.
    """
    try:
        dataset = h5d.open(parent, name.encode())
        array = np.empty(dataset.shape, dtype)
        if array.size:
            try:
                dataset.read(h5s.ALL, h5s.ALL, array, _MEMORY_TYPES[dtype])
            except (OSError, TypeError):
                array = _read_converted(dataset, f"{where}/{name}").astype(dtype)
    except KeyError:
        problem = "is a group, expected an array" if name.encode() in parent else "is missing"
        raise DataError(f"{where}/{name} {problem}") from None
    except (OSError, RuntimeError, ValueError, TypeError, MemoryError) as cause:
        raise DataError(f"{where}/{name} cannot be read, damaged or truncated: {_reason(cause)}") from None
    return array


def _read_converted(dataset: h5d.DatasetID, where: str) -> NDArray[Any]:
    """Read what HDF5 does not convert by itself: booleans, an enumeration to HDF5, to and from numbers."""
    stored = dataset.get_type().get_class()
    if stored not in (h5t.ENUM, h5t.INTEGER, h5t.FLOAT):
        raise DataError(f"{where} holds no plain numbers, expected floats, integers or booleans")
    array = np.empty(dataset.shape, np.bool_ if stored == h5t.ENUM else np.float64)
    dataset.read(h5s.ALL, h5s.ALL, array, BOOL_TYPE if stored == h5t.ENUM else h5t.NATIVE_DOUBLE)
    return array


def leaf_names(group: h5py.Group) -> list[str]:
    """Names of all data sets below a group, in sorted order."""
    names: list[str] = []
    group.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return sorted(names)


def _reason(cause: BaseException) -> str:
    """What the library said, on one line."""
    return " ".join(str(cause).split()) or type(cause).__name__
