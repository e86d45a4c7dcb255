# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture shows what was flown and planned."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from kdp_core.sim.arena import Arena
from kdp_crazyflie_bringup.bench_flight import broken
from kdp_crazyflie_bringup.plot import CHOSEN, FLOWN, Picture, save_flights
from kdp_planner_ros.operator_client import PlanSnapshot


def picture(seed: int, with_plans: bool) -> Picture:
    """A straight flight with fans of plans."""
    arena = Arena.random(seed, 12)
    result = broken(1, seed, 12, "")
    result.success, result.reason, result.tts_s = True, "", 10.0
    way = np.linspace(arena.start, arena.goal, 50)
    result.path = np.column_stack([np.linspace(0, 10, 50), way]).tolist()
    ends = np.random.default_rng(seed).normal((1.5, 0.0, 0.0), 0.4, size=(8, 1, 3))
    fan = np.linspace(0.0, 1.0, 32)[None, :, None] * ends
    snapshots = [PlanSnapshot(i, (point + fan).astype(np.float32), i % 8) for i, point in enumerate(way[::5])]
    return Picture(arena, result, snapshots if with_plans else [])


def has_colour(image: np.ndarray, colour: str) -> bool:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return int((np.abs(image[..., :3] - wanted).max(axis=-1) < 0.02).sum()) > 200


@pytest.mark.parametrize("flights", [1, 3, 4])
def test_panels(flights: int, tmp_path: Path):
    path = save_flights(
        [picture(seed, True) for seed in range(flights)], tmp_path / "x" / "flight.png", "title"
    )
    image = matplotlib.image.imread(path)
    assert image.shape[1] > 700 * min(flights, 3)
    assert has_colour(image, FLOWN) and has_colour(image, CHOSEN)


def test_without_plans(tmp_path: Path):
    """A flight that crashed before its first plan still has a picture, only without plans."""
    some = matplotlib.image.imread(save_flights([picture(0, True)], tmp_path / "some.png", ""))
    none = matplotlib.image.imread(save_flights([picture(0, False)], tmp_path / "none.png", ""))
    assert some.shape == none.shape and np.abs(some - none).max() > 0.5
