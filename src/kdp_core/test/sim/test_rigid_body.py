"""The rigid body against closed forms and an independent integrator (scipy)."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation

from kdp_core.sim.crazyflie_params import CrazyflieParams
from kdp_core.sim.rigid_body import BODY_SIZE, RigidBody

DT = 0.002
PARAMS = CrazyflieParams()
NO_DRAG = replace(PARAMS, drag=(0.0, 0.0, 0.0))
OFF = (0.0,) * 4
POSITION, VELOCITY, QUATERNION, RATES, MOTORS = (
    slice(*ends) for ends in ((0, 3), (3, 6), (6, 10), (10, 13), (13, 17))
)


def fly(params, body, commands, steps):
    model = RigidBody(params, DT)
    for _ in range(steps):
        body = model.advance(body, commands)
    return np.array(body)


def at_rest(**changes):
    body = np.zeros(BODY_SIZE)
    body[9] = 1.0
    for name, value in changes.items():
        body[
            {"position": POSITION, "velocity": VELOCITY, "rates": RATES, "motors": MOTORS, "q": QUATERNION}[
                name
            ]
        ] = value
    return tuple(body.tolist())


def test_free_fall_follows_the_parabola():
    body = fly(NO_DRAG, at_rest(position=(1, 2, 50), velocity=(0.5, -1, 3)), OFF, 500)
    np.testing.assert_allclose(body[POSITION], (1.5, 1, 50 + 3 - 0.5 * 9.81), atol=1e-10)
    np.testing.assert_allclose(body[VELOCITY], (0.5, -1, 3 - 9.81), atol=1e-11)


def test_drag_gives_the_exponential_and_the_terminal_velocity():
    params = replace(PARAMS, drag=(0.05, 0.05, 0.08))
    tau = params.mass / 0.08
    for seconds in (0.2, 0.5, 1.0):
        body = fly(params, at_rest(), OFF, round(seconds / DT))
        assert body[5] == pytest.approx(-9.81 * tau * (1 - np.exp(-seconds / tau)), rel=3e-3)
    assert fly(params, at_rest(), OFF, 5000)[5] == pytest.approx(-params.mass * 9.81 / 0.08, rel=1e-6)


def test_drag_coefficients_belong_to_the_body_axes():
    params = replace(PARAMS, drag=(0.05, 0.05, 0.08))
    on_its_side = Rotation.from_euler("y", 90, degrees=True).as_quat()  # body z along world x
    body = fly(params, at_rest(velocity=(1, 1, 0), q=on_its_side), OFF, 1)
    assert 1 - body[3] == pytest.approx(0.08 / params.mass * DT) and 1 - body[4] == pytest.approx(
        0.05 / params.mass * DT
    )


def test_motors_at_a_quarter_of_the_weight_hover_and_lag_by_their_time_constant():
    share = 0.25 * PARAMS.mass * 9.81
    body = fly(PARAMS, at_rest(position=(0, 0, 1), motors=(share,) * 4), (share,) * 4, 1000)
    np.testing.assert_allclose(body[POSITION], (0, 0, 1), atol=1e-12)
    body = fly(PARAMS, at_rest(), (0.1,) * 4, round(PARAMS.motor_lag / DT))
    assert body[13] == pytest.approx(
        0.1 * (1 - np.exp(-round(PARAMS.motor_lag / DT) * DT / PARAMS.motor_lag)), rel=0.02
    )


@pytest.mark.parametrize("rates", [(6, 0, 0), (0, -6, 0), (0, 0, 6), (3, -2, 5), (12, 9, -8)])
def test_constant_rates_turn_as_the_rotation_vector_says(rates):
    sphere = replace(NO_DRAG, inertia=(2e-5, 2e-5, 2e-5))  # no gyroscopic torque: rates stay
    start = Rotation.from_euler("zyx", (50, 20, -30), degrees=True)
    body = fly(sphere, at_rest(rates=rates, q=start.as_quat()), OFF, 1000)
    expected = start * Rotation.from_rotvec(2.0 * np.array(rates, dtype=float))
    assert (Rotation.from_quat(body[QUATERNION]).inv() * expected).magnitude() < 1e-6
    assert np.linalg.norm(body[QUATERNION]) == pytest.approx(1, abs=1e-7)


def test_a_symmetric_top_precesses_at_the_rate_of_eulers_equations():
    ix, _, iz = PARAMS.inertia
    w0 = np.array([1.5, 0.0, 4.0])
    body = fly(NO_DRAG, at_rest(rates=w0), OFF, 250)
    angle = (iz - ix) / ix * w0[2] * 0.5
    np.testing.assert_allclose(body[RATES], (1.5 * np.cos(angle), 1.5 * np.sin(angle), 4.0), atol=0.02)
    inertia = np.array(PARAMS.inertia)
    energy = 0.5 * inertia @ body[RATES] ** 2
    assert energy == pytest.approx(0.5 * inertia @ w0**2, rel=5e-3)
    momentum = Rotation.from_quat(body[QUATERNION]).apply(inertia * body[RATES])
    np.testing.assert_allclose(momentum, inertia * w0, atol=5e-3 * np.linalg.norm(inertia * w0))


def forces_by_cross_products(params):
    """Right-hand side of Newton-Euler from motor positions and spin directions, for solve_ivp."""
    arm = params.motor_offset
    places = np.array([[arm, -arm, 0], [-arm, -arm, 0], [-arm, arm, 0], [arm, arm, 0]])
    spins = np.array([-1, 1, -1, 1]) * params.thrust_to_torque
    inertia, drag = np.diag(params.inertia), np.diag(params.drag)

    def derivative(commands):
        def at(_, body):
            velocity, quaternion, rates, motors = body[VELOCITY], body[QUATERNION], body[RATES], body[MOTORS]
            turn = Rotation.from_quat(quaternion)
            thrusts = np.outer(motors, (0, 0, 1))
            torque = np.cross(places, thrusts).sum(0) + np.array([0, 0, spins @ motors])
            force = turn.apply(thrusts.sum(0)) - turn.apply(drag @ turn.inv().apply(velocity))
            x, y, z, w = quaternion
            p, q, r = rates
            turning = 0.5 * np.array(
                [w * p + y * r - z * q, w * q + z * p - x * r, w * r + x * q - y * p, -x * p - y * q - z * r]
            )
            spin_up = np.linalg.solve(inertia, torque - np.cross(rates, inertia @ rates))
            fall = force / params.mass - np.array([0, 0, 9.81])
            return np.concatenate([velocity, fall, turning, spin_up, (commands - motors) / params.motor_lag])

        return at

    return derivative


def test_flight_equals_an_independent_integration_of_newton_and_euler():
    rng = np.random.default_rng(0)
    params = replace(PARAMS, inertia=(16e-6, 19e-6, 30e-6))
    for _ in range(4):
        quaternion = Rotation.from_quat(rng.normal(size=4)).as_quat()
        start = at_rest(
            position=rng.normal(size=3),
            velocity=rng.normal(size=3),
            q=quaternion,
            rates=rng.normal(size=3),
            motors=rng.uniform(0.06, 0.1, 4),
        )
        commands = 0.08 + rng.uniform(-1, 1, 4) * 5e-4
        got = fly(params, start, tuple(commands), 150)
        motion = forces_by_cross_products(params)(commands)
        expected = solve_ivp(motion, (0, 150 * DT), start, rtol=1e-9, atol=1e-11).y[:, -1]
        np.testing.assert_allclose(got[POSITION], expected[POSITION], atol=4e-3)
        np.testing.assert_allclose(got[VELOCITY], expected[VELOCITY], atol=3e-2)
        difference = Rotation.from_quat(got[QUATERNION]).inv() * Rotation.from_quat(expected[QUATERNION])
        assert difference.magnitude() < 0.02 * np.linalg.norm(expected[RATES])
        np.testing.assert_allclose(got[RATES], expected[RATES], rtol=0.02, atol=0.1)
