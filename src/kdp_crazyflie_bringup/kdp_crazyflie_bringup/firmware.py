# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated Crazyflie firmware: CRTP packets in, CRTP packets out, around simulated dynamics.

Plain Python without sockets, threads or a clock: the owner calls `receive` for each packet and `advance` for
each slice of time, so tests run it faster than real time. Wire format: :mod:`.crtp` and cflib 0.1.34.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kdp_crazyflie_bringup import crtp
from kdp_crazyflie_bringup.crtp import Port, packet
from kdp_crazyflie_bringup.firmware_battery import Battery, PowerState
from kdp_crazyflie_bringup.firmware_commander import OFF, Commander, Kind, Priority, Setpoint, decode_setpoint
from kdp_crazyflie_bringup.firmware_estimate import StateNoise, Truth, log_values, noisy
from kdp_crazyflie_bringup.firmware_high_level import HighLevelCommander, Mode
from kdp_crazyflie_bringup.firmware_log import LogServer
from kdp_crazyflie_bringup.firmware_param import ParamServer
from kdp_crazyflie_bringup.firmware_supervisor import Conditions, Info, State, Supervisor


class Firmware:
    """One simulated Crazyflie.

    Args:
        dynamics: `kdp_core.sim.crazyflie.Crazyflie` with one drone.
        noise: noise of the state estimate.
        seed: seed of that noise.
        auto_arm: arm by itself, as a brushed Crazyflie does.
    """

    def __init__(
        self, dynamics: Any, noise: StateNoise | None = None, seed: int = 0, auto_arm: bool = False
    ) -> None:
        self.dynamics = dynamics
        self.time_s = 0.0
        self.contact = False
        self.supervisor = Supervisor(auto_arm)
        self.commander = Commander()
        self.high_level = HighLevelCommander()
        self.battery = Battery()
        self.params = ParamServer(self._param_written)
        self.log = LogServer(self._log_values)
        self._noise = noise or StateNoise()
        self._rng = np.random.default_rng(seed)
        self._applied: Setpoint | None = OFF

    @property
    def truth(self) -> Truth:
        """State of the dynamics."""
        d = self.dynamics
        return Truth(d.position[0], d.velocity[0], d.quaternion[0], d.body_rates[0], d.acceleration[0])

    @property
    def info(self) -> Info:
        """The supervisor's info bits."""
        info = self.supervisor.info()
        if self.high_level.mode is not Mode.IDLE:
            info |= Info.HL_ACTIVE
        if self.high_level.finished(self.time_s):
            info |= Info.HL_FINISHED
        return info

    def place(self, position: ArrayLike, yaw: float = 0.0, seed: int | None = None) -> None:
        """Put the drone down at rest and reboot all but the link: log blocks and parameters stay."""
        self.dynamics.reset(0, np.asarray(position, dtype=np.float64), yaw)
        self.supervisor.reboot()
        self.commander = Commander()
        self.high_level = HighLevelCommander()
        self.battery = Battery()
        self.contact = False
        self._applied = OFF
        if seed is not None:
            self._rng = np.random.default_rng(seed)

    def receive(self, datagram: bytes) -> list[bytes]:
        """Handle one packet and return the answers."""
        if not datagram or len(datagram) > crtp.MAX_DATA + 1:
            return []
        if datagram[0] == crtp.NULL_PACKET:
            return [bytes([crtp.NULL_PACKET])]
        port, channel, data = crtp.split(datagram)
        if port == Port.LOG:
            return self.log.handle(channel, data, self.time_s)
        if port == Port.PARAM:
            return self.params.handle(channel, data)
        if port == Port.LINK:
            return self._link(channel, data)
        if port == Port.PLATFORM:
            return self._platform(channel, data)
        if port == Port.MEM:
            return self._memory(channel, data)
        if port == Port.SUPERVISOR:
            return self._supervisor(channel, data)
        if port == Port.HIGH_LEVEL:
            return self._high_level(data)
        if port in (Port.SETPOINT, Port.COMMANDER):
            self._setpoint(port, channel, data)
        elif port == Port.LOCALIZATION and channel == 1 and data[:1] == b"\x03":
            self.supervisor.emergency_stop()
        elif port == Port.LOCALIZATION and channel == 1 and data[:1] == b"\x04":
            self.supervisor.keep_alive(self.time_s)
        return []

    def advance(self, n_steps: int) -> list[bytes]:
        """Run the control loop once and the physics n_steps, and return the log packets that are due."""
        if self.supervisor.can_fly:
            target = self.high_level.setpoint(self.time_s)
            wanted = OFF if target is None else Setpoint(Kind.POSITION, (*target[0], target[1]))
            self.commander.offer(wanted, Priority.HIGH_LEVEL, self.time_s)
        state = self.supervisor.update(
            self.time_s,
            Conditions(
                setpoint_age_s=self.time_s - self.commander.time_s,
                thrust=self.commander.setpoint.kind is not Kind.OFF,
                acc=self.truth.specific_force_g(),
                contact=self.contact,
            ),
        )
        self._apply(state)
        dt = n_steps * self.dynamics.dt
        self.dynamics.step(n_steps)
        self.time_s += dt
        self.battery.step(dt, flying=self._applied is not OFF)
        if self.battery.state is PowerState.SHUT_DOWN:
            self.supervisor.emergency_stop()
        return self.log.due(self.time_s)

    def _apply(self, state: State) -> None:
        """Hand the active setpoint to the dynamics, as the supervisor allows."""
        if state is State.LEVEL_OUT:
            self.dynamics.level()
            self._applied = None
            return
        wanted = self.commander.setpoint if self.supervisor.can_fly else OFF
        if wanted is self._applied:
            return
        self._applied = wanted
        if wanted.kind is Kind.OFF:
            self.dynamics.motors_off()
            return
        a, b, c, d = wanted.values
        limits = [self.params.values[f"posCtlPid.{axis}VelMax"] for axis in "xyz"]
        if wanted.kind is Kind.VELOCITY:
            self.dynamics.velocity_world(np.clip([a, b, c], [-v for v in limits], limits), d)
        elif wanted.kind is Kind.HOVER:
            vx, vy = np.clip([a, b], [-v for v in limits[:2]], limits[:2])
            self.dynamics.hover(vx, vy, c, d)
        else:
            self.dynamics.position_setpoint(np.array([a, b, c]), d)

    def _setpoint(self, port: int, channel: int, data: bytes) -> None:
        if port == Port.COMMANDER:
            # Legacy roll-pitch-yaw-thrust: only "no thrust" is simulated, which cflib sends on closing.
            if len(data) == 14 and struct.unpack_from("<H", data, 12)[0] == 0:
                self._take(OFF)
        elif channel == 0:
            setpoint = decode_setpoint(data)
            if setpoint is not None:
                self._take(setpoint)
        elif channel == 1 and data[:1] == b"\x00":
            self.commander.relax()

    def _take(self, setpoint: Setpoint) -> None:
        if self.commander.offer(setpoint, Priority.LINK, self.time_s):
            self.high_level.stop()

    def _high_level(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        truth = self.truth
        position = (float(truth.position[0]), float(truth.position[1]), float(truth.position[2]))
        velocity = (float(truth.velocity[0]), float(truth.velocity[1]), float(truth.velocity[2]))
        error = self.high_level.handle(data, self.time_s, position, velocity, truth.roll_pitch_yaw()[2])
        return [packet(Port.HIGH_LEVEL, 0, (data + b"\0\0\0")[:3] + bytes([error]))]

    def _supervisor(self, channel: int, data: bytes) -> list[bytes]:
        if not data:
            return []
        command, answer = data[0], b""
        if channel == 0 and command == 0x0C:
            answer = struct.pack("<H", self.info)
        elif channel == 0 and 0x01 <= command <= 0x0B:
            answer = bytes([self.info >> (command - 1) & 1])
        elif channel == 1 and command == 0x01 and len(data) > 1:
            granted = self.supervisor.request_arming(bool(data[1]))
            answer = bytes([granted, self.supervisor.armed])
        elif channel == 1 and command == 0x02:
            granted = self.supervisor.request_recovery()
            answer = bytes([granted, not self.supervisor.crashed])
        elif channel == 1 and command == 0x03:
            self.supervisor.emergency_stop()
        elif channel == 1 and command == 0x04:
            self.supervisor.keep_alive(self.time_s)
        return [packet(Port.SUPERVISOR, channel, bytes([0x80 | command]) + answer)] if answer else []

    @staticmethod
    def _link(channel: int, data: bytes) -> list[bytes]:
        if channel == 0:
            return [packet(Port.LINK, 0, data)]
        if channel == 1:
            return [packet(Port.LINK, 1, b"Bitcraze Crazyflie".ljust(crtp.MAX_DATA, b"\0"))]
        return []

    def _platform(self, channel: int, data: bytes) -> list[bytes]:
        if channel == 1 and data[:1] == b"\x00":
            return [packet(Port.PLATFORM, 1, bytes([0, crtp.PROTOCOL_VERSION]))]
        if channel == 1 and data[:1] == b"\x01":
            return [packet(Port.PLATFORM, 1, b"\x01kdp simulated firmware\0")]
        if channel == 0 and data[:1] == b"\x01" and len(data) > 1:
            granted = self.supervisor.request_arming(bool(data[1]))
            return [packet(Port.PLATFORM, 0, bytes([1, granted, self.supervisor.armed]))]
        return []

    @staticmethod
    def _memory(channel: int, data: bytes) -> list[bytes]:
        if channel == 0 and data[:1] == b"\x01":
            return [packet(Port.MEM, 0, b"\x01\x00")]
        if channel in (1, 2) and len(data) >= 5:
            return [packet(Port.MEM, channel, data[:5] + bytes([crtp.Errno.ENOENT]))]
        return []

    def _param_written(self, name: str, value: float) -> None:
        if name == "stabilizer.stop" and value:
            self.supervisor.emergency_stop()

    def _log_values(self) -> Mapping[str, float]:
        values = dict(log_values(noisy(self.truth, self._noise, self._rng)))
        info = self.info
        values |= {
            "pm.vbat": self.battery.volts,
            "pm.vbatMV": 1000 * self.battery.volts,
            "pm.state": self.battery.state,
            "pm.batteryLevel": self.battery.level,
            "supervisor.info": info,
            "sys.canfly": Info.CAN_FLY in info,
            "sys.isFlying": Info.IS_FLYING in info,
            "sys.isTumbled": Info.IS_TUMBLED in info,
            "sys.armed": Info.IS_ARMED in info,
        }
        return values
