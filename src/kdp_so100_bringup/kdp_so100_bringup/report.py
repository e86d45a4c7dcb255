"""From episode results to the numbers that are reported; pure functions. Keys as in the flight's report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdp_core.proportions import wilson
from kdp_planner_ros.figures import mean_cpu, quantiles_ms, spread
from kdp_so100_bringup.scoring import EpisodeResult


def summarise_episodes(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Counts, times and latencies over all episodes. `tts_s` and `replan_hz` are medians over episodes."""
    successes = sum(r.success for r in results)
    times = [r.tts_s for r in results if r.tts_s is not None]
    rates = [r.replan_hz for r in results if r.replan_hz is not None]
    plans = sum(r.plans for r in results)
    low, high = wilson(successes, len(results))
    return {
        "episodes": len(results),
        "success": successes,
        "success_rate": successes / len(results) if results else None,
        "success_wilson95": [round(low, 4), round(high, 4)],
        "grasped": sum(r.grasped for r in results),
        "dropped": sum(r.dropped for r in results),
        "tts_s": spread(times)["median"],
        "tts_s_spread": spread(times),
        "replan_hz": spread(rates)["median"],
        "replan_hz_spread": spread(rates),
        "planner_ms": quantiles_ms([value for r in results for value in r.planner_ns]),
        "e2e_ms": quantiles_ms([value for r in results for value in r.e2e_ns]),
        "e2e_p50_per_episode_ms": spread([float(np.median(r.e2e_ns)) * 1e-6 for r in results if r.e2e_ns]),
        "planner_p50_per_episode_ms": spread(
            [float(np.median(r.planner_ns)) * 1e-6 for r in results if r.planner_ns]
        ),
        "safe_action_share": round(sum(r.safe_actions for r in results) / plans, 5) if plans else None,
        "physics_late_s": round(sum(r.late_s for r in results), 3),
        "cpu_percent": mean_cpu([r.cpu_percent for r in results]),
    }


def episode_row(result: EpisodeResult) -> dict[str, Any]:
    """One episode without its long lists."""
    row = result.to_dict()
    planner, e2e = row.pop("planner_ns"), row.pop("e2e_ns")
    return {**row, "planner_ms": quantiles_ms(planner), "e2e_ms": quantiles_ms(e2e)}


DEFINITIONS = {
    "success": "the simulator's truth, inside 30 s of sending the goal, for 0.2 s. pick_place: carried more "
    "than 3 cm, within 3 cm of the goal, slower than 1 cm/s, jaw open. stack: centres within 1.5 cm and "
    "height within 6 mm of stacked, both slower than 1 cm/s, jaw open, no finger touching",
    "tts_s": "from sending the goal to success",
    "planner_ms": "the planner's inference call",
    "e2e_ms": "start of the synchronous read of the observation to the synchronous write of the plan's first "
    "action at the simulated servos",
    "replan_hz": "plans applied by the servos per second, median over episodes",
    "cpu_percent": "of one core, while moving",
    "physics_late_s": "by how much simulated physics fell behind the clock, all episodes together",
}
