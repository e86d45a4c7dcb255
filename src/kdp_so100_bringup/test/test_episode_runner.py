"""Whole episodes and faults over the graph: simulated bus, driver, perception, expert planner, monitor."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import expert_graph
from arm_processes import free_port, wait_until
from geometry_msgs.msg import Pose
from kdp_msgs.msg import ObjectPoses, RobotStatus
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from kdp_core.sim.so100_geometry import JOINTS
from kdp_so100_bringup import episode_runner
from kdp_so100_bringup.episode_runner import EpisodeRunner, RunnerOptions


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(61 + os.getpid() % 40))
        patch.setattr(episode_runner, "GRAPH", expert_graph.GRAPH)
        folder = tmp_path_factory.mktemp("arm")
        options = RunnerOptions(folder / "log", control_port=free_port(), use_launch=False)
        with EpisodeRunner(options) as runner:
            runner.start(1)
            yield runner


def velocity(runner):
    return float(np.abs(runner.truth.latest.joint_velocity).max())


def carry(runner, seed):
    """Send a goal and wait until the cube is in the air; returns the goal."""
    scene = runner.prepare(seed)
    goal = runner.client.send_goal(scene.goal, 0.0, 30.0)
    runner.truth.wait_for("cube in the air", lambda t: t.cube_poses[0, 2] > 0.04, 40.0, runner.group.check)
    return goal


def second_publisher(runner, kind, topic):
    """A publisher beside the topic's own, known to its readers: on a busy machine that takes seconds."""
    publisher = runner.client.node.create_publisher(kind, topic, QoSProfile(depth=1))
    wait_until(lambda: publisher.get_subscription_count() > 0, 20.0, f"{topic} has readers")
    return publisher


def test_an_episode_succeeds_and_every_figure_was_measured(runner):
    result = runner.run(1, 7)
    assert result.success, result
    assert result.action_success and result.grasped and result.dropped == 0
    assert result.tts_s is not None and 1.0 < result.tts_s < 30.0
    assert result.final_distance_m < 0.03 and 0.1 < result.path_length_m < 3.0
    assert len(result.planner_ns) > 50 and min(result.planner_ns) > 0
    assert len(result.e2e_ns) > 0.8 * len(result.planner_ns)
    assert np.median(result.e2e_ns) > np.median(result.planner_ns)
    assert {"planner", "so100_driver", "so100_sim", "object_pose_server"} <= set(result.cpu_percent)


def test_a_cancelled_goal_leaves_the_cube_in_the_hand(runner):
    """First the planner holds, then the driver."""
    goal = carry(runner, 11)
    goal.cancel()
    wait_until(lambda: goal.done, 5.0, "cancelled")
    assert not goal.result().success and "canceled" in goal.result().reason
    wait_until(lambda: velocity(runner) < 0.05, 3.0, "standing still")
    time.sleep(1.5)  # the planner's hold ends, the driver's begins
    wait_until(lambda: runner.client.status.state == RobotStatus.HOLDING, 3.0, "the driver holds")
    assert runner.truth.latest.cube_poses[0, 2] > 0.03 and runner.truth.latest.touched(0)


def test_poses_that_are_not_finite_stop_the_plans_and_end_the_goal(runner):
    """Perception breaks: no command goes out from such a state; the arm holds.

    The sound perception is suspended: on a busy machine enough of its poses would come between the others.
    """
    publisher = second_publisher(runner, ObjectPoses, "object_poses")
    goal = carry(runner, 8)
    message = ObjectPoses(names=["cube_0"], poses=[Pose()])
    message.header.frame_id = "world"
    message.poses[0].position.x = float("nan")
    sound = runner.group.pid("object_pose_server")
    end = time.monotonic() + 60.0
    publisher.publish(message)
    os.kill(sound, signal.SIGSTOP)
    try:
        while not goal.done and time.monotonic() < end:
            publisher.publish(message)
            time.sleep(0.002)
    finally:
        os.kill(sound, signal.SIGCONT)
    runner.client.node.destroy_publisher(publisher)
    assert goal.done and not goal.result().success
    assert "not finite" in goal.result().reason and "object_poses" in goal.result().reason
    wait_until(lambda: runner.client.status.state == RobotStatus.HOLDING, 5.0, "holding")
    assert runner.client.status.fault == "command_timeout"
    wait_until(lambda: velocity(runner) < 0.05, 3.0, "standing still")
    assert all(runner.truth.latest.torque)


def test_joint_states_that_are_not_finite_send_no_command(runner):
    publisher = second_publisher(runner, JointState, "joint_states")
    goal = carry(runner, 9)
    message = JointState(name=list(JOINTS), position=[float("nan")] * 6)
    before = runner.client.status.commands_refused
    for _ in range(60):
        publisher.publish(message)
        time.sleep(0.005)
        assert velocity(runner) < 6.0
    runner.client.node.destroy_publisher(publisher)
    wait_until(lambda: goal.done, 20.0, "goal ended after the disturbance")
    assert runner.client.status.commands_refused == before  # nothing that is not finite was ever commanded


def test_a_killed_planner_leaves_the_arm_holding_then_lowering(runner):
    """Last in this file: the planner does not come back."""
    carry(runner, 10)
    os.kill(runner.group.pid("planner"), signal.SIGKILL)
    wait_until(lambda: runner.client.status.state == RobotStatus.HOLDING, 3.0, "holding")
    assert runner.client.status.fault == "command_timeout"
    wait_until(lambda: velocity(runner) < 0.05, 3.0, "standing still")
    assert runner.truth.latest.cube_poses[0, 2] > 0.03  # what it had, it still has
    assert [ended.name for ended in runner.group.ended()] == ["planner"]
    wait_until(lambda: runner.client.status.state == RobotStatus.LANDING, 13.0, "lowering")
    wait_until(lambda: runner.client.off, 15.0, "torque off")
    codes = runner.stop()
    assert codes.pop("planner") == -signal.SIGKILL and set(codes.values()) == {0}
