"""What this machine offers: the Python and the ROS to use, and the system packages that are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SUPPORTED = ((3, 11), (3, 12), (3, 13))
DISTRIBUTIONS = ("jazzy", "kilted")
PROBE = """
import importlib.util as u, json, os, sys, sysconfig
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "headers": os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")),
    "venv": all(u.find_spec(name) for name in ("venv", "ensurepip")),
    "rclpy": u.find_spec("rclpy") is not None,
    "colcon": u.find_spec("colcon_core") is not None,
}))
"""


class SetupError(Exception):
    """Something the user must put right; the text is one clear line."""


@dataclass(frozen=True)
class Ros:
    """Where ROS 2 comes from: ``source`` is "wheels" (in .venv) or "system" (a sourced installation)."""

    source: str
    distribution: str


@dataclass(frozen=True)
class Interpreter:
    """One Python found on this machine, with what it can do."""

    path: str
    version: tuple[int, int, int]
    headers: bool
    venv: bool
    rclpy: bool
    colcon: bool

    @property
    def supported(self) -> bool:
        """Whether the pinned versions were resolved for this Python."""
        return self.version[:2] in SUPPORTED


def probe(command: str) -> Interpreter | None:
    """Ask the Python called ``command`` what it is; None if it does not run."""
    import json

    path = shutil.which(command)
    if path is None:
        return None
    answer = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        return None
    facts = json.loads(answer.stdout)
    return Interpreter(path=path, **{**facts, "version": tuple(facts["version"])})


def find_ros(environment: dict[str, str], workspace: Path) -> Ros:
    """Use a sourced ROS 2 if there is one, else the wheels.

    A shell that sourced this workspace's own ``install/setup.bash`` over the wheels does not count as a
    ROS installation, so prefixes inside the workspace are ignored.
    """
    named = environment.get("ROS_DISTRO", "")
    prefixes = [Path(p) for p in environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    installed = any(workspace not in p.parents for p in prefixes)
    source = "system" if named and installed else "wheels"
    distribution = named if source == "system" else environment.get("KDP_ROS", "") or "jazzy"
    if distribution not in DISTRIBUTIONS:
        variable = "ROS_DISTRO" if source == "system" else "KDP_ROS"
        raise SetupError(f"{variable}={distribution}: expected one of {', '.join(DISTRIBUTIONS)}")
    return Ros(source, distribution)


def find_interpreter(requested: str) -> Interpreter:
    """Return the requested Python (``PYTHON=...``), or the first supported one on the PATH.

    An empty request tries ``python3`` first, because that is the one whose headers are likely installed.
    """
    if requested:
        found = probe(requested)
        if found is None:
            raise SetupError(f"PYTHON={requested}: no such Python")
        if not found.supported:
            raise SetupError(f"PYTHON={requested} is {_dotted(found.version)}: expected Python 3.11 to 3.13")
        return found
    names = ["python3", *(f"python{major}.{minor}" for major, minor in SUPPORTED)]
    for found in filter(None, map(probe, names)):
        if found.supported:
            return found
    mine = _dotted(sys.version_info[:3])
    raise SetupError(f"python3 is {mine}: expected Python 3.11 to 3.13 (PYTHON=/path/to/python)")


def require_system_packages(python: Interpreter, ros: Ros) -> None:
    """Raise one line with the apt command that installs everything the build lacks."""
    name = "python{}.{}".format(*python.version)
    wanted = {
        "build-essential": shutil.which("c++") is not None and shutil.which("make") is not None,
        "cmake": shutil.which("cmake") is not None,
        "ninja-build": shutil.which("ninja") is not None,
        f"{name}-dev": python.headers,
        f"{name}-venv": python.venv,
    }
    if ros.source == "system":
        if not python.rclpy:
            raise SetupError(
                f"{python.path} ({_dotted(python.version)}) has no rclpy, but "
                f"ROS_DISTRO={ros.distribution} is sourced: "
                "name the Python of that ROS with PYTHON=/usr/bin/python3"
            )
        wanted["python3-colcon-common-extensions"] = python.colcon
    missing = [package for package, there in wanted.items() if not there]
    if missing:
        raise SetupError(f"missing system packages, run: sudo apt-get install -y {' '.join(missing)}")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
