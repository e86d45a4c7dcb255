"""Parts of the cascade against scipy's rotations and the promises of the mixer."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kdp_core.sim import crazyflie_control as control
from kdp_core.sim.crazyflie_params import CrazyflieParams

PARAMS = CrazyflieParams()
MATHS = control.ScalarMaths
ANGLES = np.random.default_rng(0).uniform(-1.2, 1.2, (20, 3))


def test_attitude_quaternion_equals_scipy():
    for roll, pitch, yaw in ANGLES:
        got = Rotation.from_quat(control.attitude_quaternion(roll, pitch, yaw, MATHS))
        expected = Rotation.from_euler("ZYX", (yaw, pitch, roll))
        assert (got.inv() * expected).magnitude() < 1e-12


def test_heading_is_the_yaw_of_scipy():
    for roll, pitch, yaw in ANGLES:
        c, s = control.heading(tuple(Rotation.from_euler("ZYX", (yaw, pitch, roll)).as_quat()), MATHS)
        assert np.arctan2(s, c) == pytest.approx(yaw, abs=1e-12)


def test_scalar_and_array_functions_agree():
    values = np.array([-2.0, -0.5, 0.0, 0.7, 3.0])
    assert control.ArrayMaths.clip(values, -1, 1).tolist() == [
        control.ScalarMaths.clip(v, -1, 1) for v in values
    ]
    assert control.ArrayMaths.largest(values, -values, 0 * values, 1.0).tolist() == [
        control.ScalarMaths.largest(v, -v, 0.0, 1.0) for v in values
    ]


def torque(motors):
    """Thrust and torque (4) of the motors from their places and spin directions."""
    arm = PARAMS.motor_offset
    places = np.array([[arm, -arm, 0], [-arm, -arm, 0], [-arm, arm, 0], [arm, arm, 0]])
    forces = np.outer(motors, (0, 0, 1))
    x, y, _ = np.cross(places, forces).sum(0)
    return np.array([np.sum(motors), x, y, PARAMS.thrust_to_torque * np.dot(motors, (-1, 1, -1, 1))])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mixer_gives_the_thrust_and_the_torque_about_the_axis_asked_for(axis):
    loop = control.InnerLoop(PARAMS, 0.002, MATHS)
    pushes = np.zeros(3)
    pushes[axis] = 0.01
    got = torque(loop.mix(0.3, *pushes))
    expected = np.zeros(4)
    expected[0] = 0.3
    expected[1 + axis] = 4 * 0.01 * (PARAMS.thrust_to_torque if axis == 2 else PARAMS.motor_offset)
    np.testing.assert_allclose(got, expected, atol=1e-15)


def test_a_saturated_mixer_gives_up_thrust_and_keeps_torque():
    loop = control.InnerLoop(PARAMS, 0.002, MATHS)
    motors = loop.mix(4 * PARAMS.motor_thrust_max, 0.02, 0.0, 0.0)
    assert max(motors) <= PARAMS.motor_thrust_max and min(motors) >= 0
    np.testing.assert_allclose(torque(motors)[1], torque(loop.mix(0.3, 0.02, 0.0, 0.0))[1], rtol=1e-12)


def test_rate_gains_convert_degrees_and_counts():
    kp, _, kd = PARAMS.rate_gains
    counts = 250.0 * np.degrees(0.1) / 2  # 0.1 rad/s of roll rate; half of the command reaches each motor
    assert kp[0] * 0.1 == pytest.approx(counts / 65535 * PARAMS.motor_thrust_max)
    assert kp[2] * 0.1 == pytest.approx(120.0 * np.degrees(0.1) / 65535 * PARAMS.motor_thrust_max)
    assert kd[2] == 0


def test_loops_have_the_signs_of_rep_103():
    roll, pitch, _, _ = control.velocity_to_tilt((0.1, 0.1), (0.0, 0.0), PARAMS, 0.01, MATHS)
    up = Rotation.from_euler("ZYX", (0, pitch, roll)).apply((0, 0, 1))
    assert up[0] > 0 and up[1] > 0  # leans forward and to the left, where the velocity is wanted
    assert np.degrees(pitch) == pytest.approx(25 * 0.1 + 1 * 0.1 * 0.01)


def test_height_loop_rests_its_integral_at_the_cap():
    velocity, integral = control.height_to_velocity(0.0, 5.0, 0.2, PARAMS, 0.01, MATHS)
    assert (velocity, integral) == (1.0, 0.2)
    velocity, integral = control.height_to_velocity(0.0, 0.1, 0.2, PARAMS, 0.01, MATHS)
    assert integral == pytest.approx(0.201) and velocity == pytest.approx(2 * 0.1 + 0.5 * 0.201)
