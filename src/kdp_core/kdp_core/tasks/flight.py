"""Flight through poles: the spec, what the planner sees, how a plan is judged, and the safe action.

The planner sees the goal relative to the drone, its velocity and a local grid of clearances. A window holds
the displacement from where it was planned, the velocity and the velocity command, so plans do not depend on
where the arena lies.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from kdp_core.exceptions import InputError
from kdp_core.spec import Channel, Goal, Input, KeyPart, RosField, Spec
from kdp_core.tasks.base import Inputs
from kdp_core.tasks.flight_geometry import (
    GRID_CELLS,
    FlightCosts,
    clearance_grid,
    clearance_planes,
    contact_cost,
    near,
    rotate_one,
)

if TYPE_CHECKING:
    from kdp_core.datasets.episodes import Episode
    from kdp_core.tasks.flight_labels import FlightLabels
    from kdp_core.windows import WindowBatch

GOAL_TOLERANCE_M = 0.2
HORIZON = 32
SPEED_LIMIT_M_S = 0.8
QUATERNION_TOLERANCE = 0.05


def flight_spec(horizon: int = HORIZON) -> Spec:
    """The contract of the flight task, without normaliser; ``horizon`` 1 is behaviour cloning."""
    odom = {"topic": "odom", "type": "nav_msgs/msg/Odometry"}
    command = RosField(topic="cmd_velocity_world", type="kdp_msgs/msg/VelocityWorld", field="vel.[x,y,z]")
    return Spec(
        name="crazyflie-poles",
        task="flight",
        rate_hz=50.0,
        stride=5,
        horizon=horizon,
        state=(
            Channel(name="displacement", unit="m", size=3, frame="world", limits=(-4.0, 4.0)),
            Channel(name="velocity", unit="m/s", size=3, frame="world", limits=(-2.0, 2.0)),
        ),
        action=(
            Channel(
                name="velocity_command",
                unit="m/s",
                size=3,
                frame="world",
                limits=(-SPEED_LIMIT_M_S, SPEED_LIMIT_M_S),
                rate_limit=4.0,
                ros=command,
            ),
        ),
        context=(
            Channel(name="relative_goal", unit="m", size=3, frame="world"),
            Channel(name="clearance", unit="m", size=GRID_CELLS**2, frame="world"),
        ),
        inputs=(
            Input(
                name="position",
                unit="m",
                size=3,
                frame="world",
                ros=RosField(**odom, field="pose.pose.position.[x,y,z]"),
            ),
            Input(
                name="orientation",
                unit="quaternion xyzw",
                size=4,
                ros=RosField(**odom, field="pose.pose.orientation.[x,y,z,w]"),
            ),
            Input(
                name="velocity_body",
                unit="m/s",
                size=3,
                frame="base_link",
                ros=RosField(**odom, field="twist.twist.linear.[x,y,z]"),
            ),
            Input(
                name="poles",
                unit="m (x, y, radius)",
                size=3,
                rows=True,
                frame="world",
                ros=RosField(
                    topic="obstacles",
                    type="kdp_msgs/msg/Obstacles",
                    field="cylinders[].[center.x,center.y,radius]",
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
        goal=Goal(mode="context", channels=("relative_goal",)),
        key=(
            KeyPart(channel="velocity"),
            KeyPart(channel="relative_goal"),
            KeyPart(channel="clearance", scale=0.3),
        ),
    )


class FlightTask:
    """The flight task; ``costs`` may be tuned by users who know their airspace."""

    def __init__(self, costs: FlightCosts | None = None, horizon: int = HORIZON) -> None:
        self.spec = flight_spec(horizon)
        self.weights = costs or FlightCosts()

    def encode(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Physical inputs to (state (6,): zero displacement and world velocity; context (124,)).

        Raises InputError if the orientation is no unit quaternion: it would scale the velocity.
        """
        norm = math.hypot(*inputs["orientation"].tolist())
        if not abs(norm - 1.0) < QUATERNION_TOLERANCE:
            raise InputError(f"input 'orientation' must be a unit quaternion, got one of norm {norm:.3g}")
        position = inputs["position"]
        state = np.zeros(6)
        state[3:] = rotate_one(inputs["orientation"], inputs["velocity_body"])
        context = np.empty(3 + GRID_CELLS**2)
        context[:3] = inputs["goal"] - position
        context[3:] = clearance_grid(position, inputs["poles"])
        return state, context

    def paths(self, windows: np.ndarray, inputs: Inputs) -> np.ndarray:
        """Windows (K, H, 9) to positions in the world, (K, H, 3) m."""
        return inputs["position"].astype(windows.dtype) + windows[..., :3]

    def costs(
        self,
        windows: np.ndarray,
        inputs: Inputs,
        progress_weight: float = 1.0,
        paths: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ranking cost (K,): shortfall of clearance below the margin, hits, and distance left to the goal.

        The distance is half the closest that the plan comes to the goal and half its mean over the window,
        so that plans which get there sooner win: replanning would put off the others for ever. It leads into
        dead ends; ``progress_weight`` scales it. A plan is valid if it is finite and touches nothing within
        its first ``valid_rows`` rows.
        """
        position = inputs["position"]
        moved = np.ascontiguousarray(windows[..., :3].transpose(2, 0, 1), dtype=np.float32)  # (3, K, H)
        x, y = moved[:2] + position[:2].astype(np.float32)[:, None, None]
        gap = clearance_planes(x, y, near(inputs["poles"], position, moved).astype(np.float32))
        moved -= (inputs["goal"] - position).astype(np.float32)[:, None, None]
        moved *= moved
        distance = np.sqrt(moved[0] + moved[1] + moved[2])
        left = 0.5 * (distance.min(axis=1) + np.add.reduce(distance, axis=1) / distance.shape[1])
        cost = contact_cost(gap, self.weights) + progress_weight * self.weights.distance * left
        finite = np.isfinite(cost)
        valid = finite & (gap[:, : self.weights.valid_rows].min(axis=1) >= 0.0)
        return np.where(finite, cost, np.inf), valid

    def labeller(self, batch: WindowBatch) -> FlightLabels | None:
        """What the scorer learns (``kdp_core.tasks.flight_labels``); None if the data name no worlds."""
        from kdp_core.tasks.flight_labels import FlightLabels

        return FlightLabels(batch) if (batch.scene >= 0).all() else None

    def track(self, window: np.ndarray, row: int) -> np.ndarray:
        """Velocity that follows the planned positions instead of the planned command, (3,) m/s."""
        row = min(row, len(window) - 2)
        velocity: np.ndarray = (window[row + 1, :3] - window[row, :3]).astype(np.float64) / self.spec.step_s
        return velocity

    def safe_action(self, inputs: Inputs) -> np.ndarray:
        """Brake: zero velocity, (3,)."""
        return np.zeros(3)

    def distance(self, inputs: Inputs) -> float:
        """Metres from the drone to the goal."""
        return float(np.linalg.norm(inputs["goal"] - inputs["position"]))

    def success(self, inputs: Inputs) -> bool:
        """Within 0.2 m of the goal."""
        return self.distance(inputs) <= GOAL_TOLERANCE_M

    def windows(self, episode: Episode) -> WindowBatch:
        """Windows of one recorded flight, see ``kdp_core.tasks.flight_windows``."""
        from kdp_core.tasks.flight_windows import flight_windows

        return flight_windows(episode, self.spec)
