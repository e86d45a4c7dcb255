"""Spreading work: everything is done once, errors are not lost, wherever it runs."""

import functools
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdp_core.benchmarks.spread import Spread, run_all
from kdp_core.exceptions import ConfigError, DataError


def note(folder: Path, item: int) -> None:
    if item < 0:
        raise DataError("negative")
    (folder / f"{item}").write_text(str(os.getpid()))


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_is_done_and_in_processes_of_their_own_if_several(tmp_path: Path, jobs: int) -> None:
    done = list(run_all(functools.partial(note, tmp_path), range(4), Spread(jobs)))
    assert sorted(done) == [0, 1, 2, 3]
    found = {int(path.name): int(path.read_text()) for path in tmp_path.iterdir()}
    assert sorted(found) == [0, 1, 2, 3]
    assert (os.getpid() in found.values()) == (jobs == 1)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_arrives(tmp_path: Path, jobs: int) -> None:
    with pytest.raises(DataError, match="negative"):
        list(run_all(functools.partial(note, tmp_path), [-1, 3], Spread(jobs)))


def test_ray_gets_every_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against Ray's interface (init, remote, wait, get): Ray itself is no requirement of the tests."""
    addresses: list[str] = []
    fake = SimpleNamespace(
        init=lambda address, ignore_reinit_error: addresses.append(address),
        remote=lambda work: SimpleNamespace(remote=lambda item: functools.partial(work, item)),
        wait=lambda references, num_returns: (references[-num_returns:], references[:-num_returns]),
        get=lambda reference: reference(),
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    done = list(run_all(functools.partial(note, tmp_path), range(3), Spread(ray_address="ray://host:10001")))
    assert done == [2, 1, 0]
    assert addresses == ["ray://host:10001"] and len(list(tmp_path.iterdir())) == 3


def test_without_ray_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="ray is not installed"):
        list(run_all(print, [1], Spread(ray_address="auto")))


def test_no_jobs_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"jobs must be at least 1"):
        Spread(0)
