# SPDX-License-Identifier: GPL-3.0-or-later
"""A link for tests: the simulated firmware without sockets, on a clock that the test turns."""

import math
import struct
import zlib

from kdp_core.sim.crazyflie import Crazyflie
from kdp_crazyflie_bringup.crtp import packet
from kdp_crazyflie_bringup.drone_state import DroneState
from kdp_crazyflie_bringup.firmware import Firmware
from kdp_crazyflie_bringup.firmware_estimate import StateNoise
from kdp_crazyflie_bringup.flight_control import FlightControl
from kdp_crazyflie_bringup.flight_phase import Phase, Timeouts
from kdp_crazyflie_bringup.safety import Limits

PERIOD_S = 0.02


class FirmwareLink:
    """What `FlightControl` sees of a `CrazyflieLink`; `step` advances the firmware."""

    def __init__(self, position=(2.0, 0.0, 0.0)):
        self.firmware = Firmware(Crazyflie(1), StateNoise(0.0, 0.0, 0.0))
        self.firmware.place(position)
        self.connected, self.fault, self.age_s = True, "", 0.0
        self._answer, self.sent = None, []
        self.step()

    @property
    def now_s(self):
        return self.firmware.time_s

    @property
    def z(self):
        return float(self.firmware.truth.position[2])

    def step(self):
        """One state period."""
        for _ in range(5):
            self.firmware.advance(2)
        truth = self.firmware.truth
        x, y, z, w = (float(v) for v in truth.quaternion)
        self.state = DroneState(
            received_ns=round(self.now_s * 1e9),
            position=tuple(float(v) for v in truth.position),
            velocity=tuple(float(v) for v in truth.velocity),
            quaternion=(x, y, z, w),
            body_rates=(0.0, 0.0, 0.0),
            battery_v=self.firmware.battery.volts,
            info=self.firmware.info,
        )

    def state_age_s(self):
        return self.age_s

    def declare_lost(self):
        self.connected = False

    def notify_setpoints_stop(self):
        self.firmware.receive(packet(7, 1, struct.pack("<BI", 0, 0)))

    def arm(self, arm, timeout_s=0.3):
        self.firmware.receive(packet(9, 1, bytes([1, arm])))
        self.step()
        self.step()
        return True, ""

    def emergency_stop(self):
        self.firmware.receive(packet(9, 1, b"\x03"))
        return True

    def send_velocity_world(self, vx, vy, vz, yaw_rate):
        return self._setpoint(8, vx, vy, vz, math.degrees(yaw_rate))

    def send_hover(self, vx, vy, yaw_rate, height):
        return self._setpoint(10, vx, vy, math.degrees(yaw_rate), height)

    def send_position(self, x, y, z, yaw):
        return self._setpoint(7, x, y, z, math.degrees(yaw))

    def _setpoint(self, kind, *values):
        data = struct.pack("<Bffff", kind, *values)
        self.sent.append((kind, *values))
        self.firmware.receive(packet(7, 0, data))
        return zlib.crc32(data)

    def high_level(self, send):
        self._answer = None
        send(self)

    def high_level_answer(self):
        return self._answer

    def takeoff(self, height, duration, yaw=None):
        self._high_level(struct.pack("<BBff?f", 7, 0, height, 0.0, True, duration))

    def land(self, height, duration, yaw=None):
        self._high_level(struct.pack("<BBff?f", 8, 0, height, 0.0, True, duration))

    def go_to(self, x, y, z, yaw, duration, relative=False):
        self._high_level(struct.pack("<BB??fffff", 12, 0, relative, False, x, y, z, yaw, duration))

    def _high_level(self, data):
        answer = self.firmware.receive(packet(8, 0, data))[0]
        self._answer = answer[1], answer[4]


def make_control(link, limits=None):
    """A `FlightControl` on the link, and the list of what it reports."""
    reports = []
    made = FlightControl(
        link, limits or Limits(), Timeouts(), lambda level, text: reports.append((level, text))
    )
    return made, reports


def fly(control, seconds, each=lambda now_s: None, until=lambda: False):
    """Let the clock run; `each` is called every period. Returns the velocities seen, (n, 3)."""
    link, seen = control.link, []
    end = link.now_s + seconds
    while link.now_s < end and not until():
        each(link.now_s)
        control.update(link.now_s)
        link.step()
        seen.append(link.state.velocity)
    return seen


def airborne(limits=None, height=1.0):
    """A drone that has taken off by a control of its own: (control, link, reports)."""
    link = FirmwareLink()
    control, reports = make_control(link, limits)
    assert control.arm(True)[0]
    done, why = control.takeoff(height, 0.0, link.now_s)
    assert done, why
    fly(control, 20.0, until=lambda: control.phases.phase is Phase.ACTIVE)
    fly(control, 1.0)
    assert abs(link.z - height) < 0.1
    return control, link, reports
