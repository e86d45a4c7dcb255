"""Set up .venv-lerobot: lerobot in an environment of its own. Called by ``make lerobot-env``.

lerobot's requirements contradict this project's (it wants an older torch), so it never enters .venv. Does
nothing when it is up to date. Environment: LEROBOT_PYTHON or PYTHON (interpreter), pip's own variables.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import step
from machine import SetupError, find_interpreter

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "tools"
VENV = ROOT / ".venv-lerobot"
STAMP = VENV / ".kdp-setup"
LOGS = ROOT / "out" / "log"
OLD = TOOLS / "requirements" / "lerobot-3.11.txt"
TESTS = TOOLS / "requirements" / "lerobot-tests.txt"
SCHEMAS = TOOLS / "torchvision_schemas.py"
OLD_LEROBOT = ["lerobot==0.4.4", "torchvision==0.28.0"]
NEW_LEROBOT = "lerobot[feetech]==0.6.1"


def installs(version: tuple[int, int, int]) -> list[list[str]]:
    """Return the arguments of each pip install, in order, for a Python version."""
    if version[:2] >= (3, 12):
        return [[NEW_LEROBOT, "-r", str(TESTS)]]
    # torchvision without its requirements too: they would replace torch.
    return [
        ["-r", str(OLD), "-r", str(TESTS)],
        ["--no-deps", *OLD_LEROBOT],
    ]


def wanted(version: tuple[int, int, int]) -> str:
    """Return what the environment is made from, as a hash."""
    total = hashlib.sha256(repr(installs(version)).encode())
    for path in (OLD, TESTS, SCHEMAS):
        total.update(path.read_bytes())
    return f"{'.'.join(map(str, version))} {total.hexdigest()}"


def make_torchvision_importable(python: str) -> None:
    """Declare torchvision's missing operators where torch is a CPU build and they do not load."""
    if subprocess.run([python, "-c", "import torchvision"], capture_output=True).returncode == 0:
        return
    command = [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    site = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    shutil.copy(SCHEMAS, site / "kdp_torchvision_schemas.py")
    (site / "kdp_torchvision_schemas.pth").write_text("import kdp_torchvision_schemas\n", encoding="utf-8")
    result = subprocess.run([python, "-c", "import torchvision"], capture_output=True, text=True)
    if result.returncode:
        raise SetupError(f"torchvision does not import: {result.stderr.strip().splitlines()[-1]}")


def usable(version: tuple[int, int, int]) -> bool:
    """Return whether an interrupted set-up left an environment of this Python, to go on with."""
    code = ["-c", "import pip, sys; print('.'.join(map(str, sys.version_info[:3])))"]
    try:
        result = subprocess.run([str(VENV / "bin" / "python"), *code], capture_output=True, text=True)
    except OSError:
        return False
    return result.returncode == 0 and result.stdout.strip() == ".".join(map(str, version))


def set_up() -> None:
    """Bring .venv-lerobot up to date."""
    interpreter = find_interpreter(os.environ.get("LEROBOT_PYTHON") or os.environ.get("PYTHON", ""))
    if STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted(interpreter.version):
        step.say("lerobot: up to date")
        return
    if not usable(interpreter.version):
        shutil.rmtree(VENV, ignore_errors=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    log = LOGS / "lerobot.log"
    step.say("lerobot: about 2 GB to download and unpack, 5 to 20 minutes")
    step.run("virtual environment", [interpreter.path, "-m", "venv", str(VENV)], log, environment, ROOT)
    python = str(VENV / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    for number, arguments in enumerate(installs(interpreter.version), 1):
        step.run(f"lerobot, step {number}", [*pip, *arguments], log, environment, ROOT)
    make_torchvision_importable(python)
    command = [python, "-c", "from lerobot.motors.feetech import FeetechMotorsBus"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise SetupError(f"lerobot does not import: {result.stderr.strip().splitlines()[-1]}")
    STAMP.write_text(wanted(interpreter.version), encoding="utf-8")
    step.say("lerobot: done")


def main() -> int:
    """Return the exit status."""
    try:
        set_up()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; call it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
