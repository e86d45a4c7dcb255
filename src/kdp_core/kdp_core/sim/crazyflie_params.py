"""Coefficients of the Crazyflie 2.1 and the gains of its firmware.

Body: identified from flights of a Crazyflie 2.x with the 250 mAh battery, as published in the parameter
files of crazyflow 0.4.0 (utiasDSL, MIT): `cf2x_L250` of `first_principles` and `so_rpy_rotor_drag`.
Gains, limits and rates: `platform_defaults_cf2.h`, `position_controller_pid.c`, `attitude_pid_controller.c`
and `power_distribution_quadrotor.c` of the Bitcraze firmware, which states them in degrees and in counts of a
16-bit thrust command; the properties below convert.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

GRAVITY = 9.81  # m/s^2
COUNTS = 65535.0  # full scale of the firmware's thrust command


@dataclass(frozen=True)
class CrazyflieParams:
    """Physical coefficients (SI) and firmware gains (in the firmware's own units, so that they compare)."""

    mass: float = 0.0328  # kg, with battery and one deck
    inertia: tuple[float, float, float] = (16.8e-6, 16.8e-6, 29.8e-6)  # kg m^2, about body x, y, z
    motor_offset: float = 0.03253  # m, of each motor from the body x and y axes
    motor_thrust_max: float = 0.12  # N, per motor
    thrust_to_torque: float = 0.005964552  # m, yaw reaction torque per thrust (firmware THRUST2TORQUE)
    motor_lag: float = 1.0 / 6.722233443049602  # s, first order, thrust_dyn_coef
    drag: tuple[float, float, float] = (0.014953790, 0.014953790, 0.013900090)  # N s/m, linear, body axes

    position_kp: float = 2.0  # m/s per m, x, y and z
    position_z_ki: float = 0.5
    velocity_max: float = 1.0  # m/s per axis, where a position is tracked
    velocity_kp: float = 25.0  # degrees of tilt per m/s
    velocity_ki: float = 1.0
    velocity_z_kp: float = 25.0  # thousands of counts per m/s
    velocity_z_ki: float = 15.0
    tilt_max: float = 20.0  # degrees, roll and pitch
    thrust_min: float = 20000.0  # counts, in flight
    attitude_kp: tuple[float, float, float] = (6.0, 6.0, 6.0)  # degrees/s per degree; roll, pitch, yaw
    attitude_ki: tuple[float, float, float] = (3.0, 3.0, 1.0)
    attitude_i_max: tuple[float, float, float] = (20.0, 20.0, 360.0)  # degree s
    attitude_yaw_kd: float = 0.35
    rate_kp: tuple[float, float, float] = (250.0, 250.0, 120.0)  # counts per degree/s; roll, pitch, yaw
    rate_ki: tuple[float, float, float] = (500.0, 500.0, 16.7)
    rate_kd: tuple[float, float, float] = (2.5, 2.5, 0.0)
    rate_i_max: tuple[float, float, float] = (33.3, 33.3, 166.7)  # degrees

    @property
    def newton_per_count(self) -> float:
        """Thrust of one motor per count; the firmware's battery compensation makes it a constant."""
        return self.motor_thrust_max / COUNTS

    @property
    def hover_thrust(self) -> float:
        """Total thrust that carries the weight, N. Also the thrust to which the vertical loop adds.

        The firmware adds to a fixed 36000 counts and lets the integral learn the rest; a drone whose integral
        has settled, as after any take-off, is the one modelled.
        """
        return self.mass * GRAVITY

    @property
    def rate_gains(self) -> tuple[tuple[float, float, float], ...]:
        """Rows kp, ki, kd of the rate loop: newtons at each motor per rad/s, rad and rad/s^2.

        The firmware's mixer gives each motor half of the roll and pitch command and all of the yaw command.
        """
        newtons = math.degrees(1.0) * self.newton_per_count
        share = (0.5 * newtons, 0.5 * newtons, newtons)
        return tuple(
            (gain[0] * share[0], gain[1] * share[1], gain[2] * share[2])
            for gain in (self.rate_kp, self.rate_ki, self.rate_kd)
        )
