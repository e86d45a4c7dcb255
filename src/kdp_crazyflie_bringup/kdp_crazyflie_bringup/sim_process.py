# SPDX-License-Identifier: GPL-3.0-or-later
"""Process `crazyflie_sim`: a simulated Crazyflie in an arena, CRTP on UDP, physics at wall-clock rate."""

from __future__ import annotations

import argparse
import math
import select
import signal
import socket
import sys
import time
import zlib
from collections.abc import Sequence
from typing import Any

from kdp_core.exceptions import ConfigError, KdpError
from kdp_core.sim.arena import Arena
from kdp_core.sim.crazyflie import Crazyflie
from kdp_crazyflie_bringup.crtp import Port
from kdp_crazyflie_bringup.firmware import Firmware
from kdp_crazyflie_bringup.firmware_estimate import StateNoise
from kdp_crazyflie_bringup.firmware_supervisor import State
from kdp_crazyflie_bringup.link_faults import DelayLine, LinkQuality
from kdp_crazyflie_bringup.sim_options import parse
from kdp_planner_ros import side_channel

TICK_S = 0.004
TRUTH_PERIOD_S = 0.020
MAX_CATCH_UP_S = 0.1
MAX_SUBSCRIBERS = 8

Address = tuple[str, int]


class SimProcess:
    """Sockets and clock around a `Firmware` in an `Arena`."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.arena = Arena.load(args.world) if args.world else Arena.random(args.seed, args.poles)
        self.seed: int | None = None if args.world else args.seed
        noise = StateNoise(args.noise_position, args.noise_velocity, args.noise_attitude)
        self.firmware = Firmware(Crazyflie(1), noise, args.seed, args.auto_arm)
        self.up, self.down = DelayLine(2 * args.seed), DelayLine(2 * args.seed + 1)
        self.up.quality = self.down.quality = LinkQuality(args.delay_ms, args.jitter_ms, args.loss)
        self.crtp = _bind(args.port)
        self.control = _bind(args.control_port)
        self.peer: Address | None = None
        self.subscribers: dict[Address, None] = {}
        self.collided = self.outside = False
        self.running = True
        self._answered: tuple[tuple[Address, Any] | None, dict[str, Any]] = (None, {})
        self._place()

    def run(self) -> None:
        """Serve until told to quit."""
        steps = max(1, round(TICK_S / self.firmware.dynamics.dt))
        tick = steps * self.firmware.dynamics.dt
        next_tick = next_truth = time.monotonic()
        while self.running:
            now = time.monotonic()
            wake = min(t for t in (next_tick, self.up.next_due_s(), self.down.next_due_s()) if t is not None)
            readable, _, _ = select.select([self.crtp, self.control], [], [], max(0.0, wake - now))
            self._read(readable)
            now = time.monotonic()
            if now - next_tick > MAX_CATCH_UP_S:
                next_tick = now
            self._deliver(now)
            while self.running and now >= next_tick:
                for datagram in self.firmware.advance(steps):
                    self.down.put(datagram, now)
                self._judge()
                next_tick += tick
            self._send(now)
            if now >= next_truth:
                self._publish(self.truth())
                next_truth = max(next_truth + TRUTH_PERIOD_S, now)

    def close(self) -> None:
        """Close the sockets."""
        self.crtp.close()
        self.control.close()

    def truth(self) -> dict[str, Any]:
        """Return the truth message of now."""
        state, supervisor = self.firmware.truth, self.firmware.supervisor
        return {
            "type": "truth",
            "t_ns": time.monotonic_ns(),
            "position": state.position.tolist(),
            "velocity": state.velocity.tolist(),
            "quaternion": state.quaternion.tolist(),
            "collided": self.collided,
            "outside": self.outside,
            "locked": supervisor.state is State.LOCKED,
            "flying": supervisor.is_flying,
            "armed": supervisor.armed,
            "battery_v": self.firmware.battery.volts,
            "seed": self.seed,
        }

    def _read(self, readable: list[socket.socket]) -> None:
        for sock in readable:
            while True:
                try:
                    datagram, address = sock.recvfrom(side_channel.MAX_DATAGRAM)
                except (BlockingIOError, ConnectionError):
                    break
                if sock is self.control:
                    sock.sendto(side_channel.encode(self._command(datagram, address)), address)
                    continue
                if datagram and datagram[0] != 0xFF:  # a scanner's null packet is no client
                    self.peer = address
                    self.up.put(datagram, time.monotonic())
                else:
                    sock.sendto(b"\xff", address)

    def _deliver(self, now: float) -> None:
        """Hand packets that have arrived to the firmware."""
        for datagram in self.up.take(now):
            if datagram[0] >> 4 == Port.SETPOINT and datagram[0] & 0x03 == 0:
                receipt = {
                    "type": "receipt",
                    "receipt_ns": time.monotonic_ns(),
                    "crc": zlib.crc32(datagram[1:]),
                }
                self._publish(receipt)
            for answer in self.firmware.receive(datagram):
                self.down.put(answer, now)

    def _send(self, now: float) -> None:
        for datagram in self.down.take(now):
            if self.peer is not None:
                try:
                    self.crtp.sendto(datagram, self.peer)
                except (BlockingIOError, ConnectionError):
                    continue  # a full buffer or a client that went away loses the packet, as on the air

    def _judge(self) -> None:
        position = self.firmware.truth.position
        if bool(self.arena.collides(position)):
            self.collided = self.firmware.contact = True
        if bool(self.arena.outside(position)):
            self.outside = True

    def _publish(self, message: dict[str, Any]) -> None:
        datagram = side_channel.encode(message)
        for address in self.subscribers:
            try:
                self.control.sendto(datagram, address)
            except (BlockingIOError, ConnectionError):
                continue

    def _place(self) -> None:
        start = self.arena.start
        self.firmware.place((start[0], start[1], 0.0), seed=self.seed)
        self.collided = self.outside = False

    def _command(self, datagram: bytes, address: Address) -> dict[str, Any]:
        number = None
        try:
            message = side_channel.decode(datagram)
            number = message.get("id")
            if number is not None and (address, number) == self._answered[0]:
                return self._answered[1]
            reply = {"ok": True, **self._execute(message, address)}
        except KdpError as error:
            reply = {"ok": False, "error": str(error)}
        except (KeyError, TypeError, ValueError) as error:
            reply = {"ok": False, "error": f"side channel: bad or missing argument: {error}"}
        if number is not None:
            reply["id"] = number
            self._answered = (address, number), reply
        return reply

    def _execute(self, message: dict[str, Any], address: Address) -> dict[str, Any]:
        command = message.get("cmd")
        if command == "reset":
            if "arena" in message:
                self.arena, self.seed = Arena.from_dict(message["arena"]), None
            else:
                self.arena = Arena.random(int(message["seed"]), int(message.get("poles", 16)))
                self.seed = int(message["seed"])
            self._place()
            return {"arena": self.arena.to_dict(), "seed": self.seed}
        if command == "freeze":
            until = time.monotonic() + _finite(message, "seconds")
            self.up.frozen_until_s = self.down.frozen_until_s = until
        elif command == "link":
            names = ("delay_ms", "jitter_ms", "loss")
            self.up.quality = self.down.quality = LinkQuality(
                **{name: _finite(message, name) for name in names if name in message}
            )
        elif command == "battery":
            self.firmware.battery.set_volts(_finite(message, "volts"))
        elif command == "subscribe":
            if len(self.subscribers) >= MAX_SUBSCRIBERS:
                self.subscribers.pop(next(iter(self.subscribers)))
            self.subscribers[(address[0], int(message["port"]))] = None
        elif command == "status":
            quality = self.up.quality
            link = {"delay_ms": quality.delay_ms, "jitter_ms": quality.jitter_ms, "loss": quality.loss}
            return {"truth": self.truth(), "link": link}
        elif command == "quit":
            self.running = False
        else:
            raise ConfigError(f"side channel: unknown command {command!r}")
        return {}


def _finite(message: dict[str, Any], name: str) -> float:
    value = float(message[name])
    if not math.isfinite(value):
        raise ConfigError(f"side channel: {name} must be finite")
    return value


def _bind(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        sock.close()
        raise ConfigError(f"cannot listen on UDP port {port}: {error}") from None
    sock.setblocking(False)
    return sock


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulated Crazyflie until SIGINT, SIGTERM or `quit`."""
    args = parse(argv)
    try:
        process = SimProcess(args)
    except KdpError as error:
        print(f"crazyflie_sim: {error}", file=sys.stderr)
        return 2

    def stop(_signal: int, _frame: object) -> None:
        process.running = False

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    print(f"crazyflie_sim: udp://127.0.0.1:{args.port}, side channel {args.control_port}", flush=True)
    try:
        process.run()
    finally:
        process.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
