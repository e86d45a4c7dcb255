"""Process `so100_sim`: a simulated SO-100 on a pseudo-terminal, physics at wall-clock rate.

The bus has a thread of its own, which sleeps in `select` and holds the servos' lock for microseconds; physics
runs here in small batches outside that lock, so that neither waits for the other.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import queue
import select
import signal
import socket
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from kdp_core.exceptions import ConfigError, KdpError
from kdp_planner_ros import side_channel
from kdp_so100_bringup.bus_server import BusServer
from kdp_so100_bringup.bus_wire import Wire, WireQuality
from kdp_so100_bringup.pty_port import PtyPort
from kdp_so100_bringup.servo_bus import ServoBus
from kdp_so100_bringup.sim_arm import arm_calibration
from kdp_so100_bringup.sim_options import parse
from kdp_so100_bringup.sim_world import SimWorld

STEPS_PER_TICK = 2
TRUTH_PERIOD_S = 0.020
MAX_CATCH_UP_S = 0.1
MAX_SUBSCRIBERS = 8
SWITCH_INTERVAL_S = 0.0005
"""How long a thread may keep Python from the bus thread."""

Address = tuple[str, int]


class SimProcess:
    """Clock and side channel around a `SimWorld`, with a `BusServer` beside it."""

    def __init__(self, args: argparse.Namespace) -> None:
        quality = WireQuality(args.wire_baud, args.usb_delay_ms, args.checksum_rate, args.noise_rate)
        self.world = SimWorld(args.scene, args.calibration, not args.uncalibrated, args.seed)
        self.world.reset_random(args.task, args.seed)
        self.world.arm.noise_ticks = args.encoder_ticks
        self.control = _bind(args.control_port)
        self.subscribers: dict[Address, None] = {}
        self.running = True
        self.late_s = 0.0
        self._receipts: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._answered: tuple[tuple[Address, Any] | None, dict[str, Any]] = (None, {})
        wire = Wire(args.seed)
        wire.quality = quality
        bus = ServoBus(self.world.arm.servos, self._receive_goals)
        self.port = PtyPort(args.link)
        self.server = BusServer(self.port, bus, self.world.arm.lock, wire)

    def run(self) -> None:
        """Serve until told to quit."""
        tick = STEPS_PER_TICK * self.world.dt
        next_tick = next_truth = time.monotonic()
        while self.running:
            readable, _, _ = select.select([self.control], [], [], max(0.0, next_tick - time.monotonic()))
            if readable:
                self._read()
            now = time.monotonic()
            if now - next_tick > MAX_CATCH_UP_S:
                self.late_s += now - next_tick
                next_tick = now
            while self.running and now >= next_tick:
                self.world.arm.advance(STEPS_PER_TICK)
                next_tick += tick
            while not self._receipts.empty():
                self._publish(self._receipts.get())
            if now >= next_truth:
                if self.subscribers:
                    self._publish(self.truth())
                next_truth = max(next_truth + TRUTH_PERIOD_S, now)
            if not self.server.alive:
                raise KdpError("the bus thread has ended")

    def close(self) -> None:
        """Take port and sockets away."""
        self.server.close()
        self.control.close()

    def truth(self) -> dict[str, Any]:
        """Return the truth message of now."""
        return {**self.world.truth(), "plugged": self.server.plugged, "late_s": self.late_s}

    def _receive_goals(self, parameters: bytes) -> None:
        """Note goal positions; called by the bus thread."""
        receipt = {"type": "receipt", "receipt_ns": time.monotonic_ns(), "crc": zlib.crc32(parameters)}
        self._receipts.put(receipt)

    def _publish(self, message: dict[str, Any]) -> None:
        datagram = side_channel.encode(message)
        for address in self.subscribers:
            try:
                self.control.sendto(datagram, address)
            except (BlockingIOError, ConnectionError):
                continue

    def _read(self) -> None:
        while True:
            try:
                datagram, address = self.control.recvfrom(side_channel.MAX_DATAGRAM)
                self.control.sendto(side_channel.encode(self._command(datagram, address)), address)
            except (BlockingIOError, ConnectionError):
                return

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
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reply = {"ok": False, "error": f"side channel: bad or missing argument: {error}"}
        if number is not None:
            reply["id"] = number
            self._answered = (address, number), reply
        return reply

    def _execute(self, message: dict[str, Any], address: Address) -> dict[str, Any]:
        command = message.get("cmd")
        if command == "reset":
            keep = bool(message.get("keep_joints", False))
            if "scene" in message:
                return {"scene": self.world.reset_given(dict(message["scene"]), keep)}
            return {"scene": self.world.reset_random(str(message["task"]), int(message["seed"]), keep)}
        if command == "place_cube":
            self.world.place_cube(int(message["cube"]), message["pose"])
        elif command == "servo":
            self._set_servo(message)
        elif command == "wire":
            self._set_wire(message)
        elif command == "cable":
            self.server.plugged = bool(message["plugged"])
        elif command == "power_cycle":
            boot_s = _finite(message, "boot_s", 0.0)
            with self.world.arm.lock:
                for servo in self.world.arm.servos:
                    if message.get("servo") in (None, servo.id):
                        servo.power_up(boot_s)
        elif command == "subscribe":
            if len(self.subscribers) >= MAX_SUBSCRIBERS:
                self.subscribers.pop(next(iter(self.subscribers)))
            self.subscribers[(address[0], int(message["port"]))] = None
        elif command == "status":
            wire = {
                **asdict(self.server.quality),
                "encoder_ticks": self.world.arm.noise_ticks,
                "frames": self.server.frames,
                "wrong_checksums": self.server.wrong_checksums,
                "port": self.port.name,
            }
            return {"truth": self.truth(), "wire": wire}
        elif command == "quit":
            self.running = False
        else:
            raise ConfigError(f"side channel: unknown command {command!r}")
        return {}

    def _set_servo(self, message: dict[str, Any]) -> None:
        found = [servo for servo in self.world.arm.servos if servo.id == message["servo"]]
        if not found:
            raise ConfigError(f"side channel: no servo has id {message['servo']!r}")
        celsius = _finite(message, "celsius", found[0].temperature_c)
        volts = _finite(message, "volts", found[0].voltage_v)
        with self.world.arm.lock:
            for servo in found:
                servo.silent = bool(message.get("silent", servo.silent))
                servo.goal_wakes = bool(message.get("goal_wakes", servo.goal_wakes))
                servo.temperature_c, servo.voltage_v = celsius, volts

    def _set_wire(self, message: dict[str, Any]) -> None:
        old = self.server.quality
        noise_ticks = _finite(message, "encoder_ticks", self.world.arm.noise_ticks)
        names = ("usb_delay_ms", "checksum_rate", "noise_rate")
        changes = {name: _finite(message, name, getattr(old, name)) for name in names}
        self.server.quality = replace(old, baud=int(message.get("baud", old.baud)), **changes)
        self.world.arm.noise_ticks = max(noise_ticks, 0.0)


def _finite(message: dict[str, Any], name: str, default: float) -> float:
    value = float(message.get(name, default))
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


def _ask_for_time() -> str:
    """Let this process run before others, if the system allows it: servos have processors of their own."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        return "real-time"
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
        return "preferred"
    return "normal"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulated SO-100 until SIGINT, SIGTERM or `quit`."""
    args = parse(argv)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    scheduling = "normal" if args.no_realtime else _ask_for_time()
    try:
        if args.write_calibration is not None:
            arm_calibration().save(args.write_calibration)
            return 0
        process = SimProcess(args)
    except (KdpError, OSError) as error:
        print(f"so100_sim: {error}", file=sys.stderr)
        return 2

    def stop(_signal: int, _frame: object) -> None:
        process.running = False

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    where = args.link or process.port.name
    print(f"so100_sim: {where}, side channel {args.control_port}, {scheduling} scheduling", flush=True)
    try:
        process.run()
    except KdpError as error:
        print(f"so100_sim: {error}", file=sys.stderr)
        return 1
    finally:
        process.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
