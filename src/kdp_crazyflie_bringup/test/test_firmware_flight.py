"""Behaviour of the simulated firmware in flight, faster than real time: no sockets, no clock."""

import struct

import pytest

from kdp_core.sim.crazyflie import Crazyflie
from kdp_crazyflie_bringup.crtp import packet
from kdp_crazyflie_bringup.firmware import Firmware
from kdp_crazyflie_bringup.firmware_supervisor import Info, State

STOP = packet(7, 0, b"\x00")
NOTIFY = packet(7, 1, struct.pack("<BI", 0, 0))
ARM = packet(9, 1, b"\x01\x01")


def velocity(vx=0.0, vy=0.0, vz=0.0):
    return packet(7, 0, struct.pack("<Bffff", 8, vx, vy, vz, 0.0))


def run(firmware, seconds, send=None, every=0.02):
    """Advance; `send` is received every `every` seconds."""
    ticks = round(seconds / 0.004)
    for i in range(ticks):
        if send is not None and i % round(every / 0.004) == 0:
            firmware.receive(send)
        firmware.advance(2)


@pytest.fixture
def flying():
    """A drone that has taken off to 1 m."""
    firmware = Firmware(Crazyflie(1))
    run(firmware, 0.1)
    firmware.receive(ARM)
    run(firmware, 0.1)
    firmware.receive(packet(8, 0, struct.pack("<BBff?f", 7, 0, 1.0, 0.0, True, 2.0)))
    run(firmware, 3.5)
    return firmware


def test_takeoff_reaches_the_height_and_holds(flying):
    assert flying.truth.position[2] == pytest.approx(1.0, abs=0.12)
    assert Info.IS_FLYING | Info.HL_ACTIVE in flying.info


def test_setpoints_before_arming_do_not_move_it():
    firmware = Firmware(Crazyflie(1))
    run(firmware, 1.0, velocity(vz=0.5))
    assert firmware.truth.position[2] == 0.0 and Info.CAN_FLY not in firmware.info


def test_velocity_setpoint_is_followed_and_capped_at_1_m_s(flying):
    run(flying, 3.0, velocity(vx=0.4))
    assert flying.truth.velocity[0] == pytest.approx(0.4, abs=0.1)
    run(flying, 4.0, velocity(vx=3.0))
    assert 0.8 < flying.truth.velocity[0] < 1.1


def test_after_500_ms_without_setpoints_it_levels_out_and_keeps_its_height(flying):
    run(flying, 1.0, velocity(vx=0.3))
    height = flying.truth.position[2]
    run(flying, 0.4)
    assert flying.supervisor.state is State.FLYING
    run(flying, 0.2)
    assert flying.supervisor.state is State.LEVEL_OUT
    run(flying, 0.8)
    assert flying.truth.position[2] == pytest.approx(height, abs=0.1)
    run(flying, 0.2, velocity())
    assert flying.supervisor.state is State.FLYING


def test_after_2_s_without_setpoints_it_drops_and_is_locked_until_reboot(flying):
    run(flying, 1.0, velocity())
    run(flying, 2.2)
    assert flying.supervisor.state is State.LOCKED and Info.IS_LOCKED in flying.info
    run(flying, 1.5)
    assert flying.truth.position[2] == 0.0
    assert flying.receive(ARM) == [packet(9, 1, b"\x81\x00\x00")]
    run(flying, 1.0, velocity(vz=0.5))
    assert flying.truth.position[2] == 0.0
    flying.place((0.0, 0.0, 0.0))
    run(flying, 0.1)
    assert flying.receive(ARM) == [packet(9, 1, b"\x81\x01\x01")]


def test_low_level_setpoints_hide_the_high_level_commander_until_notified(flying):
    run(flying, 0.5, velocity())
    land = packet(8, 0, struct.pack("<BBff?f", 8, 0, 0.0, 0.0, True, 2.0))
    flying.receive(land)
    run(flying, 1.0, velocity())  # each setpoint stops the high-level commander again
    assert flying.truth.position[2] > 0.8
    flying.receive(land)
    flying.receive(NOTIFY)
    run(flying, 3.0)
    assert flying.truth.position[2] < 0.02
    run(flying, 6.0)
    assert Info.IS_ARMED not in flying.info  # disarms 3 s after it noticed the landing
    assert Info.IS_LOCKED not in flying.info


def test_notify_alone_stops_the_motors(flying):
    run(flying, 0.5, velocity())
    flying.receive(NOTIFY)
    run(flying, 1.5)
    assert flying.truth.position[2] == 0.0


def test_go_to_is_smooth_and_arrives(flying):
    flying.receive(packet(8, 0, struct.pack("<BB??fffff", 12, 0, True, False, 1.0, -0.5, 0.2, 0.0, 4.0)))
    speeds = []
    for _ in range(100):
        run(flying, 0.05)
        speeds.append(abs(flying.truth.velocity[0]))
    assert flying.truth.position == pytest.approx([1.0, -0.5, 1.2], abs=0.1)
    assert max(speeds) < 0.8


@pytest.mark.parametrize("stop", [packet(9, 1, b"\x03"), packet(6, 1, b"\x03")])
def test_emergency_stop_latches(flying, stop):
    flying.receive(stop)
    run(flying, 1.5, velocity())
    assert Info.IS_LOCKED in flying.info and flying.truth.position[2] == 0.0


def test_emergency_watchdog_is_armed_by_its_first_keep_alive(flying):
    keep_alive = packet(9, 1, b"\x04")
    run(flying, 2.0, keep_alive, every=0.5)
    assert Info.IS_LOCKED not in flying.info
    run(flying, 1.2)
    assert Info.IS_LOCKED in flying.info


def test_stop_setpoint_and_legacy_zero_thrust_stop_the_motors(flying):
    flying.receive(packet(3, 0, struct.pack("<fffH", 0, 0, 0, 0)))
    run(flying, 0.4)
    assert flying.truth.velocity[2] < -2.0


def test_contact_with_a_pole_crashes_it(flying):
    flying.contact = True
    run(flying, 0.1)
    assert Info.IS_CRASHED in flying.info and Info.CAN_FLY not in flying.info
    run(flying, 1.5)
    assert flying.truth.position[2] == 0.0


def test_armed_but_not_flown_disarms_after_30_s():
    firmware = Firmware(Crazyflie(1))
    run(firmware, 0.1)
    firmware.receive(ARM)
    run(firmware, 29.0)
    assert Info.IS_ARMED in firmware.info
    run(firmware, 2.0)
    assert Info.IS_ARMED not in firmware.info


def test_critical_battery_shuts_down_after_5_s(flying):
    flying.battery.set_volts(2.9)
    run(flying, 4.5)
    assert Info.IS_LOCKED not in flying.info
    run(flying, 1.0)
    assert Info.IS_LOCKED in flying.info


def test_noise_is_seeded():
    def reading(seed):
        return Firmware(Crazyflie(1), seed=seed)._log_values()["stateEstimateZ.x"]

    assert reading(4) == reading(4) != reading(5)
