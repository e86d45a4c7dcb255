"""Processes live and end together, and say which one ended and where its log is."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from kdp_planner_ros.process_group import ProcessDied, ProcessGroup

COUNT_INTERRUPTS = """
import signal, sys, time
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
print("ready", flush=True)
while not seen:
    time.sleep(0.01)
time.sleep(0.3)
sys.exit(10 + len(seen))
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


def start(group: ProcessGroup, name: str, code: str, **options: object) -> int:
    """Start Python code and wait until it says that it is ready."""
    pid = group.start(name, [sys.executable, "-c", code], **options)
    deadline = time.monotonic() + 20
    while "ready" not in (group.log_dir / f"{name}.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return pid


def test_one_interrupt_each(tmp_path: Path):
    group = ProcessGroup(tmp_path / "log")
    start(group, "a", COUNT_INTERRUPTS)
    start(group, "b", COUNT_INTERRUPTS)
    assert group.stop() == {"a": 11, "b": 11}
    assert group.stop() == {"a": 11, "b": 11}  # again: nothing left to do


def test_interrupt_to_the_terminal_reaches_no_child(tmp_path: Path):
    """Children are in sessions of their own, so a Ctrl-C of the terminal is not theirs."""
    group = ProcessGroup(tmp_path)
    pid = start(group, "a", COUNT_INTERRUPTS)
    assert os.getpgid(pid) == pid != os.getpgrp()
    group.stop()


def test_what_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("kdp_planner_ros.process_group.INTERRUPT_S", 0.2)
    monkeypatch.setattr("kdp_planner_ros.process_group.TERMINATE_S", 0.2)
    group = ProcessGroup(tmp_path)
    start(group, "deaf", STUBBORN)
    assert group.stop() == {"deaf": -signal.SIGKILL}


def test_nothing_is_left_of_a_session(tmp_path: Path):
    """A process that dies without its children, as a killed launch does, leaves them to `stop`."""
    group = ProcessGroup(tmp_path)
    child = "import time; print('ready', flush=True); time.sleep(60)"
    code = (
        f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {child!r}]).pid, flush=True)"
    )
    start(group, "parent", code)
    pid = int((tmp_path / "parent.log").read_text().split()[0])
    assert group.processes["parent"].wait(10) == 0
    assert Path(f"/proc/{pid}").exists()
    group.stop()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_death_names_the_process_and_its_log(tmp_path: Path):
    group = ProcessGroup(tmp_path)
    start(group, "driver", STUBBORN, vital=True)
    start(group, "planner", STUBBORN, vital=False)
    group.check()
    os.kill(group.pid("planner"), signal.SIGKILL)
    group.processes["planner"].wait(5)
    group.check(only_vital=True)  # not the driver: goes on, but has told
    os.kill(group.pid("driver"), signal.SIGKILL)
    group.processes["driver"].wait(5)
    with pytest.raises(ProcessDied) as told:
        group.check(only_vital=True)
    assert str(told.value) == f"driver ended (killed by SIGKILL), see {tmp_path / 'driver.log'}"
    assert group.ended() == []
    group.stop()


def test_what_cannot_start(tmp_path: Path):
    with pytest.raises(ProcessDied, match="cannot start ghost"):
        ProcessGroup(tmp_path).start("ghost", [str(tmp_path / "no such program")])
