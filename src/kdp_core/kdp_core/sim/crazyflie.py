"""N simulated Crazyflies under the firmware's cascaded controller, numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdp_core.exceptions import InputError
from kdp_core.sim import crazyflie_control as control
from kdp_core.sim.crazyflie_params import CrazyflieParams
from kdp_core.sim.rigid_body import BODY_SIZE, RigidBody

FloatArray = NDArray[np.float64]

OUTER_PERIOD = 0.01  # s, of the firmware's position and velocity loops

# Rows of the state (rows, N): the body, its acceleration, target attitude and thrust, the loops' memories.
ACCELERATION = BODY_SIZE
TARGET = ACCELERATION + 3
OUTER = TARGET + 5
INNER = OUTER + control.OUTER_SIZE
ROWS = INNER + control.INNER_SIZE


class Crazyflie:
    """N independent drones in one setpoint mode, physics and inner loops every `dt`, outer loops at 100 Hz.

    `position` (N, 3) m, `velocity` (N, 3) m/s world, `quaternion` (N, 4) xyzw body to world, `body_rates`
    (N, 3) rad/s and `acceleration` (N, 3) m/s^2 world are writable views of the state. The ground is z = 0:
    a drone that reaches it stops there, upright. Setpoints hold until the next one; they are (N, ...) or one
    for all, and InputError is raised, and the old one kept, if they are not finite.
    """

    def __init__(self, n: int, params: CrazyflieParams | None = None, dt: float = 0.002) -> None:
        """Start `n` drones at the origin with motors off; `dt` in seconds must divide 10 ms."""
        if n < 1:
            raise InputError(f"Crazyflie: n must be >= 1, got {n}")
        self._outer_every = round(OUTER_PERIOD / dt) if dt > 0 else 0
        if self._outer_every < 1 or abs(self._outer_every * dt - OUTER_PERIOD) > 1e-9:
            raise InputError(f"Crazyflie: dt must divide 0.01 s, got {dt}")
        self.n, self.dt = n, dt
        self.params = CrazyflieParams() if params is None else params
        self._state = np.zeros((ROWS, n))
        self._count = 0
        self._mode = "off"
        self._setpoint = np.zeros((4, n))
        self._maths = control.ScalarMaths if n == 1 else control.ArrayMaths
        self._rigid_body = RigidBody(self.params, dt)
        self._inner = control.InnerLoop(self.params, dt, self._maths)
        self.reset(slice(None), np.zeros(3))

    @property
    def position(self) -> FloatArray:
        """(N, 3) m, world."""
        return self._state[0:3].T

    @property
    def velocity(self) -> FloatArray:
        """(N, 3) m/s, world."""
        return self._state[3:6].T

    @property
    def quaternion(self) -> FloatArray:
        """(N, 4) xyzw, body to world."""
        return self._state[6:10].T

    @property
    def body_rates(self) -> FloatArray:
        """(N, 3) rad/s, body axes."""
        return self._state[10:13].T

    @property
    def motor_thrusts(self) -> FloatArray:
        """(N, 4) N: front right, back right, back left, front left."""
        return self._state[13:17].T

    @property
    def acceleration(self) -> FloatArray:
        """(N, 3) m/s^2, world, over the last step; 0 at rest, -9.81 in z in free fall."""
        return self._state[ACCELERATION : ACCELERATION + 3].T

    @property
    def target_attitude(self) -> FloatArray:
        """(N, 4) xyzw that the outer loop asks of the inner one."""
        return self._state[TARGET : TARGET + 4].T

    @property
    def target_thrust(self) -> FloatArray:
        """(N,) total thrust that the outer loop asks for, N."""
        return self._state[TARGET + 4]

    @property
    def mode(self) -> str:
        """Current setpoint mode: off, velocity_world, hover, position or level."""
        return self._mode

    def reset(self, index: Any, position: ArrayLike, yaw: ArrayLike = 0.0, hovering: bool = False) -> None:
        """Put drones at rest and level.

        Args:
            index: which drones: a number, slice or index array.
            position: (3,) or (len(index), 3), m; z >= 0.
            yaw: rad, one or per drone.
            hovering: motors already carry the weight (to start in flight) instead of standing still.
        """
        chosen = np.atleast_1d(np.arange(self.n)[index])
        position = _finite("position", position, (len(chosen), 3))
        yaw = _finite("yaw", yaw, (len(chosen),))
        if (position[:, 2] < 0).any():
            raise InputError("reset: position z must be >= 0 (the ground)")
        fresh = np.zeros((ROWS, len(chosen)))
        fresh[0:3] = position.T
        fresh[8], fresh[9] = np.sin(0.5 * yaw), np.cos(0.5 * yaw)
        fresh[TARGET : TARGET + 4] = fresh[6:10]
        fresh[OUTER + 4] = yaw
        if hovering:
            fresh[13:17] = 0.25 * self.params.hover_thrust
            fresh[TARGET + 4] = self.params.hover_thrust
        self._state[:, chosen] = fresh

    def velocity_world(self, velocity: ArrayLike, yaw_rate: ArrayLike = 0.0) -> None:
        """Track a velocity (N, 3) or (3,) m/s in the world; yaw_rate rad/s."""
        velocity = _finite("velocity", velocity, (self.n, 3))
        self._set("velocity_world", *velocity.T, _finite("yaw_rate", yaw_rate, (self.n,)))

    def hover(self, vx_body: ArrayLike, vy_body: ArrayLike, yaw_rate: ArrayLike, z: ArrayLike) -> None:
        """Track a horizontal velocity (m/s, yaw frame) at height z (m); yaw_rate rad/s."""
        named = {"vx_body": vx_body, "vy_body": vy_body, "z": z, "yaw_rate": yaw_rate}
        self._set("hover", *(_finite(name, value, (self.n,)) for name, value in named.items()))

    def position_setpoint(self, position: ArrayLike, yaw: ArrayLike = 0.0) -> None:
        """Fly to a position (N, 3) or (3,) m with yaw (rad), at 1 m/s per axis or less."""
        position = _finite("position", position, (self.n, 3))
        self._set("position", *position.T, _finite("yaw", yaw, (self.n,)))

    def level(self) -> None:
        """Zero roll, pitch and yaw rate, hold the height of the first call. Drifts with the speed it has."""
        if self._mode != "level":
            nothing = np.zeros(self.n)
            self._set("level", nothing, nothing, self._state[2].copy(), nothing)

    def motors_off(self) -> None:
        """Stop the motors; the drone falls."""
        self._set("off", *np.zeros((4, self.n)))

    def _set(self, mode: str, *rows: FloatArray) -> None:
        self._mode = mode
        self._setpoint = np.stack(rows)

    def step(self, n_steps: int = 1) -> None:
        """Advance n_steps x dt seconds."""
        scalar = self.n == 1
        # A copy: components stay valid while rows are written back one by one below.
        state = tuple(self._state[:, 0].tolist()) if scalar else tuple(self._state.copy())
        setpoint = tuple(self._setpoint[:, 0].tolist()) if scalar else tuple(self._setpoint)
        body = before = state[:BODY_SIZE]
        target, outer, inner = state[TARGET:OUTER], state[OUTER:INNER], state[INNER:]
        running = self._mode != "off"
        commands: tuple[Any, ...] = (0.0, 0.0, 0.0, 0.0)
        for _ in range(n_steps):
            if self._count % self._outer_every == 0:
                target, outer = self._outer_loop(body, outer, setpoint)
                if not running:
                    inner = (0.0,) * control.INNER_SIZE
            self._count += 1
            if running:
                commands, inner = self._inner.motors(body[6:10], body[10:13], target[:4], target[4], inner)
            before, body = body, self._rigid_body.advance(body, commands)
            airborne = body[2] > 0.0
            if not (airborne if scalar else airborne.all()):
                body, inner = self._land(airborne, body, inner)
        if n_steps > 0:
            acceleration = [(body[axis] - before[axis]) / self.dt for axis in (3, 4, 5)]
            for row, value in enumerate((*body, *acceleration, *target, *outer, *inner)):
                self._state[row] = value

    def _outer_loop(self, body: Any, outer: Any, setpoint: Any) -> tuple[Any, Any]:
        """One period of the position and velocity loops: target attitude and thrust, and the new memory."""
        mode, maths, params = self._mode, self._maths, self.params
        vx, vy, vz, quaternion = body[3], body[4], body[5], body[6:10]
        sum_x, sum_y, sum_vz, sum_z, yaw = outer
        c, s = control.heading(quaternion, maths)
        if mode == "off":
            yaw = maths.arctan2(s, c)
            upright = control.attitude_quaternion(0.0, 0.0, yaw, maths)
            return (*upright, 0.0), (0.0, 0.0, 0.0, 0.0, yaw)

        a, b, third, fourth = setpoint
        yaw = fourth if mode == "position" else yaw + OUTER_PERIOD * fourth
        if mode == "velocity_world":
            want_x, want_y, want_z = a * c + b * s, b * c - a * s, third
        else:
            want_x, want_y = a, b
            want_z, sum_z = control.height_to_velocity(body[2], third, sum_z, params, OUTER_PERIOD, maths)
        if mode == "position":
            want_x, want_y = control.position_to_velocity((a - body[0], b - body[1]), (c, s), params, maths)

        thrust, sum_vz = control.vertical_to_thrust(want_z - vz, sum_vz, params, OUTER_PERIOD, maths)
        if mode == "level":
            roll, pitch = 0.0, 0.0
        else:
            error = (want_x - (vx * c + vy * s), want_y - (vy * c - vx * s))
            roll, pitch, sum_x, sum_y = control.velocity_to_tilt(
                error, (sum_x, sum_y), params, OUTER_PERIOD, maths
            )
        attitude = control.attitude_quaternion(roll, pitch, yaw, maths)
        return (*attitude, thrust), (sum_x, sum_y, sum_vz, sum_z, yaw)

    def _land(self, airborne: Any, body: Any, inner: Any) -> tuple[Any, Any]:
        """Ground contact: drones at or below z = 0 stand still and upright and keep their heading."""
        px, py = body[0:2]
        c, s = control.heading(body[6:10], self._maths)
        upright = control.attitude_quaternion(0.0, 0.0, self._maths.arctan2(s, c), self._maths)
        at_rest = (px, py, 0.0, 0.0, 0.0, 0.0, *upright, 0.0, 0.0, 0.0, *body[13:17])
        empty = (0.0,) * control.INNER_SIZE
        if self.n == 1:
            return at_rest, empty

        def choose(flying: Any, standing: Any) -> Any:
            return tuple(np.where(airborne, f, g) for f, g in zip(flying, standing, strict=True))

        return choose(body, at_rest), choose(inner, empty)


def _finite(name: str, value: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """`value` as a new float64 array broadcast to `shape`; InputError if it is not finite or does not fit."""
    try:
        array = np.array(np.broadcast_to(np.asarray(value, dtype=np.float64), shape))
    except (TypeError, ValueError):
        raise InputError(f"setpoint {name}: expected shape {shape} or one value for all") from None
    if not np.isfinite(array).all():
        raise InputError(f"setpoint {name}: must be finite, got {np.asarray(value).tolist()}")
    return array
