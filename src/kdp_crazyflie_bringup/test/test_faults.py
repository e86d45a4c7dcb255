# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drone does when the planner dies in flight: whole graph, real processes, judged from the truth."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from kdp_crazyflie_bringup.flight_runner import FlightRunner, RunnerOptions

SEED, POLES = 11, 8
HOVER_SPEED = 0.15  # m/s
BUSY_S = 15.0
LATE_S = 0.25  # how late a busy machine may run the driver


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(20 + os.getpid() % 20))
    options = RunnerOptions(
        tmp_path / "log", poles=POLES, crtp_port=19960, control_port=19961, use_launch=False
    )
    with FlightRunner(options) as started:
        started.start(SEED)
        yield started


def test_planner_killed_in_flight(runner: FlightRunner):
    """kill -9: the drone hovers within 0.5 s, lands by itself, hits nothing and is not locked."""
    arena = runner.prepare(SEED)
    runner.take_off()
    runner.client.send_goal(arena.goal, 0.15, 20.0)
    runner.truth.wait_for(
        "flight under way",
        lambda t: t.position[0] > arena.start[0] + 0.8 and bool(np.linalg.norm(t.velocity) > 0.3),
        BUSY_S,
    )
    runner.truth.start_record()
    os.kill(runner.group.pid("planner"), signal.SIGKILL)
    killed_ns = time.monotonic_ns()
    runner.truth.wait_for("landing", lambda t: not t.flying and runner.client.idle, BUSY_S)

    record = [truth for truth in runner.truth.record() if truth.t_ns >= killed_ns]
    speeds = np.array([np.linalg.norm(truth.velocity[:2]) for truth in record])
    seconds = np.array([(truth.t_ns - killed_ns) * 1e-9 for truth in record])
    fast = seconds[speeds > HOVER_SPEED]
    # It moved when the planner died, and never again after half a second: 0.48 s where the machine is idle.
    assert len(fast) and fast[-1] < 0.5 + LATE_S
    heights = np.array([truth.position[2] for truth in record])
    hovering = heights[(seconds > 0.5 + LATE_S) & (seconds < 1.5)]
    assert np.ptp(hovering) < 0.1  # hovers first, lands later
    assert heights[-1] < 0.1
    assert not any(truth.collided or truth.outside or truth.locked for truth in record)
    assert [ended.name for ended in runner.group.ended()] == ["planner"]  # everything else lives
    assert runner.client.status.fault == "command_timeout"
