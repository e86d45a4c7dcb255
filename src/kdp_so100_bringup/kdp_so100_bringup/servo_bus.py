"""Simulated bus: what servos do with an instruction, and what comes back.

From Feetech's protocol manual (see `feetech_protocol`): nobody answers a broadcast but for PING; a servo
whose status level (8) is 0 answers only PING, READ and SYNC_READ. Not in the manual, and a choice made here:
an instruction that is not known, or too short for what it says, is not answered; in a SYNC_READ the servos
after a silent one still answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from kdp_core.exceptions import ConfigError
from kdp_so100_bringup.feetech_protocol import BROADCAST_ID, Frame, Instruction, split_sync_write
from kdp_so100_bringup.registers import Register
from kdp_so100_bringup.servo import BOOT_S, Servo

DELAY_UNIT_S = 2e-6


class Reply(NamedTuple):
    """A status frame, sent `delay_s` after the wire became free."""

    frame: bytes
    delay_s: float


class ServoBus:
    """All servos of one wire. Not thread-safe.

    Args:
        servos: on the wire, in the order in which they answer a broadcast PING.
        on_goals: gets the parameters of each SYNC_WRITE that carries goal positions.
    """

    def __init__(self, servos: Sequence[Servo], on_goals: Callable[[bytes], None] | None = None) -> None:
        self.servos = tuple(servos)
        self._on_goals = on_goals

    def execute(self, frame: Frame, baud_code: int | None = None) -> list[Reply]:
        """Do what an instruction frame says.

        Args:
            frame: from the host.
            baud_code: at which it came, as in register 6; servos set to another one do not understand it.
        """
        hearing = [
            servo
            for servo in self.servos
            if servo.hears and baud_code in (None, servo.memory.get(Register.BAUD_RATE))
        ]
        addressed = [servo for servo in hearing if frame.servo_id in (BROADCAST_ID, servo.id)]
        parameters = frame.parameters
        if frame.code == Instruction.SYNC_READ:
            return self._sync_read(hearing, parameters)
        if frame.code == Instruction.SYNC_WRITE:
            self._sync_write(hearing, parameters)
            return []
        broadcast = frame.servo_id == BROADCAST_ID
        replies = []
        for servo in addressed:
            level = servo.memory.get(Register.STATUS_LEVEL)
            data = _execute_one(servo, frame.code, parameters)
            asked = frame.code in (Instruction.PING, Instruction.READ)
            silent = frame.code != Instruction.PING if broadcast else not (asked or level)
            if data is not None and not silent:
                replies.append(_reply(servo, data, frame.servo_id))
        return replies

    def _sync_read(self, hearing: list[Servo], parameters: bytes) -> list[Reply]:
        if len(parameters) < 3:
            return []
        address, size = parameters[0], parameters[1]
        asked = [servo for servo_id in parameters[2:] for servo in hearing if servo.id == servo_id]
        return [_reply(servo, servo.read(address, size)) for servo in asked]

    def _sync_write(self, hearing: list[Servo], parameters: bytes) -> None:
        try:
            address, data = split_sync_write(parameters)
        except ConfigError:
            return
        for servo in hearing:
            if (piece := data.get(servo.id)) is not None:
                servo.write(address, piece)
        if self._on_goals and address <= Register.GOAL_POSITION.address < address + parameters[1]:
            self._on_goals(parameters)


def _execute_one(servo: Servo, code: int, parameters: bytes) -> bytes | None:
    """Execute an instruction on one servo; return the data of its answer, None if it never answers this."""
    if code == Instruction.PING:
        return b""
    if code == Instruction.READ and len(parameters) == 2:
        return servo.read(parameters[0], parameters[1])
    if code == Instruction.WRITE and len(parameters) >= 2:
        servo.write(parameters[0], parameters[1:])
        return b""
    if code == Instruction.REG_WRITE and len(parameters) >= 2:
        servo.register_write(parameters[0], parameters[1:])
        return b""
    if code == Instruction.ACTION:
        servo.action()
        return b""
    if code == Instruction.RESET:  # forgets turns, of which a wrapping position has none
        return b""
    if code == Instruction.CALIBRATE and len(parameters) in (0, 2):
        servo.calibrate(*([int.from_bytes(parameters, "little")] if parameters else []))
        return b""
    if code == Instruction.REBOOT:
        servo.power_up(BOOT_S)
    return None


def _reply(servo: Servo, data: bytes, asked_id: int | None = None) -> Reply:
    """A status frame. After its id was written, a servo still answers under the one it was asked by."""
    servo_id = servo.id if asked_id in (None, BROADCAST_ID) else int(asked_id)
    frame = Frame(servo_id, servo.status, data).encode()
    return Reply(frame, servo.memory.get(Register.RETURN_DELAY) * DELAY_UNIT_S)
