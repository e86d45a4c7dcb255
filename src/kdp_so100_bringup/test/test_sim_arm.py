"""Servos on joints: calibration, torque, limits of torque, and the MuJoCo arm behind them."""

import numpy as np
import pytest

from kdp_core.sim.so100_geometry import HIGH_RAD, LOW_RAD
from kdp_so100_bringup.calibration import TICK_RAD, Calibration, MotorCalibration, mismatch
from kdp_so100_bringup.joint_model import JointModel
from kdp_so100_bringup.registers import Register
from kdp_so100_bringup.sim_arm import SimArm, arm_calibration

MIDDLE = 0.5 * (LOW_RAD + HIGH_RAD)
EEPROM = (Register.HOMING_OFFSET, Register.MIN_POSITION, Register.MAX_POSITION)


def put(servo, register, value):
    servo.write(register.address, register.encode(value))


def positions(arm):
    register = Register.PRESENT_POSITION
    return [register.decode(servo.read(register.address, register.size)) for servo in arm.servos]


def command(arm, joints, calibration):
    for servo, tick in zip(arm.servos, calibration.to_ticks(joints), strict=True):
        put(servo, Register.GOAL_POSITION, tick)


def let_run(arm, seconds):
    for _ in range(round(seconds / (2 * arm.scene.dt))):
        arm.advance(2)


@pytest.fixture
def own():
    return arm_calibration()


@pytest.fixture
def arm(own):
    arm = SimArm(JointModel(), own)
    for servo in arm.servos:
        put(servo, Register.TORQUE_ENABLE, 1)
    return arm


def test_the_middle_of_the_limits_reads_the_middle_of_the_turn(arm):
    assert positions(arm) == pytest.approx([2047] * 6, abs=1)


def test_its_eeprom_holds_its_calibration(arm, own):
    found = [tuple(servo.memory.get(register) for register in EEPROM) for servo in arm.servos]
    assert mismatch(own, found) == ""


def test_limits_of_the_joints_are_within_the_servos_ranges(own):
    assert np.allclose(own.low, LOW_RAD, atol=TICK_RAD) and np.allclose(own.high, HIGH_RAD, atol=TICK_RAD)


def test_from_the_factory_it_has_no_calibration(own):
    arm = SimArm(JointModel(), own, calibrated=False)
    assert {servo.memory.get(Register.HOMING_OFFSET) for servo in arm.servos} == {0}
    middles = [2047 + motor.homing_offset for motor in own.motors]
    assert positions(arm) == pytest.approx(np.mod(middles, 4096), abs=1)


def test_it_goes_where_the_calibration_says_and_reads_so(arm, own):
    goal = MIDDLE + np.array([0.5, -0.4, 0.3, 0.6, -2.0, 0.7])
    command(arm, goal, own)
    let_run(arm, 2.0)
    assert np.allclose(arm.scene.joints, goal, atol=TICK_RAD)
    assert np.allclose(own.to_rad(positions(arm)), goal, atol=1.1 * TICK_RAD)


def test_a_joint_mounted_the_other_way_round_reads_so():
    motors = [MotorCalibration(i + 1, int(i == 2), 10 * i, 600, 3500) for i in range(6)]
    turned = Calibration(motors)
    arm = SimArm(JointModel(), turned)
    arm.scene.place(MIDDLE + 0.2)
    arm.place()
    assert np.allclose(turned.to_rad(positions(arm)), MIDDLE + 0.2, atol=1.1 * TICK_RAD)
    assert positions(arm)[2] < 2050 < positions(arm)[3]


def test_without_torque_a_joint_stays(arm, own):
    put(arm.servos[2], Register.TORQUE_ENABLE, 0)
    command(arm, MIDDLE + 0.3, own)
    let_run(arm, 1.0)
    moved = arm.scene.joints - MIDDLE
    assert moved[2] == pytest.approx(0.0, abs=1e-9) and np.allclose(np.delete(moved, 2), 0.3, atol=TICK_RAD)


def test_encoder_noise_is_in_the_reading_only(arm):
    arm.noise_ticks = 5.0
    seen = []
    for _ in range(200):
        arm.advance(2)
        seen.append(positions(arm)[0])
    assert 3.0 < np.std(seen) < 8.0
    assert arm.scene.joints[0] == pytest.approx(MIDDLE[0], abs=0.01)


def test_placing_the_joints_places_the_goals(arm):
    arm.scene.place(MIDDLE - 0.5)
    arm.place()
    let_run(arm, 1.0)
    assert np.allclose(arm.scene.joints, MIDDLE - 0.5, atol=TICK_RAD)


class TestMujoco:
    @pytest.fixture
    def arm(self, own):
        pytest.importorskip("mujoco", reason="MuJoCo is not installed here")
        from kdp_core.sim.so100 import Scene, So100Scene

        scene = So100Scene(1)
        scene.reset(Scene.random("pick_place", 1))
        arm = SimArm(scene, own)
        for servo in arm.servos:
            put(servo, Register.TORQUE_ENABLE, 1)
        return arm

    def test_it_holds_against_gravity_and_falls_without_torque(self, arm):
        start = arm.scene.joints
        let_run(arm, 1.0)
        assert np.allclose(arm.scene.joints, start, atol=0.05)
        for servo in arm.servos:
            put(servo, Register.TORQUE_ENABLE, 0)
        let_run(arm, 2.0)
        assert arm.scene.gripper_pose[2] < 0.04

    def test_a_lower_torque_limit_lets_it_sag(self, arm):
        let_run(arm, 1.0)
        height = arm.scene.gripper_pose[2]
        let_run(arm, 2.0)
        assert arm.scene.gripper_pose[2] > height - 0.001
        for servo in arm.servos[:4]:
            put(servo, Register.TORQUE_LIMIT, 50)
        let_run(arm, 2.0)
        assert arm.scene.gripper_pose[2] < height - 0.005  # at full strength it loses 1 mm at most
