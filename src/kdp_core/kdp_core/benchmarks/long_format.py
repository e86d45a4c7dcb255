"""Benchmark results in long format: one row per task, method, metric and seed.

``{"data": "what was measured", "environment": {...}, "rows": [{"task", "method", "metric", "value", "stderr",
"seed", ...}]}``. Rows may carry more fields (scalars); tables and figures are made from these files alone.
"""

import json
import math
import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from kdp_core import __version__
from kdp_core.exceptions import DataError

Row = dict[str, Any]
Document = dict[str, Any]

_PACKAGES = (
    "numpy", "scipy", "torch", "onnxruntime", "minari", "gymnasium", "gymnasium-robotics", "mujoco", "d3rlpy",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """Return the processor, number of cores, system and versions behind the figures (no host name)."""
    versions = {"kdp_core": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "system": platform.platform(),
        "versions": versions,
    }


def _processor() -> str:
    """Return the processor's model name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def row(
    task: str,
    method: str,
    metric: str,
    value: float | None,
    stderr: float | None = None,
    seed: int | None = None,
    **more: Any,
) -> Row:
    """Return one row; what is not finite (a run that diverged) becomes None."""
    return {
        "task": task,
        "method": method,
        "metric": metric,
        "value": _finite_or_none(value),
        "stderr": _finite_or_none(stderr),
        "seed": seed,
        **more,
    }


def _finite_or_none(number: float | None) -> float | None:
    return None if number is None or not math.isfinite(number) else float(number)


def validate(document: Any, source: str = "results") -> Document:
    """Return ``document`` in long format, else raise ``DataError`` naming ``source``, row and field."""
    if not isinstance(document, dict) or not isinstance(document.get("rows"), list):
        raise DataError(f"{source}: expected an object with a list `rows`")
    if not isinstance(document.get("data"), str):
        raise DataError(f"{source}: data: expected a sentence that says what was measured")
    if not isinstance(document.get("environment"), dict):
        raise DataError(f"{source}: environment: expected an object with machine and versions")
    for number, entry in enumerate(document["rows"]):
        _validate_row(entry, f"{source}: rows[{number}]")
    return document


def _validate_row(entry: Any, where: str) -> None:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected an object")
    for field in ("task", "method", "metric"):
        if not isinstance(entry.get(field), str) or not entry[field]:
            raise DataError(f"{where}: {field}: expected a non-empty string, got {entry.get(field)!r}")
    for field in ("value", "stderr", "seed"):
        if field not in entry:
            raise DataError(f"{where}: {field}: missing (null if there is none)")
    for field in ("value", "stderr"):
        number = entry[field]
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if number is not None and not (is_number and math.isfinite(number)):
            raise DataError(f"{where}: {field}: expected a finite number or null, got {number!r}")
    if entry["stderr"] is not None and entry["stderr"] < 0:
        raise DataError(f"{where}: stderr: expected at least 0, got {entry['stderr']!r}")
    if entry["seed"] is not None and (not isinstance(entry["seed"], int) or isinstance(entry["seed"], bool)):
        raise DataError(f"{where}: seed: expected an integer or null, got {entry['seed']!r}")
    for field, value in entry.items():
        if value is not None and not isinstance(value, str | int | float):
            raise DataError(f"{where}: {field}: expected a scalar, got {type(value).__name__}")


def write(path: str | Path, data: str, rows: Iterable[Row]) -> Document:
    """Write rows with the environment to ``path`` (temporary name, then rename) and return the document.

    ``data`` says in one sentence what was measured and with which settings.
    """
    path = Path(path)
    document = validate({"data": data, "environment": environment(), "rows": list(rows)}, str(path))
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot write: {error.strerror}") from error
    return document


def read(path: str | Path) -> Document:
    """Return the validated document in ``path``."""
    try:
        document = json.loads(Path(path).read_text())
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    return validate(document, str(path))
