"""Rigid body of a quadrotor with first-order motors and linear drag, one time step.

Every quantity is a number (one drone) or an array (N,) (N drones): the arithmetic is the same, plain floats
being ten times faster than numpy for one drone. That is why the vectors are written out by component.
"""

from __future__ import annotations

from typing import Any

from kdp_core.sim.crazyflie_params import GRAVITY, CrazyflieParams

Components = tuple[Any, ...]

# Position (3) m, velocity (3) m/s world, quaternion (4) xyzw body to world, body rates (3) rad/s, thrust of
# the motors (4) N: front right, back right, back left, front left.
BODY_SIZE = 17


class RigidBody:
    """Newton and Euler for `params` with a period of `dt` seconds; holds constants only."""

    def __init__(self, params: CrazyflieParams, dt: float) -> None:
        """Fold the constants once."""
        self.dt = dt
        self.lag = dt / (params.motor_lag + dt)  # backward Euler: stable for any time constant
        self.fall = dt * GRAVITY
        self.per_mass = dt / params.mass
        # Drag across the body acts on the whole velocity, the difference to the axial one along z.
        self.keep = 1.0 - dt * params.drag[0] / params.mass
        self.axial = dt * (params.drag[2] - params.drag[0]) / params.mass
        ix, iy, iz = params.inertia
        self.roll, self.pitch = dt * params.motor_offset / ix, dt * params.motor_offset / iy
        self.yaw = dt * params.thrust_to_torque / iz
        self.gyro = (dt * (iy - iz) / ix, dt * (iz - ix) / iy, dt * (ix - iy) / iz)

    def advance(self, body: Components, commands: Components) -> Components:
        """Integrate one period and return the new body (17).

        Constant acceleration is integrated exactly; a constant rate to fifth order in the angle of a step.

        Args:
            body: 17 components, see BODY_SIZE.
            commands: thrusts (4) asked of the motors, N.
        """
        px, py, pz, vx, vy, vz, qx, qy, qz, qw, wx, wy, wz, f1, f2, f3, f4 = body
        lag, half = self.lag, 0.5 * self.dt

        f1 = f1 + lag * (commands[0] - f1)
        f2 = f2 + lag * (commands[1] - f2)
        f3 = f3 + lag * (commands[2] - f3)
        f4 = f4 + lag * (commands[3] - f4)
        right, left, front, back = f1 + f2, f3 + f4, f1 + f4, f2 + f3

        # The body z axis in the world: third column of the rotation matrix.
        zx, zy, zz = 2.0 * (qx * qz + qw * qy), 2.0 * (qy * qz - qw * qx), 1.0 - 2.0 * (qx * qx + qy * qy)
        push = self.per_mass * (right + left) - self.axial * (zx * vx + zy * vy + zz * vz)
        nvx = self.keep * vx + zx * push
        nvy = self.keep * vy + zy * push
        nvz = self.keep * vz + zz * push - self.fall
        px, py, pz = px + half * (vx + nvx), py + half * (vy + nvy), pz + half * (vz + nvz)

        nwx = wx + self.roll * (left - right) + self.gyro[0] * wy * wz
        nwy = wy + self.pitch * (back - front) + self.gyro[1] * wz * wx
        nwz = wz + self.yaw * (f2 + f4 - f1 - f3)
        if self.gyro[2]:
            nwz = nwz + self.gyro[2] * wx * wy

        # Turn by the mean rates: h is half the rotation vector, and h / (1 - h^2 / 3) = tan h to fifth order.
        quarter = 0.5 * half
        hx, hy, hz = quarter * (wx + nwx), quarter * (wy + nwy), quarter * (wz + nwz)
        c = 1.0 - (hx * hx + hy * hy + hz * hz) * (1.0 / 3.0)
        nqx = c * qx + qw * hx + qy * hz - qz * hy
        nqy = c * qy + qw * hy + qz * hx - qx * hz
        nqz = c * qz + qw * hz + qx * hy - qy * hx
        nqw = c * qw - qx * hx - qy * hy - qz * hz
        # One Newton step to unit length, from which a single turn strays by h^2 / 6 only.
        unit = 1.5 - 0.5 * (nqx * nqx + nqy * nqy + nqz * nqz + nqw * nqw)
        quaternion = (nqx * unit, nqy * unit, nqz * unit, nqw * unit)
        return (px, py, pz, nvx, nvy, nvz, *quaternion, nwx, nwy, nwz, f1, f2, f3, f4)
