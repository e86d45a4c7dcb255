# SPDX-License-Identifier: GPL-3.0-or-later
"""Side channel of the simulated Crazyflie: control and ground truth, never seen by planner or driver.

Datagrams of JSON on UDP port 19851. Each command gets one reply ``{"ok": true, ...}`` or
``{"ok": false, "error": "one line"}``. A command may carry an ``id``, which the reply repeats; sent
again with the same id it is answered again and not executed again:

=========================================================== ==================================================
``{"cmd": "reset", "seed": S, "poles": P}``                 new world, drone on the ground below the start;
                                                            replies with ``arena`` and ``seed``
``{"cmd": "reset", "arena": {...}}``                        as above with a given `kdp_core.sim.arena.Arena`
``{"cmd": "freeze", "seconds": s}``                         packets are lost both ways for s seconds
``{"cmd": "link", "delay_ms": d, "jitter_ms": j, "loss": p}`` faults of the link, both ways
``{"cmd": "battery", "volts": v}``                          set the measured battery voltage
``{"cmd": "subscribe", "port": N}``                         send truth and receipts to port N of the caller
``{"cmd": "status"}``                                       replies with truth and the link's faults
``{"cmd": "quit"}``                                         stop the process
=========================================================== ==================================================

Subscribers get, at 50 Hz, ``{"type": "truth", "t_ns", "position", "velocity", "quaternion", "collided",
"outside", "locked", "flying", "armed", "battery_v", "seed"}`` (m, m/s, x y z w; collided and outside are kept
until the next reset) and, for each setpoint packet that reaches the firmware, ``{"type": "receipt",
"receipt_ns", "crc"}`` with CLOCK_MONOTONIC nanoseconds and the CRC-32 of the data without header.
"""

from __future__ import annotations

from kdp_planner_ros import side_channel

CRTP_PORT = 19850
CONTROL_PORT = 19851


class SideChannelClient(side_channel.SideChannelClient):
    """Sends commands to a simulated Crazyflie and receives its truth and receipts.

    Args:
        address: host and control port of the simulator.
    """

    robot = "simulated Crazyflie"

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", CONTROL_PORT)) -> None:
        super().__init__(address)
