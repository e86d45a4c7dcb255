"""What a user does first: start the graph, switch the torque on, send a goal. The arm has fallen by then."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from arm_processes import free_port, wait_until

from kdp_core.sim.so100 import Scene
from kdp_core.sim.so100_kinematics import hand_frame
from kdp_so100_bringup.episode_runner import EpisodeRunner, RunnerOptions


def test_the_first_goal_succeeds_from_where_the_arm_fell(tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + os.getpid() % 40))
    with EpisodeRunner(RunnerOptions(tmp_path / "log", control_port=free_port(), use_launch=False)) as runner:
        runner.start(9001)
        fallen = runner.truth.wait_for(
            "the arm to fall",
            lambda t: hand_frame(t.joints)[0][2] < 0.02 and abs(t.joint_velocity).max() < 0.05,
            20.0,
            runner.group.check,
        )
        assert not any(fallen.torque)
        runner.client.torque()
        wait_until(lambda: runner.client.can_move, 5.0, "the driver takes commands")
        goal = runner.client.send_goal(Scene.random("pick_place", 9001).goal, 0.0, 30.0)
        wait_until(lambda: goal.done, 40.0, "the goal's end")
        assert goal.result().success, goal.result().reason
        assert goal.result().final_distance < 0.03
