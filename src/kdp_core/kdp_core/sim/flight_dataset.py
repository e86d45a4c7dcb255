"""Collect the flight data set over processes and store it as Minari."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from kdp_core import __version__
from kdp_core.datasets import Episode, write_minari
from kdp_core.exceptions import ConfigError, DataError
from kdp_core.sim.flight_collect import CollectOptions, collect_worlds

CHUNK_WORLDS = 50


def collect_flights(
    options: CollectOptions,
    path: str | Path,
    processes: int = 2,
    overwrite: bool = False,
    progress: Callable[[int, int, int], None] | None = None,
) -> Path:
    """Fly ``options.worlds`` worlds and write the Minari data set ``path``, which appears only when complete.

    The episodes do not depend on ``processes``. ``progress(worlds done, worlds, episodes)`` is called now and
    then. Raises DataError if ``path`` exists and ``overwrite`` is false.
    """
    if processes < 1:
        raise ConfigError(f"processes must be at least 1, got {processes}")
    if Path(path).exists() and not overwrite:  # before hours of flying, not after
        raise DataError(f"{path}: exists already; remove it, or pass --overwrite")
    metadata = {
        "algorithm_name": "randomised cost-to-go expert, simulated Crazyflie",
        "author": {"KDP"},
        "description": "flights through poles; observations: position, velocity, goal; options: poles",
        "code_version": __version__,
        "collect_options": asdict(options),
    }
    starts = range(0, options.worlds, CHUNK_WORLDS)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        chunks = pool.imap(partial(_chunk, options), starts)

        def episodes() -> Iterator[Episode]:
            total = 0
            for number, chunk in enumerate(chunks):
                yield from chunk
                total += len(chunk)
                if progress is not None:
                    progress(min((number + 1) * CHUNK_WORLDS, options.worlds), options.worlds, total)

        return write_minari(path, episodes(), metadata=metadata, overwrite=overwrite)


def _chunk(options: CollectOptions, first: int) -> list[Episode]:
    return list(collect_worlds(options, first, min(CHUNK_WORLDS, options.worlds - first)))
