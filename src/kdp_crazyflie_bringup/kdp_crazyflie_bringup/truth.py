# SPDX-License-Identifier: GPL-3.0-or-later
"""Listener on the simulated Crazyflie's side channel: ground truth and receipts, for scoring only.

Nothing here is seen by planner or driver. Truth arrives at 50 Hz; the record of one flight stays in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdp_planner_ros import truth_listener


@dataclass(frozen=True)
class Truth:
    """State of the simulated drone.

    Attributes:
        t_ns: CLOCK_MONOTONIC.
        position, velocity: (3,) m and m/s, world.
        collided, outside: touched a pole; left the fence. Both stay true until the next reset.
        locked: the firmware needs a reboot.
        flying: in the air.
        seed: of the world, None when it was given as an arena.
    """

    t_ns: int
    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    collided: bool
    outside: bool
    locked: bool
    flying: bool
    seed: int | None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Truth:
        """Parse one datagram; KeyError, TypeError or ValueError when it is not one."""
        return cls(
            t_ns=int(data["t_ns"]),
            position=np.array(data["position"], dtype=np.float64).reshape(3),
            velocity=np.array(data["velocity"], dtype=np.float64).reshape(3),
            collided=bool(data["collided"]),
            outside=bool(data["outside"]),
            locked=bool(data["locked"]),
            flying=bool(data["flying"]),
            seed=data["seed"],
        )

    def __str__(self) -> str:
        """Where it is, for messages."""
        return f"last at {np.round(self.position, 2).tolist()} m"


class TruthListener(truth_listener.TruthListener[Truth]):
    """Listens to the simulated Crazyflie; see the base class."""

    def __init__(
        self, control: tuple[str, int], on_receipt: Callable[[int, int], None] | None = None
    ) -> None:
        """Listen to the simulator whose control port is `control`; `on_receipt` gets (receipt_ns, crc)."""
        super().__init__(control, Truth.from_json, on_receipt)
