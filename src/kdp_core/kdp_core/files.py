"""Files written whole or not at all, their sums, and JSON and YAML read with one-line errors."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from kdp_core.exceptions import ConfigError, KdpError

_BLOCK = 1 << 20


def _temporary_sibling(path: Path) -> Path:
    """A name in the same folder, so that the final rename never crosses file systems."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _target(path: Path) -> Path:
    """The file to replace, behind any links. Raises OSError for a loop of links, a folder or a device."""
    try:
        target = path.resolve() if path.is_symlink() else path
    except RuntimeError:  # before Python 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "not a file that could be replaced", str(path))
    return target


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; it takes the name `path` when the block ends without an error.

    An existing file is replaced in one step. After an error nothing is left behind and `path` is untouched.
    Where `path` is a symbolic link, the file that it points to is replaced and the link stays.
    """
    path = _target(Path(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_sibling(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(
    path: str | Path, overwrite: bool = False, error: type[KdpError] = ConfigError
) -> Iterator[Path]:
    """Give a temporary, empty directory; it takes the name `path` when the block ends without an error.

    Raises:
        KdpError: (of the class `error`) `path` exists and `overwrite` is false.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise error(f"{path}: exists already; remove it, or pass --overwrite where there is that option")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_sibling(path)
    replaced = path.with_name(f".{path.name}.{os.getpid()}.old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():  # a directory with content cannot be replaced in one step: move it aside first
            os.replace(path, replaced)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if replaced.exists() and path.exists():
            shutil.rmtree(replaced, ignore_errors=True)
        elif replaced.exists():
            os.replace(replaced, path)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically; not-a-number is refused because JSON has no such value.

    Raises:
        ValueError: `value` holds a number that is not finite.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_yaml(path: str | Path, value: Any) -> None:
    """Write YAML atomically, keys in the order given."""
    write_text(path, yaml.safe_dump(value, sort_keys=False))


def read_text(path: str | Path, error: type[KdpError] = ConfigError) -> str:
    """Read a UTF-8 text file.

    Raises:
        KdpError: (of the class `error`) the file is missing, unreadable or not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as cause:
        raise error(f"{path}: cannot be read: {cause.strerror or cause}") from None
    except UnicodeDecodeError as cause:
        raise error(f"{path}: byte {cause.start} is not UTF-8 text") from None
    except ValueError as cause:  # a null byte in the name
        raise error(f"{str(path)!r}: cannot be read: {cause}") from None


def load_json(path: str | Path, error: type[KdpError] = ConfigError) -> Any:
    """Read JSON.

    Raises:
        KdpError: (of the class `error`) names the file and, for malformed content, its line and column.
    """
    return parse_json(read_text(path, error), str(path), error)


def parse_json(text: str | bytes, where: str, error: type[KdpError] = ConfigError) -> Any:
    """Read JSON from a text.

    Raises:
        KdpError: (of the class `error`) begins with `where` and, for malformed content, line and column.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as cause:
        raise error(f"{where}:{cause.lineno}:{cause.colno}: not JSON: {cause.msg}") from None
    except UnicodeDecodeError as cause:
        raise error(f"{where}: byte {cause.start} is not UTF-8 text") from None
    except ValueError as cause:  # an integer of thousands of digits
        raise error(f"{where}: not usable JSON: {' '.join(str(cause).split())}") from None
    except RecursionError:
        raise error(f"{where}: not usable JSON: nested too deeply") from None


def load_yaml(path: str | Path, error: type[KdpError] = ConfigError) -> Any:
    """Read YAML (safe tags only).

    Raises:
        KdpError: (of the class `error`) names the file and, for malformed content, its line and column.
    """
    text = read_text(path, error)
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = " ".join(str(cause.problem or cause).split())
        raise error(f"{path}{where}: not YAML: {problem}") from None
    except yaml.YAMLError as cause:
        raise error(f"{path}: not YAML: {' '.join(str(cause).split())}") from None
    except ValueError as cause:  # for example an impossible date, which PyYAML builds eagerly
        raise error(f"{path}: not YAML: {cause}") from None
    except RecursionError:
        raise error(f"{path}: not usable YAML: nested too deeply") from None


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sha256_directory(path: str | Path) -> str:
    """SHA-256 over the relative names and sums of all files below `path`, in sorted order."""
    root = Path(path)
    digest = hashlib.sha256()
    names = sorted(item.relative_to(root).as_posix() for item in root.rglob("*") if item.is_file())
    for name in names:
        digest.update(f"{sha256_file(root / name)}  {name}\n".encode())
    return digest.hexdigest()
