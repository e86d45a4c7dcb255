"""Set up the workspace: .venv with pinned packages, then ``colcon build``. Called by ``make setup``.

Safe to call always: what is done is remembered in ``.venv/.kdp-setup.json`` together with a hash of
everything it was made from, and is not done again until one of those changes. Python sources are linked,
so editing them needs no new build; messages, package metadata and new data files do.

Environment: PYTHON (interpreter, 3.11 to 3.13), KDP_ROS (jazzy or kilted, for the wheels) and all of
pip's own variables.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import step
from machine import Interpreter, Ros, SetupError, find_interpreter, find_ros, probe, require_system_packages

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".kdp-setup.json"
LOGS = ROOT / "out" / "log"
REQUIREMENTS = ROOT / "tools" / "requirements"
DATA_FOLDERS = ("launch", "config", "rviz", "resource", "artifacts")


def requirement_files(extra: str, ros: Ros) -> list[Path]:
    """Return the requirement lists of one extra ("run" or "train")."""
    if extra == "train":
        return [REQUIREMENTS / "train.txt"]
    files = [REQUIREMENTS / "run.txt"]
    if ros.source == "wheels":  # a ROS installation brings its own colcon
        files += [REQUIREMENTS / "build.txt", REQUIREMENTS / f"ros-{ros.distribution}.txt"]
    return files


def digest(files: list[Path], *facts: str) -> str:
    """Hash the names and contents of files, and some further facts."""
    total = hashlib.sha256("\0".join(facts).encode())
    for path in sorted(files):
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def build_inputs() -> list[Path]:
    """Return the files whose change asks for a new ``colcon build``."""
    files = [ROOT / "colcon.meta", ROOT / "tools" / "fix_wheel_exports.py"]
    for package in sorted((ROOT / "src").glob("*/package.xml")):
        folder = package.parent
        files += [path for path in (package, folder / "setup.py", folder / "setup.cfg") if path.exists()]
        if (folder / "CMakeLists.txt").exists():
            files += [path for path in folder.rglob("*") if path.is_file() and path != package]
    return files


def data_file_names() -> str:
    """Return the names of installed data files: their contents are linked, so only a new name matters."""
    names = (path for folder in DATA_FOLDERS for path in (ROOT / "src").glob(f"*/{folder}/**/*"))
    return "\n".join(sorted(str(path.relative_to(ROOT)) for path in names if path.is_file()))


def read_stamp() -> dict[str, str]:
    """Return what was done before; empty if nothing or if the record is unreadable."""
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def write_stamp(stamp: dict[str, str]) -> None:
    """Record what is done, atomically."""
    draft = STAMP.with_suffix(".tmp")
    draft.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    draft.replace(STAMP)


def environment_for(ros: Ros) -> dict[str, str]:
    """Return the environment for pip and colcon: .venv active, its ROS wheels found by ament and CMake."""
    environment = dict(
        os.environ, VIRTUAL_ENV=str(VENV), PATH=f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    environment.pop("PYTHONHOME", None)
    if ros.source == "wheels":
        for name in ("PYTHONPATH", "COLCON_PREFIX_PATH", "LD_LIBRARY_PATH"):
            environment.pop(name, None)
        environment.update(AMENT_PREFIX_PATH=str(VENV), CMAKE_PREFIX_PATH=str(VENV))
    return environment


def make_venv(python: Interpreter, ros: Ros, identity: str, environment: dict[str, str]) -> dict[str, str]:
    """Make .venv, or keep the one there if it is of the same Python and ROS; return its stamp."""
    stamp = read_stamp()
    present = probe(str(VENV / "bin" / "python"))
    if present and present.version == python.version and stamp.get("identity", identity) == identity:
        return {**stamp, "identity": identity}
    for folder in (VENV, ROOT / "build", ROOT / "install"):
        shutil.rmtree(folder, ignore_errors=True)
    command = [
        python.path,
        "-m",
        "venv",
        *(["--system-site-packages"] if ros.source == "system" else []),
        str(VENV),
    ]
    step.run("virtual environment", command, LOGS / "venv.log", environment, ROOT)
    return {"identity": identity}


def constraints_for(ros: Ros) -> Path:
    """Return the constraints for this ROS: the file itself pins Jazzy, the others pin their own list."""
    if ros == Ros("wheels", "jazzy"):
        return ROOT / "constraints.txt"
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    path = LOGS / f"constraints-{ros.distribution}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(line for line in lines if not line.startswith("ros-")) + "\n", encoding="utf-8")
    return path


def install(extra: str, ros: Ros, environment: dict[str, str]) -> None:
    """Install one extra's packages at the pinned versions."""
    lists = [argument for path in requirement_files(extra, ros) for argument in ("-r", str(path))]
    command = [
        str(VENV / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
    ]
    command += ["-c", str(constraints_for(ros)), *lists]
    step.run(f"packages ({extra})", command, LOGS / f"pip-{extra}.log", environment, ROOT)
    if extra == "train":
        # Its package has the name of feetech-servo-sdk's: tests find it in a folder of its own.
        aside = ["--no-deps", "--upgrade", "--target", str(VENV / "ftservo"), "ftservo-python-sdk"]
        command = [*command[: command.index("-c") + 2], *aside]
        step.run("packages (second servo SDK)", command, LOGS / "pip-ftservo.log", environment, ROOT)


def build(ros: Ros, environment: dict[str, str]) -> None:
    """Build the workspace with colcon, links instead of copies."""
    python = str(VENV / "bin" / "python")
    if ros.source == "wheels":
        fix = [python, str(ROOT / "tools" / "fix_wheel_exports.py")]
        subprocess.run(fix, env=environment, check=True, stdout=subprocess.DEVNULL)
    command = [python, "-m", "colcon", "--log-base", str(LOGS / "colcon"), "build", "--base-paths", "src"]
    command += ["--symlink-install", "--event-handlers", "console_direct+"]
    step.run("workspace (colcon build)", command, LOGS / "build.log", environment, ROOT)


def set_up(train: bool) -> None:
    """Bring the workspace up to date, doing only what is not done yet."""
    ros = find_ros(dict(os.environ), ROOT)
    known = os.environ.get("PYTHON", "") or str(VENV / "bin" / "python")
    present = probe(known) if not os.environ.get("PYTHON") else None
    python = present if present and present.supported else find_interpreter(os.environ.get("PYTHON", ""))
    version = ".".join(map(str, python.version))
    identity = f"{ros.source} {ros.distribution} {version} {VENV}"

    stamp = read_stamp()
    extras = ["run", "train"] if train or "train" in stamp else ["run"]
    constraints = ROOT / "constraints.txt"
    wanted = {extra: digest([constraints, *requirement_files(extra, ros)], identity) for extra in extras}
    wanted["build"] = digest(build_inputs(), identity, wanted["run"], data_file_names())
    installed = (ROOT / "install" / "setup.bash").exists()
    if installed and all(
        stamp.get(name) == value for name, value in {**wanted, "identity": identity}.items()
    ):
        step.say("up to date")
        return

    require_system_packages(python, ros)
    step.say(f"Python {version}, ROS 2 {ros.distribution} ({ros.source}); logs in {LOGS.relative_to(ROOT)}/")
    environment = environment_for(ros)
    stamp = make_venv(python, ros, identity, environment)
    for extra in extras:
        if stamp.get(extra) != wanted[extra]:
            install(extra, ros, environment)
            write_stamp(stamp := {**stamp, extra: wanted[extra]})
    if stamp.get("build") != wanted["build"] or not (ROOT / "install" / "setup.bash").exists():
        build(ros, environment)
        write_stamp({**stamp, "build": wanted["build"]})
    step.say("done")


def main() -> int:
    """Parse the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Set up the workspace (see the top of this file).")
    parser.add_argument(
        "--train", action="store_true", help="also install what training and the tests need (torch)"
    )
    arguments = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    try:
        with (LOGS / "setup.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at once: the second waits, then finds all done
            set_up(arguments.train)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; call it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
