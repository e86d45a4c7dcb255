"""The simulated Crazyflie: responses, modes, and one drone against many."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kdp_core.exceptions import InputError
from kdp_core.sim.crazyflie import Crazyflie
from kdp_core.sim.crazyflie_params import CrazyflieParams

PARAMS = CrazyflieParams()


def flying(n=1, position=(0.0, 0.0, 1.0), yaw=0.0):
    drone = Crazyflie(n)
    drone.reset(slice(None), position, yaw, hovering=True)
    return drone


def record(drone, seconds):
    """Position, velocity (T, 3) and tilt in degrees (T,) of drone 0, every 2 ms."""
    rows = []
    for _ in range(round(seconds / drone.dt)):
        drone.step()
        up = Rotation.from_quat(drone.quaternion[0]).apply((0, 0, 1))
        rows.append([*drone.position[0], *drone.velocity[0], np.degrees(np.arccos(np.clip(up[2], -1, 1)))])
    table = np.array(rows)
    return table[:, :3], table[:, 3:6], table[:, 6]


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_velocity_step_rises_like_a_crazyflie(axis, speed):
    drone = flying()
    target = np.zeros(3)
    target[axis] = speed
    drone.velocity_world(target)
    position, velocity, tilt = record(drone, 3.0)
    along = velocity[:, axis] / speed
    rise = (np.argmax(along > 0.9) - np.argmax(along > 0.1)) * 0.002
    assert 0.25 < rise < 0.45
    assert along.max() < 1.1 and along[-1] > 0.9
    assert np.abs(velocity[:, 1 - axis]).max() < 0.01
    assert np.abs(position[:, 2] - 1).max() < 0.03 and tilt.max() < 25


def test_tilt_stays_near_its_limit_for_violent_setpoints():
    drone = flying()
    drone.velocity_world((5, -5, 0))
    _, _, tilt = record(drone, 2.0)
    # 20 degrees of roll and of pitch are 28 degrees of tilt; the attitude loop overshoots by a few.
    assert 24 < tilt.max() < 36


def test_takeoff_hovers_at_its_height():
    drone = Crazyflie(1)
    drone.hover(0, 0, 0, 1.0)
    position, velocity, _ = record(drone, 8.0)
    assert position[:, 2].max() < 1.06
    assert np.abs(position[2500:, 2] - 1.0).max() < 0.02
    assert np.abs(position[:, :2]).max() < 1e-9 and np.abs(velocity[-1]).max() < 0.01
    assert drone.motor_thrusts.sum() == pytest.approx(PARAMS.mass * 9.81, rel=0.01)


def test_position_mode_arrives_within_the_velocity_cap():
    drone = flying()
    drone.position_setpoint((2.0, -3.0, 1.0))
    position, velocity, _ = record(drone, 8.0)
    np.testing.assert_allclose(position[-1], (2.0, -3.0, 1.0), atol=0.02)
    assert position[:, 0].max() < 2.1 and np.abs(velocity[:, :2]).max() < 1.1
    assert 0.8 < -velocity[750, 1] < 1.05  # cruising
    drone.position_setpoint((2.0, -3.0, 1.0), yaw=0.5)
    drone.step(1500)
    np.testing.assert_allclose(drone.position[0], (2.0, -3.0, 1.0), atol=0.02)
    assert Rotation.from_quat(drone.quaternion[0]).as_euler("zyx")[0] == pytest.approx(0.5, abs=0.02)


def test_hover_velocity_is_in_the_yaw_frame_and_world_velocity_is_not():
    yaw = np.radians(90)
    body, world = flying(yaw=yaw), flying(yaw=yaw)
    body.hover(0.5, 0.0, 0.0, 1.0)
    world.velocity_world((0.5, 0.0, 0.0))
    for drone, axis in ((body, 1), (world, 0)):
        drone.step(1000)
        assert 0.45 < drone.velocity[0, axis] < 0.52 and abs(drone.velocity[0, 1 - axis]) < 0.02


def test_yaw_rate_turns_at_that_rate_while_the_world_velocity_is_kept():
    drone = flying()
    drone.velocity_world((0.3, 0, 0), yaw_rate=0.8)
    drone.step(1000)
    before = Rotation.from_quat(drone.quaternion[0])
    drone.step(500)
    turned = (before.inv() * Rotation.from_quat(drone.quaternion[0])).as_rotvec()[2]
    assert turned == pytest.approx(0.8, abs=0.03)
    assert drone.velocity[0, 0] == pytest.approx(0.3, abs=0.05)


def test_level_holds_height_and_drifts_as_drag_alone_says():
    drone = flying()
    drone.velocity[0] = (0.6, 0.2, 0)
    start = drone.velocity[0].copy()
    drone.level()
    position, velocity, tilt = record(drone, 2.0)
    expected = start[:2] * np.exp(-PARAMS.drag[0] / PARAMS.mass * 2.0)
    np.testing.assert_allclose(velocity[-1, :2], expected, rtol=2e-3)
    assert np.abs(position[:, 2] - 1).max() < 0.02 and tilt.max() < 0.01


def test_repeated_level_keeps_the_height_of_the_first_call():
    drone = flying()
    drone.velocity[0, 2] = 0.4
    for _ in range(400):
        drone.level()
        drone.step(5)
    assert drone.position[0, 2] == pytest.approx(1.0, abs=0.03)


def test_motors_off_falls_and_rests_on_the_ground_upright():
    drone = flying(position=(1, 2, 1), yaw=0.7)
    drone.hover(0, 0, 0, 1)
    drone.step(300)
    drone.motors_off()
    drone.step(1000)
    assert drone.position[0, 2] == 0 and not drone.velocity.any() and not drone.acceleration.any()
    euler = Rotation.from_quat(drone.quaternion[0]).as_euler("zyx")
    np.testing.assert_allclose(euler, (0.7, 0, 0), atol=1e-6)
    drone.hover(0, 0, 0, 0.5)  # and takes off again
    drone.step(3000)
    assert drone.position[0, 2] == pytest.approx(0.5, abs=0.03)


def test_reset_on_the_ground_stays_there():
    drone = Crazyflie(2)
    drone.step(50)
    assert not drone.position.any() and not drone.velocity.any()


def test_acceleration_is_the_derivative_of_velocity():
    drone = Crazyflie(1)
    drone.reset(0, (0, 0, 5))
    drone.step(5)
    assert drone.acceleration[0, 2] == pytest.approx(-9.81, abs=0.05)
    drone = flying()
    drone.velocity_world((1, 0, 0))
    drone.step(99)
    before = drone.velocity.copy()
    drone.step(1)
    np.testing.assert_allclose(drone.acceleration, (drone.velocity - before) / 0.002, atol=1e-12)


def scripted(drone, rows, stride):
    """Every mode in turn and a new take-off, with setpoints of `rows` of a common table."""
    rng = np.random.default_rng(4)
    for leg in range(9):
        a = rng.uniform(-1, 1, (6, 4))[rows]
        if leg % 7 == 0:
            drone.hover(a[:, 0], a[:, 1], a[:, 2], 1 + 0.3 * a[:, 3])
        elif leg % 7 in (1, 2):
            drone.velocity_world(a[:, :3] * (1, 1, 0.3), a[:, 3])
        elif leg % 7 == 3:
            drone.position_setpoint(a[:, :3] + (0, 0, 1.5), a[:, 3])
        elif leg % 7 == 4:
            drone.level()
        elif leg % 7 == 5:
            drone.velocity_world(4 * a[:, :3], a[:, 3])
        else:
            drone.motors_off()
        for _ in range(0, 210, stride):
            drone.step(stride)


@pytest.mark.parametrize("stride", [1, 7])
def test_many_drones_fly_as_each_alone(stride):
    starts = np.random.default_rng(1).uniform((-1, -1, 0), (1, 1, 2), (6, 3))
    starts[0, 2] = 0.0
    yaws = np.linspace(-3, 3, 6)
    many = Crazyflie(6)
    many.reset(slice(None), starts, yaws)
    scripted(many, slice(None), stride)
    for i in range(6):
        one = Crazyflie(1)
        one.reset(0, starts[i], yaws[i])
        scripted(one, slice(i, i + 1), stride)
        for name in ("position", "velocity", "quaternion", "body_rates", "motor_thrusts", "acceleration"):
            np.testing.assert_allclose(getattr(one, name)[0], getattr(many, name)[i], atol=1e-9, err_msg=name)


@pytest.mark.parametrize("n", [1, 3])
def test_how_steps_are_grouped_does_not_matter(n):
    single, grouped = flying(n), flying(n)
    for drone, groups in ((single, [1] * 700), (grouped, [3, 97, 500, 0, 100])):
        drone.velocity_world((0.4, -0.7, 0.1), 0.3)
        for steps in groups:
            drone.step(steps)
    for name in ("position", "quaternion", "body_rates", "acceleration"):
        np.testing.assert_array_equal(getattr(single, name), getattr(grouped, name))


def test_wild_flight_keeps_quaternions_unit_and_motors_within_limits():
    rng = np.random.default_rng(2)
    drone = flying(50, position=(0, 0, 20))
    drone.body_rates[:] = rng.normal(0, 10, (50, 3))
    for _ in range(60):
        drone.velocity_world(rng.uniform(-3, 3, (50, 3)), rng.uniform(-3, 3, 50))
        drone.step(25)
        np.testing.assert_allclose(np.linalg.norm(drone.quaternion, axis=1), 1, atol=1e-6)
        assert (drone.motor_thrusts >= 0).all() and (drone.motor_thrusts <= PARAMS.motor_thrust_max).all()
    assert np.isfinite(drone.position).all()


def test_a_tumbled_drone_recovers():
    drone = flying(position=(0, 0, 8))
    drone.quaternion[0] = Rotation.from_euler("xyz", (120, 10, 0), degrees=True).as_quat()
    drone.hover(0, 0, 0, 4.0)
    _, velocity, tilt = record(drone, 6.0)
    assert tilt[0] > 110 and tilt[-1] < 2 and np.abs(velocity[-1]).max() < 0.1


def test_resetting_one_drone_leaves_the_others_alone():
    drone, untouched = flying(3), flying(3)
    for d in (drone, untouched):
        d.velocity_world((0.5, 0, 0))
        d.step(200)
    drone.reset(1, (3, 3, 0.5), yaw=1.0)
    np.testing.assert_array_equal(drone.position[[0, 2]], untouched.position[[0, 2]])
    np.testing.assert_array_equal(drone.position[1], (3, 3, 0.5))
    drone.step(50)
    untouched.step(50)
    np.testing.assert_array_equal(drone.velocity[[0, 2]], untouched.velocity[[0, 2]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_setpoints_that_are_not_finite_are_refused_and_the_last_one_kept(bad):
    drone, reference = flying(2), flying(2)
    for d in (drone, reference):
        d.velocity_world((0.5, 0, 0))
    calls = (
        lambda: drone.velocity_world((0, bad, 0)),
        lambda: drone.velocity_world((0, 0, 0), bad),
        lambda: drone.hover(0, 0, 0, bad),
        lambda: drone.position_setpoint([(0, 0, 1), (0, 0, bad)]),
        lambda: drone.position_setpoint((0, 0, 1), yaw=bad),
        lambda: drone.reset(0, (0, 0, bad)),
    )
    for call in calls:
        with pytest.raises(InputError, match="must be finite"):
            call()
    drone.step(100)
    reference.step(100)
    np.testing.assert_array_equal(drone.velocity, reference.velocity)


def test_wrong_shapes_and_arguments_are_refused():
    with pytest.raises(InputError, match="expected shape"):
        flying(3).velocity_world(np.zeros((2, 3)))
    with pytest.raises(InputError, match="n must be"):
        Crazyflie(0)
    with pytest.raises(InputError, match="dt must divide"):
        Crazyflie(1, dt=0.003)
    with pytest.raises(InputError, match="ground"):
        Crazyflie(1).reset(0, (0, 0, -0.1))
