"""Start the arm's graph, run one episode after another, stop: for demo, benchmark and fault tests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from kdp_core.sim.so100 import Scene
from kdp_planner_ros.cpu_load import CpuLoad
from kdp_planner_ros.latency import LatencyLog, summarise
from kdp_planner_ros.operator_client import OperatorGoal, PlanSnapshot
from kdp_planner_ros.process_group import ProcessGroup
from kdp_planner_ros.start_graph import start_graph
from kdp_so100_bringup.arm_client import ArmClient
from kdp_so100_bringup.graph import GRAPH
from kdp_so100_bringup.scoring import LIFTED_M, TIME_LIMIT_S, EpisodeResult, score
from kdp_so100_bringup.side_channel import CONTROL_PORT, SideChannelClient
from kdp_so100_bringup.truth import Truth, TruthListener

READY_S = 40.0  # a cold start on a busy two-core machine
WARM_UP_CYCLES = 10
SETTLE_S = 0.4  # after the planner has ended its goal: the judge wants to see it stay


@dataclass(frozen=True)
class RunnerOptions:
    """What to start. Fields as in `graph.ARGUMENTS`; `log_dir` gets one file per process."""

    log_dir: Path
    task: str = "pick_place"
    artifact: str = ""
    candidates: int = 64
    bus: str = "scservo_sdk"
    name: str = "so100"
    control_port: int = CONTROL_PORT
    keep_plans: bool = False
    use_launch: bool | None = None  # None: `ros2 launch` where it exists


@dataclass(frozen=True)
class Progress:
    """Where an episode is, for a live line. Milliseconds and Hz are None before there are any."""

    phase: str
    distance_m: float | None = None
    plans_per_s: float | None = None
    planner_ms: float | None = None
    e2e_ms: float | None = None


Report = Callable[[Progress], None]


class EpisodeRunner:
    """The graph over a simulated SO-100; use it as a context manager."""

    def __init__(self, options: RunnerOptions) -> None:
        """Nothing starts before `start`."""
        self.options = options
        self.group = ProcessGroup(options.log_dir)
        self.latency = LatencyLog(with_receipts=True)
        self.cpu = CpuLoad()
        self.side: SideChannelClient
        self.truth: TruthListener
        self.client: ArmClient
        self.scene: Scene
        self.started_with = ""
        self._open = False

    def start(self, seed: int = 0, report: Report = lambda progress: None) -> None:
        """Start all processes with the scene `seed` and wait until they answer. KdpError: what is wrong."""
        report(Progress("starting the graph"))
        options = self.options
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        arguments = {
            "task": options.task,
            "artifact": options.artifact,
            "name": options.name,
            "scene_seed": seed,
            "candidates": options.candidates,
            "bus": options.bus,
            "control_port": options.control_port,
        }
        self._open = True
        self.started_with = start_graph(self.group, GRAPH, arguments, options.use_launch)
        control = ("127.0.0.1", options.control_port)
        self.side = SideChannelClient(control)
        self.truth = TruthListener(control, self.latency.add_receipt)
        self.client = ArmClient(f"/{options.name}", self.latency, self.group.check, options.keep_plans)
        self.truth.wait_for("simulated SO-100", lambda truth: True, READY_S, self.group.check)
        self.client.wait_ready(READY_S)

    def prepare(self, seed: int, report: Report = lambda progress: None) -> Scene:
        """Switch the torque on and set the scene `seed` up."""
        report(Progress("setting the scene"))
        if not self.client.can_move:  # first, or the arm would fall out of the scene's pose
            self.client.torque()
            self.truth.wait_for(
                "torque", lambda t: all(t.torque) and self.client.can_move, 5.0, self.group.check
            )
        before = self.truth.latest.resets if self.truth.latest else 0
        self.side.request("reset", task=self.options.task, seed=seed)
        self.truth.wait_for(f"scene {seed}", lambda t: t.resets != before, 5.0, self.group.check)
        time.sleep(0.15)  # until driver and perception have seen the new scene
        return Scene.random(self.options.task, seed)  # type: ignore[arg-type]

    def run(self, episode: int, seed: int, report: Report = lambda progress: None) -> EpisodeResult:
        """One episode of the scene `seed`."""
        scene = self.scene = self.prepare(seed, report)
        self.truth.start_record()
        self.client.snapshots.clear()
        self.latency.reset()
        self.cpu.start(
            {name: self.group.pid(name) for name in self.group.processes} | {"operator": os.getpid()}
        )
        goal_sent_ns = time.monotonic_ns()
        goal = self.client.send_goal(scene.goal, 0.0, TIME_LIMIT_S)
        self._follow(goal, scene, report, goal_sent_ns)
        cpu = self.cpu.stop()
        outcome = goal.result() if goal.done else None
        time.sleep(SETTLE_S)  # the last timing rows and receipts are still on their way, too
        timing = summarise(self.latency.join(), WARM_UP_CYCLES)
        rows = self.latency.join()[WARM_UP_CYCLES:]
        judged = score(self.truth.record(), scene, self.options.task, goal_sent_ns)
        return EpisodeResult(
            episode=episode,
            task=self.options.task,
            seed=seed,
            **vars(judged),
            action_success=bool(outcome and outcome.success),
            action_reason=outcome.reason if outcome else "no answer of the planner",
            plans=timing.cycles,
            safe_actions=timing.safe_actions,
            replan_hz=None if np.isnan(timing.replan_hz) else timing.replan_hz,
            planner_ns=[row.planner_ns for row in rows],
            e2e_ns=[row.e2e_ns for row in rows if row.e2e_ns > 0],
            cpu_percent=cpu,
        )

    @property
    def snapshots(self) -> list[PlanSnapshot]:
        """All K candidates at some instants of the last episode (`keep_plans`)."""
        return list(self.client.snapshots)

    @property
    def record(self) -> list[Truth]:
        """Truth of the last episode."""
        return self.truth.record()

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

    def _follow(self, goal: OperatorGoal, scene: Scene, report: Report, goal_sent_ns: int) -> None:
        """Report progress until the planner ends the goal."""
        give_up = goal_sent_ns + int((TIME_LIMIT_S + 2.0) * 1e9)
        phase = "approach"
        while not goal.done and time.monotonic_ns() < give_up:
            self.group.check()
            truth, feedback = self.truth.latest, self.client.feedback
            recent = self.latency.join(last=50)
            e2e = [row.e2e_ns for row in recent if row.e2e_ns > 0]
            if truth is not None:
                phase = phase_of(truth, phase)
            report(
                Progress(
                    phase,
                    float(np.linalg.norm(truth.cube_poses[0, :3] - scene.goal)) if truth else None,
                    feedback.plans_per_second if feedback else None,
                    float(np.median([row.planner_ns for row in recent])) * 1e-6 if recent else None,
                    float(np.median(e2e)) * 1e-6 if e2e else None,
                )
            )
            time.sleep(0.2)


def phase_of(truth: Truth, before: str) -> str:
    """What the arm is doing with the cube in row 0: approach, grasp, carry or release."""
    if truth.touched(0):
        return "carry" if truth.cube_poses[0, 2] > LIFTED_M else "grasp"
    return "release" if before in ("carry", "release") else "approach"
