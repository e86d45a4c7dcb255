# SPDX-License-Identifier: GPL-3.0-or-later
"""cflib, made safe for a node: connecting with a time-out, one log block of state, sending that cannot block.

What cflib 0.1.34 does and this file works around (seen on ``udp://`` links):
- ``open_link`` waits for ever when one reply is lost: connecting runs in a thread with its own time-out.
- a silent peer is never reported: `state_age_s` grows, and the owner watches it.
- an error while sending closes the link inside ``send_packet``, joins the ping thread with a lock held that
  the ping thread may be waiting for, and waits up to 1 s for the receiver: here the error sets a flag and
  the connecting thread cleans up; the ping thread is stopped after connecting.
- ``close_link`` sends zero thrust: never called in flight, see `close`.
"""

from __future__ import annotations

import logging
import math
import struct
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import cflib.crtp
from cflib.crazyflie import Crazyflie
from cflib.crazyflie.log import LogConfig
from cflib.crtp.crtpstack import CRTPPacket, CRTPPort

from kdp_crazyflie_bringup.drone_state import LOG_VARIABLES, DroneState, state_from_log
from kdp_crazyflie_bringup.link_options import LinkOptions


class CrazyflieLink:
    """A link that keeps itself open.

    Args:
        options: how to connect.
        on_state: called with each state, from cflib's receiving thread.
        report: called with (level, text): "info" or "error", from any thread.
    """

    def __init__(
        self, options: LinkOptions, on_state: Callable[[DroneState], None], report: Callable[[str, str], None]
    ) -> None:
        self.options = options
        self.state: DroneState | None = None
        self.connected = self.was_connected = False
        self.fault = ""
        self._on_state, self._report = on_state, report
        self._cf: Any = None
        self._closing = threading.Event()
        self._broken = threading.Event()
        self._arming = threading.Event()
        self._arming_answer = (False, False)
        self._high_level_answer: tuple[int, int] | None = None
        self._last_crc = 0
        self._thread = threading.Thread(target=self._keep_open, name="crazyflie_link", daemon=True)

    def open(self) -> None:
        """Start connecting in the background."""
        cflib.crtp.init_drivers()
        logging.getLogger("cflib").setLevel(logging.ERROR)  # a lost link is reported once, by us
        self._thread.start()

    def close(self, in_flight: bool = False) -> None:
        """Close the link. In flight no zero-thrust packet is sent: the firmware goes on with what it does."""
        self._closing.set()
        self._broken.set()
        self._thread.join(3.0)
        cf, self._cf, self.connected = self._cf, None, False
        if cf is not None:
            _tear_down(cf, in_flight)

    def declare_lost(self) -> None:
        """Give the link up and connect anew: cflib never notices a peer that fell silent or was restarted."""
        self._broken.set()

    def state_age_s(self) -> float:
        """Seconds since the newest state was received; infinite if there was none on this link."""
        state = self.state
        return math.inf if state is None else (time.monotonic_ns() - state.received_ns) * 1e-9

    def send_velocity_world(self, vx: float, vy: float, vz: float, yaw_rate: float) -> int:
        """Send a velocity setpoint (m/s, rad/s) and return the CRC-32 of its bytes, 0 if there is no link."""
        return self._send(
            lambda cf: cf.commander.send_velocity_world_setpoint(vx, vy, vz, math.degrees(yaw_rate))
        )

    def send_hover(self, vx: float, vy: float, yaw_rate: float, height: float) -> int:
        """Send a hover setpoint (body frame m/s, rad/s, m); returns as `send_velocity_world`."""
        return self._send(lambda cf: cf.commander.send_hover_setpoint(vx, vy, math.degrees(yaw_rate), height))

    def send_position(self, x: float, y: float, z: float, yaw: float) -> int:
        """Send a position setpoint (m, rad); returns as `send_velocity_world`."""
        return self._send(lambda cf: cf.commander.send_position_setpoint(x, y, z, math.degrees(yaw)))

    def notify_setpoints_stop(self) -> None:
        """Let the high-level commander take over from low-level setpoints."""
        self._send(lambda cf: cf.commander.send_notify_setpoint_stop())

    def high_level(self, send: Callable[[Any], None]) -> None:
        """Send a high-level command: `send` gets cflib's HighLevelCommander. See `high_level_answer`."""
        self._high_level_answer = None
        self._send(lambda cf: send(cf.high_level_commander))

    def high_level_answer(self) -> tuple[int, int] | None:
        """Return (command, error number) answering the last command, None before."""
        return self._high_level_answer

    def arm(self, arm: bool, timeout_s: float = 0.3) -> tuple[bool, str]:
        """Arm or disarm and return (done, why not)."""
        self._arming.clear()
        if not self.connected:
            return False, "no link to the Crazyflie"
        self._send(lambda cf: cf.supervisor.send_arming_request(arm))
        deadline = time.monotonic() + timeout_s
        while self._arming.wait(max(0.0, deadline - time.monotonic())):
            granted, armed = self._arming_answer
            if not granted:
                return False, "the Crazyflie refused the arming request"
            if armed == arm:
                return True, ""
            self._arming.clear()  # a late answer to an earlier, opposite request
        return False, "the Crazyflie did not answer the arming request"

    def emergency_stop(self) -> bool:
        """Stop the motors for good, sent three times; returns whether there is a link."""
        for _ in range(3):
            self._send(lambda cf: cf.supervisor.send_emergency_stop())
        return self.connected

    def _send(self, send: Callable[[Any], None]) -> int:
        cf = self._cf
        if cf is None or not self.connected or self._broken.is_set():
            return 0
        self._last_crc = 0
        try:
            send(cf)
        except (OverflowError, struct.error) as error:  # a value that does not fit must not end the node
            self._report("error", f"a packet was not sent: {error}")
        return self._last_crc

    def _keep_open(self) -> None:
        while not self._closing.is_set():
            self._broken.clear()
            if self._connect():
                self._broken.wait()
                if not self._closing.is_set():
                    self.connected, self.fault = False, "link_lost"
                    self._report("error", f"link to {self.options.uri} lost")
            if self._closing.is_set():
                return
            cf, self._cf = self._cf, None
            if cf is not None:
                _tear_down(cf, in_flight=True)
            if self.options.reconnect_s <= 0:
                return
            self._closing.wait(self.options.reconnect_s)

    def _connect(self) -> bool:
        """One attempt; returns whether the first state has arrived."""
        cf = Crazyflie()
        self._cf, self.state = cf, None
        done, failure = threading.Event(), [""]
        first_state = threading.Event()

        def failed(_uri: str, message: str) -> None:
            lines = [line for line in message.splitlines() if line.startswith("Exception:")]
            failure[0] = lines[0] if lines else message[:80]
            self._broken.set()
            done.set()

        cf.connection_failed.add_callback(failed)
        cf.connection_lost.add_callback(failed)
        cf.connected.add_callback(lambda _uri: done.set())
        cf.fully_connected.add_callback(lambda _uri: self._write_params(cf))
        cf.packet_sent.add_callback(self._packet_sent)
        cf.add_port_callback(CRTPPort.SUPERVISOR, self._supervisor_packet)
        cf.add_port_callback(CRTPPort.SETPOINT_HL, self._high_level_packet)
        deadline = time.monotonic() + self.options.connect_timeout_s
        # Its own thread, because with a radio this call itself may block.
        threading.Thread(target=cf.open_link, args=(self.options.uri,), daemon=True).start()
        self._wait(done, deadline)
        if done.is_set() and not failure[0]:
            cf.link_statistics.stop()
            if hasattr(cf.link, "link_error_callback"):
                cf.link.link_error_callback = lambda _message: self._broken.set()
            self._start_log(cf, first_state)
            self._wait(first_state, deadline)
        if not first_state.is_set():
            if not self._closing.is_set() and self.fault != "link_lost":
                self.fault = "link_lost"
                why = failure[0] or f"no answer within {self.options.connect_timeout_s:g} s"
                self._report("error", f"cannot connect to {self.options.uri}: {why}")
            return False
        self.connected, self.fault = True, ""
        self.was_connected = True
        self._report("info", f"connected to {self.options.uri}")
        return True

    def _wait(self, event: threading.Event, deadline: float) -> None:
        while time.monotonic() < deadline and not self._closing.is_set() and not self._broken.is_set():
            if event.wait(0.02):
                return

    def _start_log(self, cf: Any, first_state: threading.Event) -> None:
        config = LogConfig("state", self.options.period_ms)
        for name, ctype in LOG_VARIABLES:
            config.add_variable(name, ctype)

        def received(_timestamp: int, values: dict[str, Any], _config: LogConfig) -> None:
            self.state = state_from_log(values, time.monotonic_ns())
            first_state.set()
            self._on_state(self.state)

        config.data_received_cb.add_callback(received)
        try:
            cf.log.add_config(config)
            config.start()
        except (KeyError, AttributeError) as error:
            self._report("error", f"the firmware does not log what the driver needs: {error}")

    def _write_params(self, cf: Any) -> None:
        for name, value in self.options.firmware_params.items():
            try:
                cf.param.set_value(name, value)
            except (KeyError, AttributeError) as error:
                self._report("error", f"firmware parameter {name} was not written: {error}")

    def _packet_sent(self, packet: CRTPPacket) -> None:
        if packet.port == CRTPPort.COMMANDER_GENERIC and packet.channel == 0:
            self._last_crc = zlib.crc32(bytes(packet.data))

    def _supervisor_packet(self, packet: CRTPPacket) -> None:
        if packet.channel == 1 and len(packet.data) >= 3 and packet.data[0] == 0x81:
            self._arming_answer = bool(packet.data[1]), bool(packet.data[2])
            self._arming.set()

    def _high_level_packet(self, packet: CRTPPacket) -> None:
        if len(packet.data) >= 4:
            self._high_level_answer = packet.data[0], packet.data[3]


def _tear_down(cf: Any, in_flight: bool) -> None:
    """Close a cflib link whatever state it is in; in flight without cflib's zero-thrust packet."""
    link = cf.link
    try:
        if in_flight and link is not None:
            cf.link = None
            link.close()
        cf.close_link()
    except Exception:
        return
