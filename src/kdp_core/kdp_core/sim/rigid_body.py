"""Rigid body of a quadrotor with first-order motors and linear drag, one time step.

Every quantity is a number (one drone) or an array (N,) (N drones): the arithmetic is the same, plain floats being
ten times faster than numpy for one drone. That is why the vectors are written out by component.
"""

from __future__ import annotations

from typing import Any

from kdp_core.sim.crazyflie_params import GRAVITY, CrazyflieParams

# Position (3) m, velocity (3) m/s world, quaternion (4) xyzw body to world, body rates (3) rad/s, thrust of the
# motors (4) N: front right, back right, back left, front left.
BODY_SIZE = 17
Components = tuple[Any, ...]


def advance(body: Components, commands: Components, params: CrazyflieParams, dt: float) -> Components:
    """Integrate `dt` seconds. Returns the new body (17) and its mean acceleration (3), m/s^2 world.

    Constant acceleration is integrated exactly, and so are constant rates to third order in their angle.

    Args:
        body: 17 components, see BODY_SIZE.
        commands: thrusts (4) asked of the motors, N.
    """
    px, py, pz, vx, vy, vz, qx, qy, qz, qw, wx, wy, wz, f1, f2, f3, f4 = body

    lag = dt / (params.motor_lag + dt)  # backward Euler: stable for any time constant
    f1 = f1 + lag * (commands[0] - f1)
    f2 = f2 + lag * (commands[1] - f2)
    f3 = f3 + lag * (commands[2] - f3)
    f4 = f4 + lag * (commands[3] - f4)

    # The body z axis in the world: third column of the rotation matrix.
    r02, r12, r22 = 2.0 * (qx * qz + qw * qy), 2.0 * (qy * qz - qw * qx), 1.0 - 2.0 * (qx * qx + qy * qy)

    # Drag has one coefficient across the body and another along its z axis.
    across, along = params.drag[0] / params.mass, params.drag[2] / params.mass
    axial = r02 * vx + r12 * vy + r22 * vz
    push = (f1 + f2 + f3 + f4) * (1.0 / params.mass) - (along - across) * axial
    ax = r02 * push - across * vx
    ay = r12 * push - across * vy
    az = r22 * push - across * vz - GRAVITY
    half = 0.5 * dt
    nvx, nvy, nvz = vx + dt * ax, vy + dt * ay, vz + dt * az
    px, py, pz = px + half * (vx + nvx), py + half * (vy + nvy), pz + half * (vz + nvz)

    right, left, diagonal = f1 + f2, f3 + f4, f2 + f4
    arm, (ix, iy, iz) = params.motor_offset, params.inertia
    nwx = wx + dt / ix * (arm * (left - right) - (iz - iy) * wy * wz)
    nwy = wy + dt / iy * (arm * (f2 + f3 - f1 - f4) - (ix - iz) * wz * wx)
    nwz = wz + dt / iz * (params.thrust_to_torque * (diagonal - f1 - f3) - (iy - ix) * wx * wy)

    # Half rotation vector with the mean rates of the step; the series keeps the turn exact to third order.
    hx, hy, hz = 0.5 * half * (wx + nwx), 0.5 * half * (wy + nwy), 0.5 * half * (wz + nwz)
    square = hx * hx + hy * hy + hz * hz
    scale, cosine = 1.0 - square * (1.0 / 6.0), 1.0 - 0.5 * square
    hx, hy, hz = hx * scale, hy * scale, hz * scale
    nqx = cosine * qx + qw * hx + qy * hz - qz * hy
    nqy = cosine * qy + qw * hy + qz * hx - qx * hz
    nqz = cosine * qz + qw * hz + qx * hy - qy * hx
    nqw = cosine * qw - qx * hx - qy * hy - qz * hz
    # One Newton step to unit length, exact here because the length is off by rounding and the series alone.
    norm = 1.5 - 0.5 * (nqx * nqx + nqy * nqy + nqz * nqz + nqw * nqw)
    new_body = (px, py, pz, nvx, nvy, nvz, nqx * norm, nqy * norm, nqz * norm, nqw * norm)
    return (*new_body, nwx, nwy, nwz, f1, f2, f3, f4, ax, ay, az)
