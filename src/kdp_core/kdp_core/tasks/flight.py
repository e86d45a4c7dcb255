"""Flight through poles: the spec, what the planner sees, how a plan is judged, and the safe action.

The planner sees the goal relative to the drone, its velocity and a local grid of clearances. A window holds
the displacement from where it was planned, the velocity and the velocity command, so plans do not depend on
where the arena lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kdp_core.spec import Channel, Goal, Input, KeyPart, RosField, Spec
from kdp_core.tasks.base import Inputs

if TYPE_CHECKING:
    from kdp_core.datasets.episodes import Episode
    from kdp_core.tasks.flight_labels import FlightLabels
    from kdp_core.windows import WindowBatch

GRID_CELLS = 11
GRID_STEP_M = 0.25
CLEARANCE_CAP_M = 0.75
DRONE_RADIUS_M = 0.10
FENCE_LOW_M = (0.0, -2.0, 0.0)
FENCE_HIGH_M = (6.0, 2.0, 2.0)
GOAL_TOLERANCE_M = 0.2
HORIZON = 32
SPEED_LIMIT_M_S = 0.8

_offsets = (np.arange(GRID_CELLS) - GRID_CELLS // 2) * GRID_STEP_M
GRID_OFFSETS_M = np.stack(np.meshgrid(_offsets, _offsets, indexing="ij"), axis=-1).reshape(-1, 2)


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


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Rotate vectors (…, 3) by unit quaternions xyzw (…, 4)."""
    x, y, z, w = (quaternion[..., i] for i in range(4))
    a, b, c = (vector[..., i] for i in range(3))
    # t = 2 q x v; v' = v + w t + q x t, written out because np.cross costs more than all the rest here
    t, u, v = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    return np.stack(
        [a + w * t + y * v - z * u, b + w * u + z * t - x * v, c + w * v + x * u - y * t], axis=-1
    )


def clearance(points: np.ndarray, poles: np.ndarray) -> np.ndarray:
    """Distance from the drone's surface to the nearest pole or fence wall, m.

    points: (…, 2 or 3) drone centres; poles: (P, 3) as x, y, radius, or (…, P, 3) broadcasting against
    points. Returns (…), negative in contact.
    """
    x, y = np.ascontiguousarray(points[..., 0]), np.ascontiguousarray(points[..., 1])
    walls = np.minimum(
        np.minimum(x - FENCE_LOW_M[0], FENCE_HIGH_M[0] - x),
        np.minimum(y - FENCE_LOW_M[1], FENCE_HIGH_M[1] - y),
    )
    if poles.shape[-2]:
        # Poles first, so that the inner loops run over points; a sum's root is quicker than hypot.
        if poles.ndim == 2:
            px, py, radius = poles.T.reshape(3, -1, *[1] * x.ndim)
        else:
            px, py, radius = np.moveaxis(poles, (-1, -2), (0, 1))
        dx, dy = x - px, y - py
        walls = np.minimum(walls, (np.sqrt(dx * dx + dy * dy) - radius).min(axis=0))
    return walls - DRONE_RADIUS_M


def clearance_grid(position: np.ndarray, poles: np.ndarray) -> np.ndarray:
    """Clearance of the cells around the drone, (121,), x-major, capped to +-0.75 m."""
    return np.clip(clearance(position[:2] + GRID_OFFSETS_M, poles), -CLEARANCE_CAP_M, CLEARANCE_CAP_M)


@dataclass(frozen=True)
class FlightCosts:
    """Weights of the ranking cost (see ``FlightTask.costs``); margins in m, ``valid_rows`` in window rows."""

    margin_m: float = 0.12
    clearance: float = 8.0
    hit: float = 8.0
    distance: float = 1.0
    valid_rows: int = 12


def contact_cost(
    paths: np.ndarray, poles: np.ndarray, weights: FlightCosts | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Paths (…, H, 3) to (cost of coming close or hitting (…), clearance (…, H) m).

    Shortfall of clearance below the margin counts up to contact, so a plan deep inside an obstacle costs no
    more than ``clearance + hit``.
    """
    w = weights or FlightCosts()
    gap = clearance(paths, poles)
    shortfall = np.clip(1.0 - gap / w.margin_m, 0.0, 1.0).mean(axis=-1)
    hits = (gap < 0.0).mean(axis=-1)
    return w.clearance * shortfall + w.hit * hits, gap


def _near(poles: np.ndarray, position: np.ndarray, paths: np.ndarray) -> np.ndarray:
    """The poles (P', 3) that any of the paths could come within a metre of; the others cannot matter."""
    moved = paths - position.astype(paths.dtype)
    reach = float(np.nan_to_num(np.sqrt(np.max(moved * moved) * 2.0), nan=np.inf, posinf=np.inf))
    away = np.hypot(poles[:, 0] - position[0], poles[:, 1] - position[1]) - poles[:, 2]
    return poles[away < reach + 1.0]


class FlightTask:
    """The flight task; ``costs`` may be tuned by users who know their airspace."""

    def __init__(self, costs: FlightCosts | None = None, horizon: int = HORIZON) -> None:
        self.spec = flight_spec(horizon)
        self.weights = costs or FlightCosts()

    def encode(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Physical inputs to (state (6,): zero displacement and world velocity; context (124,))."""
        position = inputs["position"]
        velocity = rotate(inputs["orientation"], inputs["velocity_body"])
        context = np.concatenate([inputs["goal"] - position, clearance_grid(position, inputs["poles"])])
        return np.concatenate([np.zeros(3), velocity]), context

    def paths(self, windows: np.ndarray, inputs: Inputs) -> np.ndarray:
        """Windows (K, H, 9) to positions in the world, (K, H, 3) m."""
        return inputs["position"].astype(windows.dtype) + windows[..., :3]

    def costs(
        self, windows: np.ndarray, inputs: Inputs, progress_weight: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ranking cost (K,): shortfall of clearance below the margin, hits, and distance left to the goal.

        The distance is half the closest that the plan comes to the goal and half its mean over the window,
        so that plans which get there sooner win: replanning would put off the others for ever. It leads into
        dead ends; ``progress_weight`` scales it. A plan is valid if it is finite and touches nothing within
        its first ``valid_rows`` rows.
        """
        paths = self.paths(windows, inputs).astype(np.float32)
        poles = _near(inputs["poles"], inputs["position"], paths).astype(np.float32)
        cost, gap = contact_cost(paths, poles, self.weights)
        x, y, z = np.moveaxis(paths - inputs["goal"].astype(np.float32), -1, 0)
        distance = np.sqrt(x * x + y * y + z * z)
        left = 0.5 * (distance.min(axis=-1) + distance.mean(axis=-1))
        cost = cost + progress_weight * self.weights.distance * left
        valid = np.isfinite(cost) & (gap[:, : self.weights.valid_rows] >= 0.0).all(axis=1)
        return np.where(np.isfinite(cost), cost, np.inf), valid

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
