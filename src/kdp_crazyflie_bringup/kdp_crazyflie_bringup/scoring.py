# SPDX-License-Identifier: GPL-3.0-or-later
"""Score of one flight from the simulator's truth; pure functions."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdp_crazyflie_bringup.truth import Truth

GOAL_TOLERANCE_M = 0.2
TIME_LIMIT_S = 20.0


@dataclass
class FlightResult:
    """One flight. Times in s, lengths in m; `tts_s` is None unless the flight succeeded.

    success: within 0.2 m of the goal inside 20 s of sending it, and from take-off to touch-down no collision,
    no fence breach and no lock, all in the simulator's truth. `reason` is empty on success. `action_*` is
    what the planner itself reported.
    """

    flight: int
    seed: int
    poles: int
    success: bool
    reason: str
    tts_s: float | None
    collided: bool
    outside: bool
    locked: bool
    closest_m: float
    path_length_m: float
    action_success: bool
    action_reason: str
    plans: int
    safe_actions: int
    replan_hz: float | None
    planner_ns: list[int] = field(default_factory=list, repr=False)
    e2e_ns: list[int] = field(default_factory=list, repr=False)
    path: list[list[float]] = field(default_factory=list, repr=False)
    cpu_percent: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; NaN becomes None."""
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()
        }


@dataclass(frozen=True)
class Score:
    """What the truth says; see FlightResult."""

    success: bool
    reason: str
    tts_s: float | None
    collided: bool
    outside: bool
    locked: bool
    closest_m: float
    path_length_m: float


def score(record: list[Truth], goal: NDArray[np.float64], goal_sent_ns: int) -> Score:
    """Judge the truth of one flight, take-off to touch-down, for a goal (3,) m sent at `goal_sent_ns`."""
    after = [truth for truth in record if truth.t_ns >= goal_sent_ns]
    positions = np.array([truth.position for truth in after]).reshape(-1, 3)
    distances = np.linalg.norm(positions - goal, axis=1)
    seconds = np.array([(truth.t_ns - goal_sent_ns) * 1e-9 for truth in after])
    reached = np.flatnonzero((distances < GOAL_TOLERANCE_M) & (seconds <= TIME_LIMIT_S))
    collided, outside, locked = (
        any(getattr(t, name) for t in record) for name in ("collided", "outside", "locked")
    )
    reasons = [
        text
        for wrong, text in (
            (collided, "collision"),
            (outside, "left the fence"),
            (locked, "locked"),
            (not len(reached), f"goal not reached within {TIME_LIMIT_S:g} s"),
        )
        if wrong
    ]
    end = int(reached[0]) + 1 if len(reached) else len(after)
    return Score(
        success=not reasons,
        reason=", ".join(reasons),
        tts_s=None if reasons else float(seconds[reached[0]]),
        collided=collided,
        outside=outside,
        locked=locked,
        closest_m=float(distances.min()) if len(distances) else math.nan,
        path_length_m=float(np.linalg.norm(np.diff(positions[:end], axis=0), axis=1).sum()),
    )
