# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores follow the truth: when the goal counts as reached, and what spoils a flight."""

import numpy as np
import pytest

from kdp_crazyflie_bringup.scoring import score
from kdp_crazyflie_bringup.truth import Truth

GOAL = np.array([5.6, 0.0, 1.0])
SENT_NS = 2_000_000_000


def truth(seconds: float, x: float, **flags: bool) -> Truth:
    """Truth `seconds` after the goal was sent, on the line to the goal."""
    position = np.array([x, 0.0, 1.0])
    values = {"collided": False, "outside": False, "locked": False, "flying": True, **flags}
    return Truth(
        t_ns=SENT_NS + round(seconds * 1e9), position=position, velocity=np.zeros(3), seed=1, **values
    )


def straight(duration: float, end: float = 5.6) -> list[Truth]:
    """0.4 m to `end` at constant speed, 50 Hz, after one second on the spot before the goal is sent."""
    before = [truth(t, 0.4) for t in np.arange(-1.0, 0.0, 0.02)]
    return before + [
        truth(t, 0.4 + (end - 0.4) * t / duration) for t in np.arange(0.0, duration + 1e-9, 0.02)
    ]


def test_reached() -> None:
    """5.2 m in 10.4 s: 0.2 m before the goal after 10 s, counted from sending, not from take-off."""
    judged = score(straight(10.4), GOAL, SENT_NS)
    assert judged.success and judged.reason == ""
    assert judged.tts_s == pytest.approx(10.0, abs=0.03)
    assert judged.path_length_m == pytest.approx(5.0, abs=0.02)


def test_too_late() -> None:
    """Reached after 20 s is not reached, however close the drone comes."""
    judged = score(straight(21.0), GOAL, SENT_NS)
    assert not judged.success and judged.tts_s is None
    assert "goal not reached within 20 s" in judged.reason
    assert judged.closest_m < 0.02


def test_not_near_enough() -> None:
    """0.25 m away for ever is a failure that says how close it came."""
    judged = score(straight(10.0, end=5.35), GOAL, SENT_NS)
    assert not judged.success
    assert judged.closest_m == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize(
    ("flag", "reason"), [("collided", "collision"), ("outside", "left the fence"), ("locked", "locked")]
)
@pytest.mark.parametrize("when", [-0.5, 5.0, 11.0])
def test_any_fault_spoils(flag: str, reason: str, when: float) -> None:
    """A fault during take-off, on the way, or while landing at the goal spoils the flight."""
    record = straight(10.4) + [truth(t, 5.6) for t in np.arange(10.42, 13.0, 0.02)]
    nearest = min(range(len(record)), key=lambda i: abs(record[i].t_ns - SENT_NS - when * 1e9))
    record[nearest] = truth(when, float(record[nearest].position[0]), **{flag: True})
    judged = score(record, GOAL, SENT_NS)
    assert not judged.success and judged.tts_s is None
    assert judged.reason == reason


def test_without_truth() -> None:
    """No truth after the goal was sent: a failure, not an error."""
    judged = score(straight(10.4)[:20], GOAL, SENT_NS)
    assert not judged.success and np.isnan(judged.closest_m)
