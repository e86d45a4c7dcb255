"""Command line of `so100_sim`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kdp_so100_bringup import side_channel


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; ROS arguments are ignored, this process is no node."""
    text = "Simulated SO-100: six STS3215 on a pseudo-terminal, physics at wall-clock rate."
    parser = argparse.ArgumentParser(prog="so100_sim", description=text)
    add = parser.add_argument
    add("--link", type=Path, help="symbolic link to make to the pseudo-terminal")
    add("--control-port", type=int, default=side_channel.CONTROL_PORT, help="side channel, UDP")
    add("--scene", choices=("so100", "joints"), default="so100", help="MuJoCo arm with cubes, or joints only")
    add("--task", choices=("pick_place", "stack"), default="pick_place", help="which cubes are on the table")
    add("--seed", type=int, default=0, help="seed of the scene and of the noise")
    add("--calibration", type=Path, help="the arm's own calibration, lerobot's JSON (default: built in)")
    add("--write-calibration", type=Path, help="write the arm's own calibration to this file and stop")
    add("--uncalibrated", action="store_true", help="EEPROM as the factory delivers it")
    add("--wire-baud", type=int, default=1_000_000, help="for the time on the wire; 0: none")
    add("--usb-delay-ms", type=float, default=1.0, help="delay of the USB adapter, each way")
    add("--encoder-ticks", type=float, default=0.0, help="noise of the encoders, 1 sigma")
    add("--checksum-rate", type=float, default=0.0, help="share of answers with a wrong checksum")
    add("--noise-rate", type=float, default=0.0, help="share of bytes with flipped bits")
    add("--no-realtime", action="store_true", help="do not ask the system to run this process before others")
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--ros-args" in arguments:
        arguments = arguments[: arguments.index("--ros-args")]
    return parser.parse_args(arguments)
