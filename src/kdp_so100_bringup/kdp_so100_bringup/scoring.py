"""Score of one episode from the simulator's truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from kdp_core.sim.so100 import Scene
from kdp_core.sim.tabletop_success import TabletopJudge
from kdp_so100_bringup.truth import Truth

LIFTED_M = 0.03
"""Centre of a cube that is off the table."""
TIME_LIMIT_S = 30.0


@dataclass
class EpisodeResult:
    """One episode. Times in s, lengths in m; `tts_s` is None unless it succeeded.

    success: the judge of the lockstep evaluation says so inside 30 s of sending the goal. `reason` is empty
    on success. `action_*` is what the planner itself reported. `late_s`: by how much simulated physics fell
    behind the clock meanwhile.
    """

    episode: int
    task: str
    seed: int
    success: bool
    reason: str
    tts_s: float | None
    grasped: bool
    dropped: int
    final_distance_m: float
    path_length_m: float
    action_success: bool
    action_reason: str
    plans: int
    safe_actions: int
    replan_hz: float | None
    late_s: float = 0.0
    planner_ns: list[int] = field(default_factory=list, repr=False)
    e2e_ns: list[int] = field(default_factory=list, repr=False)
    cpu_percent: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; NaN becomes None."""
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()
        }


@dataclass(frozen=True)
class Score:
    """What the truth says; see EpisodeResult."""

    success: bool
    reason: str
    tts_s: float | None
    grasped: bool
    dropped: int
    final_distance_m: float
    path_length_m: float
    late_s: float


def score(record: Sequence[Truth], scene: Scene, task: str, goal_sent_ns: int) -> Score:
    """Judge the truth of one episode whose goal was sent at `goal_sent_ns`."""
    judge = TabletopJudge(task, scene)  # type: ignore[arg-type]
    after = [truth for truth in record if truth.t_ns >= goal_sent_ns]
    done, tts, grasped, dropped, held, distance = False, math.nan, False, 0, False, math.nan
    for truth in after:
        seconds = (truth.t_ns - goal_sent_ns) * 1e-9
        if seconds > TIME_LIMIT_S:
            break
        done = judge.update(truth)  # type: ignore[arg-type]
        distance = judge.distance(truth)  # type: ignore[arg-type]
        lifted = bool(truth.cube_poses[0, 2] > LIFTED_M) and truth.touched(0)
        grasped = grasped or lifted
        dropped += held and not truth.touched(0) and distance > 0.04
        held = lifted or (held and truth.touched(0))
        if done:
            tts = seconds
            break
    hand = np.array([truth.gripper_pose[:3] for truth in after]).reshape(-1, 3)
    reason = "" if done else "not placed" if grasped else "not grasped"
    return Score(
        success=done,
        reason=f"{reason} within {TIME_LIMIT_S:g} s" if reason else "",
        tts_s=None if not done else tts,
        grasped=grasped,
        dropped=dropped,
        final_distance_m=distance,
        path_length_m=float(np.linalg.norm(np.diff(hand, axis=0), axis=1).sum()),
        late_s=after[-1].late_s - after[0].late_s if after else 0.0,
    )
