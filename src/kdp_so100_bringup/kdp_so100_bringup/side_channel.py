"""Side channel of the simulated SO-100: control and ground truth, never seen by planner or driver.

Datagrams of JSON on UDP port 19861; how a request is answered is written in `kdp_planner_ros.side_channel`.

=============================================================== ==============================================
``{"cmd": "reset", "task": T, "seed": S}``                      new scene of task pick_place or stack; replies
                                                                with ``scene`` (cubes, goal, joints, seed).
                                                                ``"keep_joints": true`` leaves the arm alone
``{"cmd": "reset", "scene": {"cubes", "goal", "joints"}}``      as above with a given scene (m, quaternions
                                                                x y z w, rad); ``joints`` may be left out
``{"cmd": "place_cube", "cube": i, "pose": [7]}``               put one cube somewhere, at rest
``{"cmd": "servo", "servo": i, "silent": b}``                   the servo with id i hears and answers nothing
``{"cmd": "servo", "servo": i, "celsius": c, "volts": v}``      what it measures
``{"cmd": "servo", "servo": i, "goal_wakes": b}``               a goal switches its torque on
``{"cmd": "wire", "checksum_rate": p, "noise_rate": p,          quality of the wire; what is left out stays.
"usb_delay_ms": d, "baud": b, "encoder_ticks": s}``             ``encoder_ticks``: noise of the encoders
``{"cmd": "cable", "plugged": b}``                              pull the cable: the port hangs up and its link
                                                                goes; put it back: a new port, the same link
``{"cmd": "power_cycle", "servo": 3, "boot_s": 0.8}``           servos restart with what their EEPROM kept;
                                                                without ``servo``: all
``{"cmd": "subscribe", "port": N}``                             truth and receipts to port N of the caller
``{"cmd": "status"}``                                           replies with ``truth`` and ``wire``
``{"cmd": "quit"}``                                             stop the process
=============================================================== ==============================================

Subscribers get, at 50 Hz, ``{"type": "truth", ...}`` with t_ns (CLOCK_MONOTONIC), time_s (simulated), task,
seed, resets, joints (rad), joint_velocity (rad/s), joint_load (N m), gripper (pose 7), cubes (poses n x 7),
cube_speeds (m/s), goal (m), jaw_open, touched (per cube: a finger touches it), torque and silent (per servo),
status (error bytes), plugged, late_s (by how much physics has fallen behind the clock since the start).

For each SYNC_WRITE of goal positions that reaches the servos they get ``{"type": "receipt", "receipt_ns",
"crc"}`` with CLOCK_MONOTONIC nanoseconds and the CRC-32 of the frame's parameters (address, size, then id and
data of each servo).
"""

from __future__ import annotations

from kdp_planner_ros.side_channel import SideChannelClient as _Client

CONTROL_PORT = 19861


class SideChannelClient(_Client):
    """Sends commands to a simulated SO-100 and receives its truth and receipts."""

    robot = "simulated SO-100"

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", CONTROL_PORT)) -> None:
        super().__init__(address)
