"""What a measurement was made on, for reports."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "onnxruntime", "ros-rclpy", "ros-rmw-fastrtps-cpp")


def machine() -> dict[str, str | int]:
    """Processor, cores that this process may use, operating system."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        processor = names[0] if names else processor
    return {"processor": processor, "cores": len(os.sched_getaffinity(0)), "system": platform.platform()}


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, of what matters for timing, of `packages` and of the ROS that is sourced."""
    found = {"python": sys.version.split()[0]}
    for package in (*PACKAGES, *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a ROS from apt has no wheels
            continue
    if "ROS_DISTRO" in os.environ:
        found["ROS_DISTRO"] = os.environ["ROS_DISTRO"]
    return found
