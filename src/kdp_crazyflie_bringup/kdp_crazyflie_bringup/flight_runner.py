# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the flight graph, fly in one world after another, stop: for demo, benchmark and fault tests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from kdp_core.exceptions import KdpError
from kdp_core.sim.arena import Arena
from kdp_crazyflie_bringup.flight_client import FlightClient
from kdp_crazyflie_bringup.fly import GRAPH
from kdp_crazyflie_bringup.graph import CONTROL_PORT, CRTP_PORT
from kdp_crazyflie_bringup.scoring import TIME_LIMIT_S, FlightResult, score
from kdp_crazyflie_bringup.side_channel import SideChannelClient
from kdp_crazyflie_bringup.truth import Truth, TruthListener
from kdp_planner_ros.cpu_load import CpuLoad
from kdp_planner_ros.latency import LatencyLog, summarise
from kdp_planner_ros.operator_client import PlanSnapshot
from kdp_planner_ros.process_group import ProcessGroup
from kdp_planner_ros.start_graph import start_graph

HEIGHT_M, TAKEOFF_S, LAND_S = 1.0, 4.5, 4.5  # within the driver's vertical speed limit
READY_S = 40.0  # a cold start on a busy two-core machine
ARRIVED_M = 0.15  # what the planner is asked for: its estimate is noisy, truth is scored at 0.2 m
WARM_UP_CYCLES = 10
RECORD_PERIOD_NS = 40_000_000  # of the flown path in the results


@dataclass(frozen=True)
class RunnerOptions:
    """What to start. Fields as in `graph.fly_nodes`; `log_dir` gets one file per process."""

    log_dir: Path
    artifact: str = ""
    poles: int = 16
    candidates: int = 64
    name: str = "cf1"
    crtp_port: int = CRTP_PORT
    control_port: int = CONTROL_PORT
    keep_plans: bool = False
    use_launch: bool | None = None  # None: `ros2 launch` where it exists


@dataclass(frozen=True)
class Progress:
    """Where a flight is, for a live line. Milliseconds and Hz are None before there are any."""

    phase: str
    distance_m: float | None = None
    plans_per_s: float | None = None
    planner_ms: float | None = None
    e2e_ms: float | None = None


Report = Callable[[Progress], None]


class FlightRunner:
    """The graph over a simulated Crazyflie; use it as a context manager."""

    def __init__(self, options: RunnerOptions) -> None:
        """Nothing starts before `start`."""
        self.options = options
        self.group = ProcessGroup(options.log_dir)
        self.latency = LatencyLog(with_receipts=True)
        self.cpu = CpuLoad()
        self.side: SideChannelClient
        self.truth: TruthListener
        self.client: FlightClient
        self.arena: Arena
        self.started_with = ""
        self._open = False

    def start(self, seed: int = 0, report: Report = lambda progress: None) -> None:
        """Start all processes in the world `seed` and wait until they answer. KdpError says what is wrong."""
        report(Progress("starting the graph"))
        options = self.options
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        arguments = {
            "artifact": options.artifact,
            "name": options.name,
            "world_seed": seed,
            "poles": options.poles,
            "candidates": options.candidates,
            "crtp_port": options.crtp_port,
            "control_port": options.control_port,
        }
        self._open = True
        self.started_with = start_graph(self.group, GRAPH, arguments, options.use_launch)
        control = ("127.0.0.1", options.control_port)
        self.side = SideChannelClient(control)
        self.truth = TruthListener(control, self.latency.add_receipt)
        self.client = FlightClient(f"/{options.name}", self.latency, self.group.check, options.keep_plans)
        self.truth.wait_for("simulated Crazyflie", lambda truth: True, READY_S, self.group.check)
        self.client.wait_ready(READY_S)

    def prepare(self, seed: int, report: Report = lambda progress: None) -> Arena:
        """Put the drone on the ground of the world `seed`, and tell the obstacle server the same world."""
        report(Progress("setting the world"))
        arena = Arena.random(seed, self.options.poles)
        self.side.request("reset", seed=seed, poles=self.options.poles)
        start = arena.start[:2]
        self.truth.wait_for(
            f"reset to world {seed}",
            lambda t: t.seed == seed and not t.flying and bool(np.linalg.norm(t.position[:2] - start) < 0.05),
            5.0,
            self.group.check,
        )
        self.client.set_world(seed, self.options.poles)
        return arena

    def take_off(self, report: Report = lambda progress: None) -> None:
        """Arm, climb to 1 m above the start and wait until the drone is there."""
        report(Progress("taking off"))
        self.client.arm()
        self.client.takeoff(HEIGHT_M, TAKEOFF_S)
        self.truth.wait_for(
            "take-off to 1 m",
            lambda t: abs(t.position[2] - HEIGHT_M) < 0.08 and bool(np.linalg.norm(t.velocity) < 0.1),
            TAKEOFF_S + 6.0,
            self._check_flight,
        )
        self.truth.wait_for(  # up there before the take-off has ended
            "driver to take commands", lambda t: self.client.status.can_move, 5.0, self._check_flight
        )

    def land(self, report: Report = lambda progress: None) -> None:
        """Land where the drone is; returns when it is on the ground and the driver has disarmed it."""
        report(Progress("landing"))
        self.client.land(LAND_S)
        self.truth.wait_for(
            "touch-down", lambda t: not t.flying and self.client.idle, LAND_S + 6.0, self.group.check
        )

    def fly(self, flight: int, seed: int, report: Report = lambda progress: None) -> FlightResult:
        """One flight from start to goal of the world `seed`, take-off to touch-down."""
        arena = self.arena = self.prepare(seed, report)
        self.truth.start_record()
        self.client.snapshots.clear()
        problem, goal_sent_ns, goal, outcome = "", time.monotonic_ns(), None, None
        try:
            self.take_off(report)
            self.latency.reset()
            self.cpu.start(
                {name: self.group.pid(name) for name in self.group.processes} | {"operator": os.getpid()}
            )
            goal_sent_ns = time.monotonic_ns()
            goal = self.client.send_goal(arena.goal, ARRIVED_M, TIME_LIMIT_S)
            self._follow(goal, arena, report, goal_sent_ns)
            cpu = self.cpu.stop()
            outcome = goal.result() if goal.done else None
            time.sleep(0.1)  # the last timing rows and receipts are still on their way
            timing = summarise(self.latency.join(), WARM_UP_CYCLES)
            rows = self.latency.join()[WARM_UP_CYCLES:]
            self.land(report)
        except FlightOver as over:  # crashed or locked: there is nothing left to land
            if goal is not None:
                goal.cancel()
            problem, cpu, rows = str(over), self.cpu.stop(), self.latency.join()[WARM_UP_CYCLES:]
            timing = summarise(self.latency.join(), WARM_UP_CYCLES)
        judged = score(self.truth.record(), arena.goal, goal_sent_ns)
        return FlightResult(
            flight=flight,
            seed=seed,
            poles=self.options.poles,
            **vars(judged),
            action_success=bool(outcome and outcome.success),
            action_reason=outcome.reason if outcome else problem,
            plans=timing.cycles,
            safe_actions=timing.safe_actions,
            replan_hz=None if np.isnan(timing.replan_hz) else timing.replan_hz,
            planner_ns=[row.planner_ns for row in rows],
            e2e_ns=[row.e2e_ns for row in rows if row.e2e_ns > 0],
            path=_thin(self.truth.record()),
            cpu_percent=cpu,
        )

    @property
    def snapshots(self) -> list[PlanSnapshot]:
        """All K candidates at some instants of the last flight (`keep_plans`)."""
        return list(self.client.snapshots)

    def stop(self) -> dict[str, int]:
        """Stop everything that was started; returns the exit codes."""
        if self._open:
            self._open = False
            for part in ("client", "truth", "side"):
                if hasattr(self, part):
                    getattr(self, part).close()
        return self.group.stop()

    def __enter__(self) -> Self:
        """Return the runner, not yet started."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the graph, whatever happened."""
        self.stop()

    def _follow(self, goal: object, arena: Arena, report: Report, goal_sent_ns: int) -> None:
        """Report progress until the planner ends the goal; a crash ends the flight at once."""
        give_up = goal_sent_ns + int((TIME_LIMIT_S + 2.0) * 1e9)
        while not goal.done and time.monotonic_ns() < give_up:
            self._check_flight()
            truth, feedback = self.truth.latest, self.client.feedback
            recent = self.latency.join(last=50)
            e2e = [row.e2e_ns for row in recent if row.e2e_ns > 0]
            report(
                Progress(
                    "flying",
                    float(np.linalg.norm(truth.position - arena.goal)) if truth else None,
                    feedback.plans_per_second if feedback else None,
                    float(np.median([row.planner_ns for row in recent])) * 1e-6 if recent else None,
                    float(np.median(e2e)) * 1e-6 if e2e else None,
                )
            )
            time.sleep(0.2)

    def _check_flight(self) -> None:
        """ProcessDied when the graph is broken, FlightOver when the drone is."""
        self.group.check()
        truth = self.truth.latest
        if truth is not None and (truth.collided or truth.outside or truth.locked):
            raise FlightOver(
                "collision" if truth.collided else "left the fence" if truth.outside else "locked"
            )


class FlightOver(KdpError):
    """The drone crashed, left the fence or is locked: the flight has ended, the graph has not."""


def _thin(record: list[Truth]) -> list[list[float]]:
    """Rows [seconds, x, y, z] of the flown path, every 40 ms."""
    rows, next_ns = [], 0
    for truth in record:
        if truth.t_ns >= next_ns:
            next_ns = truth.t_ns + RECORD_PERIOD_NS
            rows.append([round((truth.t_ns - record[0].t_ns) * 1e-9, 3), *truth.position.round(4).tolist()])
    return rows
