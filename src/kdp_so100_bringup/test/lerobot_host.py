"""A host program on lerobot's own motor bus and robot class, in a process of its own.

Usage: lerobot_host.py PORT CALIBRATION_FOLDER, with lerobot's Python. JSON calls on stdin,
``[name, argument...]``; answers on stdout.
"""

import json
import sys
from pathlib import Path

from lerobot.motors import Motor, MotorCalibration, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus
from lerobot.robots.so_follower import SO100Follower, SO100FollowerConfig

NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
PATIENCE_MS = 800.0  # lerobot waits 50 ms, within which a busy machine may not have run this process at all
port, folder = sys.argv[1], Path(sys.argv[2])
bus = robot = None


def patient(bus):
    handler = bus.port_handler
    handler.setPacketTimeout = lambda _length: handler.setPacketTimeoutMillis(PATIENCE_MS)
    return bus


def start():
    """Forget what was connected and make a new bus."""
    global bus, robot
    for old in (bus, robot.bus if robot else None):
        if old is not None and old.is_connected:
            old.port_handler.closePort()
    motors = {name: Motor(i, "sts3215", MotorNormMode.DEGREES) for i, name in enumerate(NAMES, 1)}
    bus, robot = patient(FeetechMotorsBus(port, motors)), None


def connect():
    bus.connect()
    return bus.is_connected


def disconnect(torque_off=True):
    bus.disconnect(torque_off)


def broadcast_ping():
    return bus.broadcast_ping()


def read_calibration():
    return {name: vars(row) for name, row in bus.read_calibration().items()}


def write_calibration(rows):
    bus.write_calibration({name: MotorCalibration(**row) for name, row in rows.items()})
    return bus.is_calibrated


def set_half_turn_homings():
    return bus.set_half_turn_homings()


def enable_torque():
    bus.enable_torque()


def disable_torque():
    bus.disable_torque()


def read(register, name):
    return bus.read(register, name, normalize=False)


def write(register, name, value):
    bus.write(register, name, value, normalize=False)


def sync_read(register):
    return bus.sync_read(register, normalize=False)


def sync_write(register, values):
    bus.sync_write(register, values, normalize=False)


def follower(calibrate):
    """Connect SO100Follower with the calibration file so100.json of the folder."""
    global robot
    robot = SO100Follower(SO100FollowerConfig(port=port, id="so100", calibration_dir=folder))
    patient(robot.bus)
    robot.connect(calibrate=calibrate)
    return robot.is_calibrated


def observe():
    return robot.get_observation()


def act(targets):
    return robot.send_action(targets)


def leave():
    robot.disconnect()


CALLS = {
    f.__name__: f
    for f in (
        start, connect, disconnect, broadcast_ping, read_calibration, write_calibration,
        set_half_turn_homings, enable_torque, disable_torque, read, write, sync_read, sync_write,
        follower, observe, act, leave,
    )
}  # fmt: skip
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        answer = CALLS[name](*arguments)
    except Exception as error:
        answer = {"raised": type(error).__name__, "text": str(error)}
    print(json.dumps(answer), flush=True)
