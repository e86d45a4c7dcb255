"""Independent pieces of work, such as trainings: one after another, in processes, or on a Ray cluster."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, TypeVar

from kdp_core.exceptions import ConfigError
from kdp_core.ranges import at_least

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """Where work runs."""

    jobs: int = 1
    """Pieces at once on this machine (each uses training.threads threads)."""
    ray_address: str | None = None
    """Ray cluster to run on instead (`auto`, `ray://HOST:10001`); its machines must see the same folders."""

    def __post_init__(self) -> None:
        at_least(self, 1, "jobs")

    def apart(self, pieces: int) -> bool:
        """Whether so many pieces run in processes of their own, which may not share a terminal."""
        return self.ray_address is not None or (self.jobs > 1 and pieces > 1)


ONE_AFTER_ANOTHER = Spread()


def run_all(work: Callable[[T], object], items: Sequence[T], spread: Spread) -> Iterator[T]:
    """Call ``work`` on every item and yield each item once it is done.

    An error is raised once the pieces under way have ended. ``work`` and items must be picklable unless one
    runs after another. Raises ConfigError where Ray is not installed or not reached.
    """
    if spread.ray_address is not None:
        yield from _on_ray(work, items, spread.ray_address)
    elif not spread.apart(len(items)):
        for item in items:
            work(item)
            yield item
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(spread.jobs, len(items)), context) as pool:
            futures = {pool.submit(work, item): item for item in items}
            try:
                for future in as_completed(futures):
                    future.result()
                    yield futures[future]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _on_ray(work: Callable[[T], object], items: Sequence[T], address: str) -> Iterator[T]:
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError:
        raise ConfigError("ray-address: ray is not installed here (pip install ray)") from None
    try:
        ray.init(address=address, ignore_reinit_error=True)
    except (ConnectionError, ValueError) as error:
        raise ConfigError(f"ray-address: {address}: {error}") from None
    remote = ray.remote(work)
    waiting = {remote.remote(item): item for item in items}
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        ray.get(done)
        yield waiting.pop(done)
