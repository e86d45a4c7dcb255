"""Truth of the simulated SO-100, for scoring and for what plays perception; driver and planner never see it.

The attributes are named as `kdp_core.sim.so100.So100Scene`'s, so that the judge of the lockstep evaluation
judges here, too.
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
    """State of the simulated world.

    Attributes:
        t_ns: CLOCK_MONOTONIC.
        resets: number of the scene since the simulator's start.
        joints, joint_velocity: (6,) rad, rad/s.
        gripper_pose: (7,) m and quaternion x y z w.
        cube_poses: (n, 7). cube_speeds: (n,) m/s.
        jaw_open: the jaw is clearly wider than a cube.
        fingers: (n) whether a finger touches each cube.
        torque: (6) whether each servo holds.
        late_s: by how much physics has fallen behind the clock since the start.
    """

    t_ns: int
    resets: int
    joints: NDArray[np.float64]
    joint_velocity: NDArray[np.float64]
    gripper_pose: NDArray[np.float64]
    cube_poses: NDArray[np.float64]
    cube_speeds: NDArray[np.float64]
    jaw_open: bool
    fingers: tuple[bool, ...]
    torque: tuple[bool, ...]
    late_s: float

    def touched(self, number: int) -> bool:
        """Whether a finger touches cube `number`."""
        return self.fingers[number]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Truth:
        """Parse one datagram; KeyError, TypeError or ValueError when it is not one."""
        cubes = np.array(data["cubes"], dtype=np.float64).reshape(-1, 7)
        return cls(
            t_ns=int(data["t_ns"]),
            resets=int(data["resets"]),
            joints=np.array(data["joints"], dtype=np.float64).reshape(6),
            joint_velocity=np.array(data["joint_velocity"], dtype=np.float64).reshape(6),
            gripper_pose=np.array(data["gripper"], dtype=np.float64).reshape(7),
            cube_poses=cubes,
            cube_speeds=np.array(data["cube_speeds"], dtype=np.float64).reshape(len(cubes)),
            jaw_open=bool(data["jaw_open"]),
            fingers=tuple(bool(v) for v in data["touched"]),
            torque=tuple(bool(v) for v in data["torque"]),
            late_s=float(data["late_s"]),
        )

    def __str__(self) -> str:
        """Where things are, for messages."""
        cubes = "; ".join(str(np.round(c[:3], 3).tolist()) for c in self.cube_poses)
        return f"joints {np.round(self.joints, 2).tolist()}, cubes {cubes or 'none'}"


class TruthListener(truth_listener.TruthListener[Truth]):
    """Listens to the simulated SO-100; see the base class."""

    def __init__(
        self, control: tuple[str, int], on_receipt: Callable[[int, int], None] | None = None
    ) -> None:
        """Listen to the simulator whose control port is `control`; `on_receipt` gets (receipt_ns, crc)."""
        super().__init__(control, Truth.from_json, on_receipt)
