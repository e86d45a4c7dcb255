# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of `crazyflie_sim`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from kdp_crazyflie_bringup import side_channel


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; ROS arguments are ignored, this process is no node."""
    text = "Simulated Crazyflie: CRTP on UDP, physics at wall-clock rate."
    parser = argparse.ArgumentParser(prog="crazyflie_sim", description=text)
    parser.add_argument("--port", type=int, default=side_channel.CRTP_PORT, help="CRTP, udp://127.0.0.1:PORT")
    parser.add_argument("--control-port", type=int, default=side_channel.CONTROL_PORT, help="side channel")
    parser.add_argument("--seed", type=int, default=0, help="seed of the world and of the noise")
    parser.add_argument("--poles", type=int, default=16, help="number of poles")
    parser.add_argument("--world", help="YAML file of an arena instead of --seed and --poles")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="delay of the link, each way")
    parser.add_argument("--jitter-ms", type=float, default=0.0, help="uniform jitter on top")
    parser.add_argument("--loss", type=float, default=0.0, help="probability of losing a packet")
    parser.add_argument("--noise-position", type=float, default=0.002, help="noise of the estimate, m")
    parser.add_argument("--noise-velocity", type=float, default=0.01, help="noise of the estimate, m/s")
    parser.add_argument("--noise-attitude", type=float, default=0.002, help="noise of the estimate, rad")
    parser.add_argument("--auto-arm", action="store_true", help="arm by itself, as a brushed Crazyflie 2.1")
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--ros-args" in arguments:
        arguments = arguments[: arguments.index("--ros-args")]
    return parser.parse_args(arguments)
