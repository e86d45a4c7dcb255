"""The bus, made safe for a node: a thread that reads at a fixed rate, repeats, names faults and reconnects.

Everything that touches the bus holds one lock, so that commands go out between two reads and never into one.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdp_core.exceptions import KdpError
from kdp_so100_bringup.arm_bus import (
    ArmBus,
    BadChecksum,
    BusError,
    CableGone,
    Reading,
    ServoSilent,
    make_bus,
)
from kdp_so100_bringup.calibration import Calibration, mismatch
from kdp_so100_bringup.port_lock import PortBusy, PortLock
from kdp_so100_bringup.safety import ErrorRate

TRIES = 3  # of one read whose answer is damaged
SILENT_CYCLES = 3  # so many reads in a row without a servo are a fault
LOST_S = 2.0  # no servo at all for so long: the port is opened again


@dataclass(frozen=True)
class LinkOptions:
    """How to connect.

    backend: see `arm_bus`. port: device file. period_s: of the reads. timeout_s: patience with one read.
    reconnect_s: pause between attempts, 0: one attempt. write_calibration: the file wins over the servos.
    """

    backend: str
    port: str
    period_s: float = 0.02
    timeout_s: float = 0.012
    reconnect_s: float = 1.0
    write_calibration: bool = False


@dataclass(frozen=True)
class ArmState:
    """One reading in rad; see `arm_bus.Reading`."""

    started_ns: int
    received_ns: int
    joints: tuple[float, ...]
    velocity: tuple[float, ...]
    load: tuple[float, ...]
    volts: tuple[float, ...]
    celsius: tuple[float, ...]
    alarms: tuple[int, ...]


class CalibrationMismatch(KdpError):
    """The servos were calibrated with another file."""

    fault = "calibration_mismatch"


class ArmLink:
    """A bus that keeps itself open.

    Args:
        options: how to connect.
        calibration: of this arm.
        on_state: called with each state, from the reading thread.
        report: called with (level, text): "info" or "error", from any thread.

    Attributes:
        fault, detail: short name and line for people of what is wrong, empty if nothing is.
        retries: reads that had to be repeated, since start.
        off_wanted: the torque was switched off, but not every servo has confirmed it: do it again.
        torqued: (6) whether each servo holds, as last confirmed; empty before the first connection.
    """

    def __init__(
        self,
        options: LinkOptions,
        calibration: Calibration,
        on_state: Callable[[ArmState], None],
        report: Callable[[str, str], None],
    ) -> None:
        self.options, self.calibration = options, calibration
        self.state: ArmState | None = None
        self.connected = self.was_connected = False
        self.fault = self.detail = ""
        self.retries = 0
        self.off_wanted = False
        self.torqued: list[bool] = []
        self._torque_seen: tuple[bool, ...] = ()  # in the last read that asked
        self._on_state, self._report = on_state, report
        self._bus: ArmBus = make_bus(options.backend, options.port, calibration.ids, options.timeout_s)
        self._port = PortLock(options.port)
        self._lock = threading.Lock()
        self._closing, self._broken = threading.Event(), threading.Event()
        self._errors = ErrorRate()
        self._silent_cycles = 0
        self._silent_since_s = 0.0
        self._thread = threading.Thread(target=self._keep_open, name="arm_link", daemon=True)

    def open(self) -> None:
        """Start connecting in the background."""
        self._thread.start()

    def close(self) -> None:
        """Close the port; the servos go on with what they do."""
        self._closing.set()
        self._broken.set()
        self._thread.join(3.0)
        self.connected = False

    def state_age_s(self) -> float:
        """Seconds since the newest state was received; infinite if there was none."""
        state = self.state
        return math.inf if state is None else (time.monotonic_ns() - state.received_ns) * 1e-9

    def send(self, joints: Sequence[float]) -> tuple[int, int]:
        """Write goal positions (6) rad; returns (CRC-32 of the bytes, monotonic ns when they left).

        Only to servos that hold: a goal may switch one on that lost its torque, in the middle of its fall.
        (0, 0) when there is no link, which then repairs itself, or when none holds.
        """
        holding = self.holding
        if not self.connected or not any(holding):
            return 0, 0
        ticks = self.calibration.to_ticks(joints)
        try:
            with self._lock:
                crc = self._bus.write_goals(ticks, holding)
                return crc, time.monotonic_ns()
        except BusError as error:
            self._lost(error)
            return 0, 0

    def torque(self, enabled: bool) -> tuple[bool, str]:
        """Switch the torque of all servos; returns (done, why not).

        Before the torque comes on, each servo's goal becomes where it is.
        """
        state = self.state
        if not enabled:
            self.off_wanted = True
        if not self.connected or (enabled and state is None):
            return False, self.detail or "no link to the servos"
        try:
            with self._lock:
                if enabled and state is not None:
                    self._bus.write_goals(self.calibration.to_ticks(state.joints))
                self._bus.set_torque(enabled)
                answers = self._ask_torque()
        except BusError as error:
            if isinstance(error, CableGone):
                self._lost(error)
            return False, str(error)
        if any(answer != enabled for answer in answers):
            return False, "a servo did not take the torque command"
        self.off_wanted = False
        return True, ""

    # ---- connection

    def _keep_open(self) -> None:
        while not self._closing.is_set():
            self._broken.clear()
            if self._connect():
                self._read_until_broken()
            with self._lock:
                self.connected = False
                self._bus.close()
                self._port.release()
            if self._closing.is_set() or self.options.reconnect_s <= 0:
                return
            self._closing.wait(self.options.reconnect_s)

    def _connect(self) -> bool:
        """One attempt."""
        try:
            with self._lock:
                if self.options.port.startswith("/") and not Path(self.options.port).exists():
                    raise CableGone(f"{self.options.port} is not there")
                self._port.take()
                self._bus.open()
                self._check_calibration()
                self._bus.configure()
                self._ask_torque()
        except (BusError, CalibrationMismatch) as error:
            self._lost(error)
            if self.off_wanted and not isinstance(
                error, PortBusy
            ):  # the servos that are there must not wait for the one that is not
                with self._lock, contextlib.suppress(BusError):
                    self._bus.set_torque(False)
            return False
        self._errors.reset()
        self._silent_cycles = 0
        self.connected, self.fault, self.detail = True, "", ""
        self.was_connected = True
        self._report("info", f"connected to {self.options.port} ({self.options.backend})")
        return True

    def _check_calibration(self) -> None:
        wrong = mismatch(self.calibration, self._bus.read_calibration())
        if wrong and self.options.write_calibration:
            self._bus.write_calibration([motor.registers for motor in self.calibration.motors])
            self._report("info", f"calibration written to the servos ({wrong})")
            wrong = mismatch(self.calibration, self._bus.read_calibration())
        if wrong:
            raise CalibrationMismatch(
                f"{wrong}; calibrate with lerobot, or set write_calibration to write the file to the servos"
            )

    def _lost(self, error: BusError | CalibrationMismatch) -> None:
        """Name what is wrong, report a change of it, and have the port opened again."""
        if not self._closing.is_set() and (self.fault, self.detail) != (error.fault, str(error)):
            self._report("error", str(error))
        self.fault, self.detail = error.fault, str(error)
        self.connected = False
        self._broken.set()

    # ---- reading

    def _read_until_broken(self) -> None:
        due = time.monotonic()
        while not self._broken.is_set():
            reading = self._read()
            if reading is not None:
                calibration = self.calibration
                self.state = ArmState(
                    reading.started_ns,
                    reading.received_ns,
                    calibration.to_rad(reading.ticks),
                    calibration.speed(reading.speed) if reading.speed else (),
                    reading.load,
                    reading.volts,
                    reading.celsius,
                    reading.alarms,
                )
                self._on_state(self.state)
            now = time.monotonic()
            # After a slow read go on at the rate, instead of catching up.
            due = max(due + self.options.period_s, now)
            if due > now and self._broken.wait(due - now):
                return

    def _read(self) -> Reading | None:
        """One read, repeated if damaged; None when it failed."""
        problem: BusError | None = None
        # A servo that is known to be silent costs the whole time-out, so it is not asked twice a cycle.
        for attempt in range(1 if self._silent_cycles >= SILENT_CYCLES else TRIES):
            try:
                with self._lock:
                    reading = self._bus.read()
                    self._note_torque(reading.torque)
            except CableGone as error:
                self._lost(error)
                return None
            except (BadChecksum, ServoSilent) as error:
                problem = error
                self.retries += 1
                if isinstance(error, ServoSilent) and attempt:
                    break
                continue
            self._errors.add(attempt > 0)
            self._good()
            return reading
        assert problem is not None
        self._bad(problem)
        return None

    @property
    def holding(self) -> list[bool]:
        """(6) whether each servo holds by all that is known: one read that says no is enough to doubt it."""
        seen = self._torque_seen or (True,) * len(self.torqued)
        return [on and last for on, last in zip(self.torqued, seen, strict=True)]

    def _ask_torque(self) -> list[bool]:
        """Read and keep whether the servos hold; the caller has the lock."""
        self.torqued, self._torque_seen = self._bus.torque_enabled(), ()
        return self.torqued

    def _note_torque(self, torque: tuple[bool, ...]) -> None:
        """Keep what two reads in a row agree on: damage that passes the checksum must not stop the arm."""
        if torque and torque == self._torque_seen:
            self.torqued = list(torque)
        self._torque_seen = torque or self._torque_seen

    def _good(self) -> None:
        self._silent_cycles = 0
        if self.fault and self._errors.calm:
            try:
                with self._lock:
                    self._ask_torque()  # a servo that had no power has forgotten
            except BusError:
                return
            self._report("info", f"{self.fault} is over")
            self.fault = self.detail = ""

    def _bad(self, error: BusError) -> None:
        """Count a read that failed for good; name the fault once it is one."""
        now = time.monotonic()
        self._errors.add(True)
        if isinstance(error, ServoSilent):
            self._silent_cycles += 1
            if len(error.ids) < len(self.calibration.ids) or self._silent_cycles == 1:
                self._silent_since_s = now
            elif now - self._silent_since_s > LOST_S:
                self._lost(CableGone(f"no servo on {self.options.port} answers"))
                return
        else:
            self._silent_cycles = 0
        if self._silent_cycles >= SILENT_CYCLES or self._errors.too_many:
            if self.fault != error.fault:
                self._report("error", str(error))
            self.fault, self.detail = error.fault, str(error)
