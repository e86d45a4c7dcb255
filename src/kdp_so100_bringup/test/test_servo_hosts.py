"""Two host SDKs that are not ours drive the simulated servos over the pseudo-terminal, each a process.

feetech-servo-sdk is what lerobot uses; ftservo-python-sdk is the maker's newer one. Both are packages called
``scservo_sdk``, so that the second lives in a folder of its own (`make setup-train` puts it there).
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from arm_processes import simulator, wait_until
from host_processes import SECOND_SDK, host

from kdp_so100_bringup.registers import Register
from kdp_so100_bringup.sim_arm import MOUNTED_TICKS, arm_calibration

OK, TIMEOUT, CORRUPT = 0, -6, -7
IDS = [1, 2, 3, 4, 5, 6]
TEMPERATURE_BIT, VOLTAGE_BIT = 4, 1


@pytest.fixture(scope="module")
def arm(tmp_path_factory):
    """A simulated arm with joints only: what is tested is the bus."""
    with simulator(tmp_path_factory.mktemp("arm"), "--scene", "joints") as (port, side):
        yield port, side


@pytest.fixture(scope="module", params=["feetech-servo-sdk", "ftservo-python-sdk"])
def sdk(request, arm):
    """A host program on one of the SDKs, its port open."""
    env = {}
    if request.param == "ftservo-python-sdk":
        if not (SECOND_SDK / "scservo_sdk").is_dir():
            pytest.skip(f"ftservo-python-sdk is not in {SECOND_SDK} (make setup-train)")
        env = {"PYTHONPATH": str(SECOND_SDK)}
    else:
        pytest.importorskip("scservo_sdk", reason="feetech-servo-sdk is not installed here")
    with host("servo_host.py", arm[0], env=env) as program:
        assert program.open()
        for servo in IDS:
            assert program.write(servo, Register.RETURN_DELAY.address, [0]) == [OK, 0]
        yield program


@pytest.fixture
def side(arm):
    """The side channel; faults are mended afterwards."""
    side = arm[1]
    yield side
    side.request("wire", checksum_rate=0.0, noise_rate=0.0, encoder_ticks=0.0, usb_delay_ms=1.0)
    for servo in IDS:
        side.request("servo", servo=servo, silent=False, celsius=30.0, volts=12.0)


def put(sdk, servo, register, value):
    return sdk.write(servo, register.address, list(register.encode(value)))


def get(sdk, servo, register):
    data, result, _error = sdk.read(servo, register.address, register.size)
    assert result == OK
    return register.decode(bytes(data))


def positions(sdk):
    result, values = sdk.sync_read(IDS, Register.PRESENT_POSITION.address, 2)
    assert result == OK
    return [values[str(servo)] for servo in IDS]


def set_goals(sdk, ticks):
    register = Register.GOAL_POSITION
    data = {servo: list(register.encode(tick)) for servo, tick in zip(IDS, ticks, strict=True)}
    return sdk.sync_write(register.address, data)


def torque(sdk, on):
    for servo in IDS:
        assert put(sdk, servo, Register.TORQUE_ENABLE, on)[0] == OK


def test_ping_gives_the_model_number(sdk):
    assert [sdk.ping(servo) for servo in IDS] == [[777, OK, 0]] * 6
    assert sdk.ping(9)[1] == TIMEOUT


def test_registers_are_read_and_written(sdk):
    assert put(sdk, 2, Register.P_GAIN, 16) == [OK, 0]
    assert get(sdk, 2, Register.P_GAIN) == 16
    assert put(sdk, 2, Register.GOAL_VELOCITY, -700) == [OK, 0]
    assert get(sdk, 2, Register.GOAL_VELOCITY) == -700
    put(sdk, 2, Register.GOAL_VELOCITY, 0)


def test_the_calibration_is_in_the_eeprom(sdk):
    found = [
        (
            get(sdk, servo, Register.HOMING_OFFSET),
            get(sdk, servo, Register.MIN_POSITION),
            get(sdk, servo, Register.MAX_POSITION),
        )
        for servo in IDS
    ]
    assert found == [motor.registers for motor in arm_calibration().motors]


def test_goals_written_together_are_reached_and_read_together(sdk):
    torque(sdk, 1)
    goal = [2100, 1900, 2200, 2000, 2300, 1950]
    assert set_goals(sdk, goal) == OK
    wait_until(lambda: positions(sdk) == pytest.approx(goal, abs=1), 2.0, "the goal")
    wait_until(lambda: get(sdk, 1, Register.MOVING) == 0, 2.0, "standing still")


def test_registered_goals_act_together(sdk):
    torque(sdk, 1)
    before = positions(sdk)
    for servo, tick in zip(IDS, before, strict=True):
        data = list(Register.GOAL_POSITION.encode(tick + 60))
        assert sdk.reg_write(servo, Register.GOAL_POSITION.address, data) == [OK, 0]
    assert positions(sdk) == pytest.approx(before, abs=1)
    assert sdk.action(0xFE) == OK
    after = [tick + 60 for tick in before]
    wait_until(lambda: positions(sdk) == pytest.approx(after, abs=1), 2.0, "the registered goal")


def test_without_torque_a_goal_moves_nothing(sdk):
    torque(sdk, 0)
    before = positions(sdk)
    set_goals(sdk, [tick + 100 for tick in before])
    assert positions(sdk) == before


def test_the_homing_offset_moves_what_is_read(sdk):
    torque(sdk, 0)
    before, offset = positions(sdk)[0], MOUNTED_TICKS[0]
    put(sdk, 1, Register.HOMING_OFFSET, offset + 25)
    assert positions(sdk)[0] == before - 25
    put(sdk, 1, Register.HOMING_OFFSET, offset)
    assert positions(sdk)[0] == before


def test_only_an_open_lock_lets_the_eeprom_keep(sdk, side):
    put(sdk, 4, Register.LOCK, 1)
    put(sdk, 4, Register.MAX_TEMPERATURE, 60)
    put(sdk, 5, Register.LOCK, 0)
    put(sdk, 5, Register.MAX_TEMPERATURE, 60)
    assert get(sdk, 4, Register.MAX_TEMPERATURE) == 60
    side.request("power_cycle")
    assert get(sdk, 4, Register.MAX_TEMPERATURE) == 70 and get(sdk, 5, Register.MAX_TEMPERATURE) == 60
    put(sdk, 5, Register.LOCK, 0)
    put(sdk, 5, Register.MAX_TEMPERATURE, 70)
    put(sdk, 5, Register.LOCK, 1)
    for servo in IDS:
        put(sdk, servo, Register.RETURN_DELAY, 0)


def test_a_silent_servo_times_out_and_the_others_answer(sdk, side):
    side.request("servo", servo=3, silent=True)
    assert sdk.ping(3)[1] == TIMEOUT
    _result, values = sdk.sync_read(IDS, Register.PRESENT_POSITION.address, 2)
    assert "2" in values and "3" not in values  # the second SDK reports success all the same
    sdk.drain()
    side.request("servo", servo=3, silent=False)
    assert sdk.ping(3) == [777, OK, 0]


def test_a_wrong_checksum_is_seen(sdk, side):
    side.request("wire", checksum_rate=1.0)
    assert sdk.read(1, Register.PRESENT_POSITION.address, 2)[1] == CORRUPT
    side.request("wire", checksum_rate=0.0)
    assert sdk.read(1, Register.PRESENT_POSITION.address, 2)[1] == OK


def test_at_one_percent_most_goes_well(sdk, side):
    side.request("wire", checksum_rate=0.01, usb_delay_ms=0.0)
    good = 0
    for _ in range(150):
        _result, values = sdk.sync_read(IDS, Register.PRESENT_POSITION.address, 2)
        good += len(values) == len(IDS)
        sdk.drain()
    assert 100 < good < 150


def test_heat_and_voltage_are_in_the_error_byte(sdk, side):
    side.request("servo", servo=2, celsius=80.0)
    wait_until(lambda: sdk.ping(2)[2] == TEMPERATURE_BIT, 1.0, "too hot")
    assert get(sdk, 2, Register.PRESENT_TEMPERATURE) == 80
    side.request("servo", servo=2, celsius=30.0, volts=3.0)
    wait_until(lambda: sdk.ping(2)[2] == VOLTAGE_BIT, 1.0, "too little voltage")
    assert get(sdk, 2, Register.PRESENT_VOLTAGE) == 30


def test_at_another_baud_rate_nobody_understands(sdk):
    assert sdk.baud(500_000) and sdk.ping(1)[1] == TIMEOUT
    assert sdk.baud(1_000_000) and sdk.ping(1) == [777, OK, 0]


def test_without_answers_to_writes_reading_still_works(sdk):
    put(sdk, 6, Register.STATUS_LEVEL, 0)
    assert put(sdk, 6, Register.P_GAIN, 20)[0] == TIMEOUT
    assert get(sdk, 6, Register.P_GAIN) == 20
    put(sdk, 6, Register.STATUS_LEVEL, 1)
    assert put(sdk, 6, Register.P_GAIN, 32)[0] == OK
