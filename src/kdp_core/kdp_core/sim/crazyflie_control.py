"""The Crazyflie firmware's cascade: position P, velocity PI, attitude PI, rate PID, motor mixer.

As in `rigid_body`, every quantity is a number (one drone) or an array (N,) (N drones); `maths` is the
matching set of functions. One departure from the firmware: the attitude error is a rotation vector instead of
a difference of Euler angles. They agree at the tilts that the controller asks for, and the vector has no
singularity when the drone tumbles.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kdp_core.sim.crazyflie_params import CrazyflieParams

Components = tuple[Any, ...]

# Memory of the outer loop: integrals of body vx, vy (m), of vz (m), of z (m s); desired yaw (rad).
OUTER_SIZE = 5
# Memory of the inner loop: integrals of attitude (3) rad s and of rate error (3) rad, last rates (3) rad/s.
INNER_SIZE = 9


class ScalarMaths:
    """Functions of one number."""

    sin, cos, sqrt, arctan2, copysign = math.sin, math.cos, math.sqrt, math.atan2, math.copysign

    @staticmethod
    def clip(value: float, low: float, high: float) -> float:
        """`value` within [low, high]."""
        return low if value < low else high if value > high else value

    @staticmethod
    def largest(a: float, b: float, c: float, d: float) -> float:
        """The largest of four."""
        return max(a, b, c, d)


class ArrayMaths:
    """The same functions of arrays (N,)."""

    sin, cos, sqrt, arctan2, copysign = np.sin, np.cos, np.sqrt, np.arctan2, np.copysign

    @staticmethod
    def clip(value: Any, low: Any, high: Any) -> Any:
        """`value` within [low, high]; without the overhead of np.clip."""
        return np.minimum(np.maximum(value, low), high)

    @staticmethod
    def largest(a: Any, b: Any, c: Any, d: Any) -> Any:
        """The largest of four, element by element."""
        return np.maximum(np.maximum(a, b), np.maximum(c, d))


def heading(quaternion: Components, maths: Any) -> Components:
    """Cosine and sine of the yaw of an xyzw quaternion."""
    x, y, z, w = quaternion
    c, s = 1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z)
    scale = 1.0 / maths.sqrt(c * c + s * s + 1e-300)
    return c * scale, s * scale


def height_to_velocity(
    z: Any, target: Any, integral: Any, params: CrazyflieParams, dt: float, maths: Any
) -> Components:
    """Vertical velocity (m/s) towards height `target` (m), and the new integral (m s).

    The integral rests while the velocity is at its cap, where the firmware winds it up.
    """
    error = target - z
    limit = params.velocity_max
    wanted = params.position_kp * error
    free = (wanted < limit) & (wanted > -limit)
    integral = integral + free * dt * error
    return maths.clip(wanted + params.position_z_ki * integral, -limit, limit), integral


def position_to_velocity(
    error: Components, cos_sin: Components, params: CrazyflieParams, maths: Any
) -> Components:
    """Velocity (m/s) in the yaw frame for a horizontal position error (2) m in the world; capped per axis."""
    c, s = cos_sin
    limit, gain = params.velocity_max, params.position_kp
    vx = maths.clip(gain * (error[0] * c + error[1] * s), -limit, limit)
    vy = maths.clip(gain * (error[1] * c - error[0] * s), -limit, limit)
    return vx, vy


def velocity_to_tilt(
    error: Components, integral: Components, params: CrazyflieParams, dt: float, maths: Any
) -> Any:
    """Roll and pitch (rad, REP-103) for a velocity error (2) m/s in the yaw frame, and new integrals (2)."""
    limit = params.tilt_max
    forward = integral[0] + dt * error[0]
    leftward = integral[1] + dt * error[1]
    pitch = maths.clip(params.velocity_kp * error[0] + params.velocity_ki * forward, -limit, limit)
    roll = maths.clip(params.velocity_kp * error[1] + params.velocity_ki * leftward, -limit, limit)
    radian = math.pi / 180.0
    return -radian * roll, radian * pitch, forward, leftward


def vertical_to_thrust(
    error: Any, integral: Any, params: CrazyflieParams, dt: float, maths: Any
) -> Components:
    """Total thrust (N) for a vertical velocity error (m/s), and the new integral (m)."""
    total = 4.0 * params.newton_per_count
    half_scale = 0.5 * 65.535  # thousands of counts: the firmware's limit of this loop
    bound = half_scale / params.velocity_z_ki if params.velocity_z_ki else 0.0
    integral = maths.clip(integral + dt * error, -bound, bound)
    counts = maths.clip(
        params.velocity_z_kp * error + params.velocity_z_ki * integral, -half_scale, half_scale
    )
    thrust = params.hover_thrust + total * 1000.0 * counts
    return maths.clip(thrust, total * params.thrust_min, 4.0 * params.motor_thrust_max), integral


def attitude_quaternion(roll: Any, pitch: Any, yaw: Any, maths: Any) -> Components:
    """Quaternion xyzw of yaw, then pitch, then roll (rad)."""
    cr, sr = maths.cos(0.5 * roll), maths.sin(0.5 * roll)
    cp, sp = maths.cos(0.5 * pitch), maths.sin(0.5 * pitch)
    cy, sy = maths.cos(0.5 * yaw), maths.sin(0.5 * yaw)
    return (
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )


class InnerLoop:
    """Attitude and rate loops with the mixer; holds constants only, the memory is passed in and out."""

    def __init__(self, params: CrazyflieParams, dt: float, maths: Any) -> None:
        """Convert the gains of `params` once for a period of `dt` seconds."""
        radian = math.pi / 180.0
        self.dt, self.maths, self.thrust_max = dt, maths, params.motor_thrust_max
        self.attitude_kp, self.attitude_ki = params.attitude_kp, params.attitude_ki
        self.attitude_bound = tuple(radian * bound for bound in params.attitude_i_max)
        self.rate_bound = tuple(radian * bound for bound in params.rate_i_max)
        self.rate_kp, self.rate_ki, kd = params.rate_gains
        self.rate_kd = tuple(gain / dt for gain in kd)
        self.yaw_kd = params.attitude_yaw_kd

    def motors(
        self, attitude: Components, rates: Components, target: Components, thrust: Any, memory: Components
    ) -> Any:
        """Motor thrusts (4) N and the new memory (9).

        Args:
            attitude: xyzw (4).
            rates: body rates (3), rad/s.
            target: desired attitude xyzw (4).
            thrust: desired total thrust, N.
            memory: see INNER_SIZE.
        """
        x, y, z, w = attitude
        tx, ty, tz, tw = target
        twice = self.maths.copysign(2.0, w * tw + x * tx + y * ty + z * tz)  # the shorter way round
        errors = (
            twice * (w * tx - x * tw - y * tz + z * ty),
            twice * (w * ty - y * tw - z * tx + x * tz),
            twice * (w * tz - z * tw - x * ty + y * tx),
        )
        dt, clip = self.dt, self.maths.clip
        new_attitude, new_rate, pushes = [], [], []
        for axis in (0, 1, 2):
            error, rate = errors[axis], rates[axis]
            bound = self.attitude_bound[axis]
            integral = clip(memory[axis] + dt * error, -bound, bound)
            wanted = self.attitude_kp[axis] * error + self.attitude_ki[axis] * integral
            if axis == 2:
                wanted = wanted - self.yaw_kd * rate
            new_attitude.append(integral)
            rate_error, bound = wanted - rate, self.rate_bound[axis]
            integral = clip(memory[3 + axis] + dt * rate_error, -bound, bound)
            new_rate.append(integral)
            push = self.rate_kp[axis] * rate_error + self.rate_ki[axis] * integral
            if self.rate_kd[axis]:
                push = push - self.rate_kd[axis] * (rate - memory[6 + axis])
            pushes.append(push)
        return self.mix(thrust, *pushes), (*new_attitude, *new_rate, *rates)

    def mix(self, thrust: Any, roll: Any, pitch: Any, yaw: Any) -> Components:
        """Motor thrusts (4) N. Too much is taken from all four alike, so that torque goes before thrust."""
        share = 0.25 * thrust
        right, left = share - roll, share + roll
        f1, f2 = right - pitch - yaw, right + pitch + yaw
        f3, f4 = left + pitch - yaw, left - pitch + yaw
        most = self.thrust_max
        clip = self.maths.clip
        excess = clip(self.maths.largest(f1, f2, f3, f4) - most, 0.0, most)
        return (
            clip(f1 - excess, 0.0, most),
            clip(f2 - excess, 0.0, most),
            clip(f3 - excess, 0.0, most),
            clip(f4 - excess, 0.0, most),
        )
