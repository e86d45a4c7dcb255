"""Registers, signs, the EEPROM and its lock."""

import pytest

from kdp_so100_bringup.registers import Register, is_writable
from kdp_so100_bringup.servo_memory import ServoMemory


@pytest.mark.parametrize(
    ("register", "value", "raw"),
    [
        (Register.HOMING_OFFSET, -5, "05 08"),
        (Register.HOMING_OFFSET, 2047, "FF 07"),
        (Register.HOMING_OFFSET, -3000, "FF 0F"),  # cut to what fits
        (Register.PRESENT_LOAD, -300, "2C 05"),
        (Register.PRESENT_POSITION, -1, "01 80"),
        (Register.GOAL_POSITION, 2048, "00 08"),
        (Register.MODEL, 777, "09 03"),
    ],
)
def test_signs_are_a_bit_beside_the_magnitude(register, value, raw):
    assert register.encode(value).hex(" ").upper() == raw
    assert register.decode(bytes.fromhex(raw)) == max(value, -2047 if register.sign_bit == 11 else value)


def test_registers_do_not_overlap():
    taken = [address for r in Register for address in range(r.address, r.address + r.size)]
    assert len(taken) == len(set(taken))


def test_what_is_read_only_stays_and_beyond_the_table_is_zero():
    memory = ServoMemory()
    memory.write(Register.MODEL.address, b"\x01\x01")
    memory.write(Register.PRESENT_POSITION.address, b"\x01\x01")
    memory.write(250, b"\x01" * 20)
    assert memory.get(Register.MODEL) == 777 and memory.get(Register.PRESENT_POSITION) == 0
    assert memory.read(86, 4) == bytes(4) and memory.read(254, 6) == bytes(6)
    assert is_writable(55) and not is_writable(56)


def test_the_lock_decides_what_is_kept_without_power():
    memory = ServoMemory()
    memory.write(Register.P_GAIN.address, b"\x10")  # locked
    assert memory.get(Register.P_GAIN) == 16
    memory.write(Register.LOCK.address, b"\x00")
    memory.write(Register.HOMING_OFFSET.address, Register.HOMING_OFFSET.encode(-99))
    memory.write(Register.ACCELERATION.address, b"\x32")
    memory.write(Register.LOCK.address, b"\x01")
    memory.power_up()
    assert memory.get(Register.P_GAIN) == Register.P_GAIN.factory
    assert memory.get(Register.HOMING_OFFSET) == -99
    assert memory.get(Register.ACCELERATION) == 0 and memory.get(Register.LOCK) == 1


def test_the_largest_torque_becomes_the_limit_at_power_up():
    memory = ServoMemory()
    memory.write(Register.LOCK.address, b"\x00")
    memory.write(Register.MAX_TORQUE.address, Register.MAX_TORQUE.encode(500))
    assert memory.get(Register.TORQUE_LIMIT) == 1000
    memory.power_up()
    assert memory.get(Register.TORQUE_LIMIT) == 500
