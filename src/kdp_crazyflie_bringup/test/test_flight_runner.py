# SPDX-License-Identifier: GPL-3.0-or-later
"""One flight over the whole graph: simulated firmware, cflib, driver, planner, monitor, each a process."""

import os
from pathlib import Path

import numpy as np
import pytest

from kdp_core.sim.arena import Arena
from kdp_crazyflie_bringup.flight_runner import FlightRunner, RunnerOptions
from kdp_planner_ros.process_group import ProcessDied

POLES = 6


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunnerOptions:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(20 + os.getpid() % 20))
    ports = {"crtp_port": 19964, "control_port": 19965}
    return RunnerOptions(tmp_path / "log", poles=POLES, keep_plans=True, use_launch=False, **ports)


def test_flight(options: RunnerOptions):
    """The shipped planner reaches the goal, and every figure of the flight was measured."""
    with FlightRunner(options) as runner:
        runner.start(3)
        result = runner.fly(1, 5)
        snapshots = runner.snapshots
        codes = runner.stop()
    assert result.success, result.reason
    assert result.seed == 5 and result.action_success
    arena = Arena.random(5, POLES)
    path = np.array(result.path)[:, 1:]
    assert np.linalg.norm(path[0, :2] - arena.start[:2]) < 0.1
    assert np.linalg.norm(path - arena.goal, axis=1).min() < 0.2
    assert not arena.collides(path).any()
    straight = np.linalg.norm(arena.goal - arena.start)
    assert straight - 0.3 < result.path_length_m < 2 * straight
    assert len(result.planner_ns) > 100 and min(result.planner_ns) > 0
    assert len(result.e2e_ns) > 0.8 * len(result.planner_ns)
    assert np.median(result.e2e_ns) > np.median(result.planner_ns)
    assert snapshots and snapshots[0].paths.shape[0] == 64 and snapshots[0].paths.shape[2] == 3
    assert {"planner", "crazyflie_driver", "crazyflie_sim"} <= set(result.cpu_percent)
    assert codes == dict.fromkeys(codes, 0)
    assert {f"{name}.log" for name in codes} == {path.name for path in options.log_dir.iterdir()}


def test_start_names_the_process_that_ended(options: RunnerOptions, tmp_path: Path):
    """A port that is taken ends the simulator: one line with its log, and nothing is left running."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", options.crtp_port))
        with (
            pytest.raises(ProcessDied, match=r"crazyflie_sim ended .*crazyflie_sim\.log"),
            FlightRunner(options) as runner,
        ):
            runner.start()
    assert all(process.poll() is not None for process in runner.group.processes.values())
    assert "19964" in (options.log_dir / "crazyflie_sim.log").read_text()
