"""One simulated servo: position sensing, goals, torque, protection."""

import pytest

from kdp_so100_bringup.feetech_protocol import Error
from kdp_so100_bringup.registers import Register
from kdp_so100_bringup.servo import MAX_SPEED, Servo

DT = 0.004


def put(servo, register, value):
    servo.write(register.address, register.encode(value))


def value(servo, register):
    return register.decode(servo.read(register.address, register.size))


def run(servo, seconds, torque=0.0):
    """Let the joint be where the servo drives it to."""
    for _ in range(round(seconds / DT)):
        servo.advance(DT, servo.setpoint, 0.0, torque)


@pytest.fixture
def servo():
    servo = Servo(3)
    servo.place(2000.0)
    return servo


@pytest.fixture
def strong(servo):
    put(servo, Register.TORQUE_ENABLE, 1)
    return servo


@pytest.mark.parametrize(
    ("offset", "actual", "shown"),
    [(0, 2000.4, 2000), (300, 2000, 1700), (-2047, 3000, 951), (100, 40, 4036), (0, 4096 + 7, 7)],
)
def test_present_is_actual_less_the_homing_offset_on_one_turn(servo, offset, actual, shown):
    put(servo, Register.HOMING_OFFSET, offset)
    servo.place(actual)
    assert value(servo, Register.PRESENT_POSITION) == shown


def test_with_the_phase_bit_it_counts_turns(servo):
    put(servo, Register.PHASE, Register.PHASE.factory | 0x10)
    servo.place(-10.0)
    assert value(servo, Register.PRESENT_POSITION) == -10


def test_it_goes_to_its_goal_no_faster_than_it_can(strong):
    put(strong, Register.GOAL_POSITION, 3000)
    run(strong, 0.1)
    assert strong.setpoint == pytest.approx(2000 + 0.1 * MAX_SPEED)
    run(strong, 1.0)
    assert strong.setpoint == 3000


def test_goal_velocity_and_acceleration_slow_it_down(strong):
    put(strong, Register.GOAL_VELOCITY, 500)
    put(strong, Register.GOAL_POSITION, 3000)
    run(strong, 1.0)
    assert strong.setpoint == pytest.approx(2500)
    put(strong, Register.GOAL_VELOCITY, 0)
    put(strong, Register.ACCELERATION, 10)
    put(strong, Register.GOAL_POSITION, 2000)
    run(strong, 0.3)
    assert strong.setpoint == pytest.approx(2500 + 500 * 0.3 - 0.5 * 1000 * 0.3**2, abs=3)  # still braking
    run(strong, 3.0)
    assert strong.setpoint == pytest.approx(2000, abs=1)


def test_a_goal_beyond_the_limits_ends_at_them(strong):
    put(strong, Register.HOMING_OFFSET, 100)
    put(strong, Register.MIN_POSITION, 1000)
    put(strong, Register.MAX_POSITION, 2500)
    for goal, end in ((4000, 2600), (0, 1100)):
        put(strong, Register.GOAL_POSITION, goal)
        run(strong, 2.0)
        assert strong.setpoint == end


def test_the_goal_is_on_the_turn_that_the_joint_is_on(strong):
    strong.place(2000.0 + 4096)
    put(strong, Register.GOAL_POSITION, 2100)
    run(strong, 1.0)
    assert strong.setpoint == 2100 + 4096


def test_torque_on_holds_unless_a_goal_came(servo):
    servo.place(1500.0)
    put(servo, Register.TORQUE_ENABLE, 1)
    run(servo, 0.5)
    assert servo.powered and servo.setpoint == 1500
    put(servo, Register.TORQUE_ENABLE, 0)
    assert not servo.powered
    put(servo, Register.GOAL_POSITION, 1600)
    run(servo, 0.5)
    assert servo.setpoint == 1500
    put(servo, Register.TORQUE_ENABLE, 1)
    run(servo, 0.5)
    assert servo.setpoint == 1600


def test_writing_128_makes_this_position_the_middle(strong):
    put(strong, Register.TORQUE_ENABLE, 128)
    assert value(strong, Register.PRESENT_POSITION) == 2048
    assert value(strong, Register.HOMING_OFFSET) == -48 and value(strong, Register.TORQUE_ENABLE) == 1


def test_a_registered_write_waits_for_action(strong):
    strong.register_write(Register.GOAL_POSITION.address, Register.GOAL_POSITION.encode(2500))
    run(strong, 0.5)
    assert strong.setpoint == 2000 and value(strong, Register.REGISTERED) == 1
    strong.action()
    strong.action()  # nothing is left
    run(strong, 0.5)
    assert strong.setpoint == 2500 and value(strong, Register.REGISTERED) == 0


def test_what_it_senses_is_in_the_registers(servo):
    servo.temperature_c, servo.voltage_v = 41.6, 7.4
    servo.advance(DT, 2100.0, -250.0, -0.3)
    shown = {r: value(servo, r) for r in (Register.PRESENT_VELOCITY, Register.PRESENT_LOAD, Register.MOVING)}
    assert shown == {Register.PRESENT_VELOCITY: -250, Register.PRESENT_LOAD: -300, Register.MOVING: 1}
    assert value(servo, Register.PRESENT_TEMPERATURE) == 42 and value(servo, Register.PRESENT_VOLTAGE) == 74
    assert value(servo, Register.PRESENT_CURRENT) == round(-0.3 * 415)


def test_power_up_forgets_and_is_deaf_while_it_boots(strong):
    strong.power_up(boot_s=0.8)
    assert not strong.hears and not strong.powered
    run(strong, 0.9)
    assert strong.hears and strong.id == 3


def test_overload_leaves_the_protective_torque_until_a_goal_on_the_other_side(strong):
    put(strong, Register.OVERLOAD_TORQUE, 25)
    run(strong, 1.9, torque=0.31)
    assert strong.status == 0
    run(strong, 0.2, torque=0.31)
    assert strong.status == Error.OVERLOAD and strong.powered and strong.torque_limit == 0.2
    assert value(strong, Register.STATUS) == Error.OVERLOAD
    put(strong, Register.GOAL_POSITION, 2200)
    run(strong, 0.01)
    assert strong.status == Error.OVERLOAD
    put(strong, Register.GOAL_POSITION, 1800)
    run(strong, 0.01)
    assert strong.status == 0 and strong.torque_limit == 1.0


def test_a_short_overload_does_not_trip(strong):
    for _ in range(5):
        run(strong, 1.5, torque=-0.9)
        run(strong, 0.1)
    assert strong.status == 0


def test_heat_cuts_the_motor_and_low_voltage_only_warns(strong):
    strong.temperature_c = 75.0
    run(strong, 0.01)
    assert strong.status == Error.TEMPERATURE and not strong.powered
    strong.temperature_c, strong.voltage_v = 40.0, 3.5
    run(strong, 0.01)
    assert strong.status == Error.VOLTAGE and strong.powered


def test_over_current_cuts_the_motor_until_torque_is_written(strong):
    put(strong, Register.PROTECTION_CURRENT, 100)
    run(strong, 2.1, torque=0.5)
    assert strong.status & Error.CURRENT and not strong.powered
    put(strong, Register.TORQUE_ENABLE, 1)
    run(strong, 0.01)
    assert strong.status == 0 and strong.powered


def test_what_unloading_leaves_out_does_not_act(strong):
    put(strong, Register.UNLOADING, 0)
    strong.temperature_c = 75.0
    run(strong, 2.1, torque=0.9)
    assert (
        strong.status == Error.TEMPERATURE | Error.OVERLOAD and strong.powered and strong.torque_limit == 1.0
    )
