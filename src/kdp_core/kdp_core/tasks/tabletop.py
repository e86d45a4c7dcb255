"""Tabletop tasks of the SO-100, pick-place and stacking: spec, encoding, ranking costs, success, safe action.

A window holds joint positions and joint targets, absolute in rad; the network counts both from the present
joints. The cube in row 0 is moved: to the goal, or onto the cube in row 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from kdp_core.exceptions import InputError
from kdp_core.sim.so100_geometry import CUBE_M, GRASP_JAW_RAD, HIGH_RAD, JOINTS, LOW_RAD
from kdp_core.sim.so100_kinematics import hand_frame, hand_points
from kdp_core.spec import Channel, Goal, Input, KeyPart, RosField, Spec
from kdp_core.tasks.base import Inputs
from kdp_core.tasks.tabletop_features import features

if TYPE_CHECKING:
    from kdp_core.datasets.episodes import Episode
    from kdp_core.tasks.tabletop_windows import TabletopLabels
    from kdp_core.windows import WindowBatch

TabletopName = Literal["pick_place", "stack"]
CUBES = {"pick_place": 1, "stack": 2}
HORIZON = 16
STRIDE = 3
"""Control cycles of 20 ms between two rows of a window."""
PLACE_TOLERANCE_M = 0.03
STACK_TOLERANCE_M = 0.015
STACK_HEIGHT_TOLERANCE_M = 0.006
OPEN_RAD = GRASP_JAW_RAD + 0.1
"""From here on the jaw is clearly wider than a cube."""
GRIP_RAD = 0.3
"""So far beyond the cube the jaw is commanded to hold it."""

READY_RAD = (-1.97, 1.87, 1.67, 0.0)
"""Lift, elbow, wrist flex and roll of a hand that points down, 15 cm before the base, 10 cm up."""
READY_BEARING_RAD = 1.0
"""Farthest to the side that the base points then."""
RECOVERY_STEP_RAD = 0.05
"""Targets of a recovery are at most so far from where the joints are."""
CLEAR_M = 0.08
"""Height of a grasp point above which a recovery may lower the hand."""


def tabletop_spec(name: TabletopName, horizon: int = HORIZON) -> Spec:
    """The contract of a tabletop task, without normaliser; ``horizon`` 1 is behaviour cloning."""
    limits = tuple((float(low), float(high)) for low, high in zip(LOW_RAD, HIGH_RAD, strict=True))
    stacked = ",".join(f"position[{joint}]" for joint in JOINTS)
    pose = "position.x,position.y,position.z,orientation.x,orientation.y,orientation.z,orientation.w"
    return Spec(
        name=f"so100-{name.replace('_', '-')}",
        task=name,
        rate_hz=50.0,
        stride=STRIDE,
        horizon=horizon,
        state=(Channel(name="joints", unit="rad", size=6, relative_to="joints"),),
        action=(
            Channel(
                name="joint_targets",
                unit="rad",
                size=6,
                limits=limits,
                relative_to="joints",
                ros=RosField(topic="joint_command", type="kdp_msgs/msg/JointCommand", field="positions"),
            ),
        ),
        context=(
            Channel(name="posture", unit="rad", size=6),
            Channel(name="cube", unit="rad, m, m", size=3, frame="arm plane"),
            Channel(name="cube_near", unit="m", size=3, frame="gripper"),
            Channel(name="cube_turn", unit="sin, cos of 4 yaw", size=2, frame="gripper"),
            Channel(name="goal", unit="rad, m, m", size=3, frame="arm plane"),
            Channel(name="cube_to_goal", unit="m", size=4, frame="arm plane"),
        ),
        inputs=(
            Input(
                name="joints",
                unit="rad",
                size=6,
                ros=RosField(topic="joint_states", type="sensor_msgs/msg/JointState", field=f"[{stacked}]"),
            ),
            Input(
                name="cubes",
                unit="m, quaternion xyzw",
                size=7,
                rows=True,
                frame="world",
                ros=RosField(
                    topic="object_poses", type="kdp_msgs/msg/ObjectPoses", field=f"poses[].[{pose}]"
                ),
            ),
            Input(
                name="goal",
                unit="m",
                size=3,
                frame="world",
                ros=RosField(
                    topic="goal_pose", type="geometry_msgs/msg/PoseStamped", field="pose.position.[x,y,z]"
                ),
            ),
        ),
        goal=Goal(mode="context", channels=("goal",)),
        key=(
            KeyPart(channel="posture"),
            KeyPart(channel="cube", scale=2.0),
            KeyPart(channel="cube_near", scale=2.0),
            KeyPart(channel="cube_turn"),
            KeyPart(channel="goal"),
            KeyPart(channel="cube_to_goal", scale=2.0),
        ),
    )


@dataclass(frozen=True)
class TabletopCosts:
    """Weights and limits of the ranking cost (see ``TabletopTask.costs``)."""

    table: float = 50.0
    """Cost per metre that the grasp point is planned below ``lowest_m``, mean over the window."""
    lowest_m: float = 0.008
    largest_jump_rad: float = 0.6


class TabletopTask:
    """Pick-place or stacking with the SO-100.

    ``warm_start``: no candidate keeps the last noise. A noise that means "wait a little" would make whoever
    replans with it wait for ever: with half of 64 candidates kept 55 of 60 scenes succeed, with none all 60.
    """

    warm_start = 0.0

    def __init__(
        self, name: TabletopName = "pick_place", horizon: int = HORIZON, costs: TabletopCosts | None = None
    ) -> None:
        self.name: TabletopName = name
        self.spec = tabletop_spec(name, horizon)
        self.weights = costs or TabletopCosts()

    def encode(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Physical inputs to (state (6,): joints; context (21,)). Raises InputError on too few cubes."""
        joints = np.asarray(inputs["joints"], float)
        return joints, features(joints, self._cube(inputs), self.target(inputs))

    def target(self, inputs: Inputs) -> np.ndarray:
        """Where the centre of the moved cube shall be, (3,) m.

        When stacking this is on top of the lower cube as it lies now, not where it lay when the goal was set.
        """
        if self.name == "pick_place":
            return np.asarray(inputs["goal"], float)
        cubes = inputs["cubes"]
        if len(cubes) < 2:
            raise InputError(f"input 'cubes' must have 2 rows for stacking, got {len(cubes)}")
        top: np.ndarray = cubes[1, :3] + np.array([0.0, 0.0, CUBE_M])
        return top

    def _cube(self, inputs: Inputs) -> np.ndarray:
        cubes = np.asarray(inputs["cubes"], float)
        if len(cubes) < 1:
            raise InputError("input 'cubes' must have at least 1 row, got 0")
        row: np.ndarray = cubes[0]
        return row

    def paths(self, windows: np.ndarray, inputs: Inputs) -> np.ndarray:
        """Windows (K, H, 12) to paths of the grasp point in the world, (K, H, 3) m."""
        return hand_points(windows)

    def costs(
        self,
        windows: np.ndarray,
        inputs: Inputs,
        progress_weight: float = 1.0,
        paths: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ranking cost (K,): planning into the table. Progress is left to the learned score.

        A way measured in metres would rank plans that hurry over those that stop to grasp or let go, so
        ``progress_weight`` has nothing to scale. A plan is valid if it is finite, begins near the present
        joints and leaves the tips of the fingers above the table.
        """
        height = (self.paths(windows, inputs) if paths is None else paths)[..., 2]
        jump = np.abs(windows[:, 0, 6:] - inputs["joints"]).max(axis=1)
        cost = self.weights.table * np.maximum(self.weights.lowest_m - height, 0.0).mean(axis=1)
        finite = np.isfinite(cost) & np.isfinite(jump)
        valid = finite & (jump < self.weights.largest_jump_rad) & (height[:, :3].min(axis=1) > 0.0)
        return np.where(finite, cost, np.inf), valid

    def labeller(self, batch: WindowBatch) -> TabletopLabels:
        """What the scorer learns (``kdp_core.tasks.tabletop_windows``)."""
        from kdp_core.tasks.tabletop_windows import TabletopLabels

        return TabletopLabels(batch, self.spec)

    def track(self, window: np.ndarray, row: int) -> np.ndarray:
        """Joint positions that the plan passes next, (6,) rad."""
        planned: np.ndarray = window[min(row + 1, len(window) - 1), :6].astype(np.float64)
        return planned

    def safe_action(self, inputs: Inputs) -> np.ndarray:
        """Hold the present joints, (6,) rad; a cube between the fingers stays gripped."""
        hold = np.array(inputs["joints"], float)
        if self._held(inputs):
            hold[5] -= GRIP_RAD
        held: np.ndarray = np.clip(hold, LOW_RAD, HIGH_RAD)
        return held

    def recovery_action(self, inputs: Inputs) -> np.ndarray:
        """A step towards ``READY_RAD``, (6,) rad: from folded up or lying on the table no plan begins.

        At most ``RECOVERY_STEP_RAD`` per joint from where it is now, so the arm moves slowly. Near the table
        only joints move that do not lower the hand, if there is one. The base stays where it points, a cube
        between the fingers stays gripped.
        """
        joints = np.asarray(inputs["joints"], float)
        pan = np.clip(joints[0], -READY_BEARING_RAD, READY_BEARING_RAD)
        ready = np.array([pan, *READY_RAD, joints[5]])
        step = np.clip(ready - joints, -RECOVERY_STEP_RAD, RECOVERY_STEP_RAD)
        height = hand_frame(joints)[0][2]
        if height < CLEAR_M:
            alone = [hand_frame(joints + np.where(np.arange(6) == j, step, 0.0))[0][2] for j in range(5)]
            rises = np.array([z >= height for z in alone])
            if (step[:5] * rises).any():
                step[:5] *= rises
        action = joints + step
        action[5] = self.safe_action(inputs)[5]
        limited: np.ndarray = np.clip(action, LOW_RAD, HIGH_RAD)
        return limited

    def _held(self, inputs: Inputs) -> bool:
        """Whether the cube is between closed fingers, as far as inputs tell."""
        gap = self._cube(inputs)[:3] - hand_frame(np.asarray(inputs["joints"], float))[0]
        return bool(inputs["joints"][5] < OPEN_RAD and np.linalg.norm(gap) < 0.5 * CUBE_M)

    def distance(self, inputs: Inputs) -> float:
        """Metres from the moved cube to where it shall be."""
        return float(np.linalg.norm(self._cube(inputs)[:3] - self.target(inputs)))

    def success(self, inputs: Inputs) -> bool:
        """Cube where it shall be and jaw open, as far as inputs tell.

        Whether it rests is for ``kdp_core.sim.tabletop_success``, which knows speeds and contacts.
        """
        off = self._cube(inputs)[:3] - self.target(inputs)
        if self.name == "stack":
            near = np.hypot(off[0], off[1]) <= STACK_TOLERANCE_M and abs(off[2]) <= STACK_HEIGHT_TOLERANCE_M
        else:
            near = np.linalg.norm(off) <= PLACE_TOLERANCE_M
        return bool(near and inputs["joints"][5] > OPEN_RAD)

    def windows(self, episode: Episode) -> WindowBatch:
        """Windows of one recorded episode, see ``kdp_core.tasks.tabletop_windows``."""
        from kdp_core.tasks.tabletop_windows import tabletop_windows

        return tabletop_windows(episode, self)
