"""Columns out of Parquet files as NumPy arrays, with every failure of pyarrow turned into one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kdp_core.exceptions import DataError


def read_table(path: Path, columns: Sequence[str] | None = None, required: Sequence[str] = ()) -> pa.Table:
    """Read (some columns of) one file.

    Raises:
        DataError: the file is missing, truncated or damaged, or lacks a required column.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with pq.ParquetFile(path) as file:
            present = file.schema_arrow.names
            for name in required:
                if name not in present:
                    raise DataError(f"{path}: column '{name}' is missing (found: {', '.join(present)})")
            return file.read(None if columns is None else [name for name in columns if name in present])
    except (OSError, pa.ArrowException, UnicodeDecodeError) as cause:
        line = " ".join(str(cause).split())[:160]
        raise DataError(f"{path}: cannot be read, truncated or not a Parquet file: {line}") from None


def column(table: pa.Table, name: str, shape: tuple[int, ...], dtype: Any, where: Path) -> NDArray[Any]:
    """One column as an array (rows, *shape); plain numbers are rows of shape () or (1,).

    Raises:
        DataError: a row is empty or of another length, or the column holds no numbers.
    """
    values = table.column(name).combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # no rows at all
        values = (
            pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type.value_type)
        )
    rows, nulls = len(values), values.null_count
    values = values.storage if isinstance(values, pa.ExtensionArray) else values
    while _is_list(values.type):
        values = values.flatten()  # leaves out the rows that are null, so the count below finds them
        nulls += values.null_count
    if nulls:
        raise DataError(f"{where}: column '{name}' has {nulls} empty values, expected numbers")
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or _is_bool(values.type)):
        raise DataError(f"{where}: column '{name}' holds {values.type}, expected numbers")
    expected = rows * int(np.prod(shape, dtype=np.int64))
    if len(values) != expected:
        raise DataError(
            f"{where}: column '{name}' holds {len(values)} numbers in {rows} rows, expected {expected} "
            f"as its shape is {list(shape)}"
        )
    array = values.to_numpy(zero_copy_only=False).astype(dtype)
    return array.reshape(rows, *shape)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_bool(kind: pa.DataType) -> bool:
    return bool(pa.types.is_boolean(kind))
