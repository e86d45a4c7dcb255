"""Wrong inputs to the command-line tools: one line that names what is wrong, and nothing left behind.

All but two run in this process: importing PyTorch again for each would take minutes.
"""

import hashlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

TRAINING = Path(__file__).resolve().parents[3] / "training"
SHIPPED = Path(__file__).resolve().parents[1] / "artifacts" / "crazyflie"
Prepare = Callable[[Path], None]


def nothing(folder: Path) -> None:
    """Needs no files."""


def text(name: str, content: str | bytes) -> Prepare:
    return lambda folder: (
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode()) and None
    )


def folder_with_file(name: str) -> Prepare:
    def prepare(folder: Path) -> None:
        (folder / name).mkdir()
        (folder / name / "mine.txt").write_text("keep")

    return prepare


def d4rl(steps: int = 60, nan: bool = False, drop: str = "", cut: bool = False) -> Prepare:
    """A file data.hdf5 with one episode, whole or spoilt."""

    def prepare(folder: Path) -> None:
        rng = np.random.default_rng(0)
        ends = np.zeros(steps, bool)
        ends[-1] = True
        arrays = {
            "observations": rng.normal(size=(steps, 3)).astype("f4"),
            "actions": rng.normal(size=(steps, 2)).astype("f4"),
            "rewards": np.zeros(steps, "f4"),
            "terminals": ends,
            "timeouts": np.zeros(steps, bool),
        }
        if nan:
            arrays["observations"][17, 1] = np.nan
        arrays.pop(drop, None)
        path = folder / "data.hdf5"
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
        if cut:
            path.write_bytes(path.read_bytes()[:-600])

    return prepare


def artifact(flip: str = "", **spec_changes: object) -> Prepare:
    """A copy of the shipped artifact, with one flipped bit or another spec (and sums that agree)."""

    def prepare(folder: Path) -> None:
        target = folder / "artifact"
        target.mkdir()
        for file in SHIPPED.iterdir():
            os.link(file, target / file.name)
        if flip:
            data = bytearray((target / flip).read_bytes())
            data[len(data) // 2] ^= 1
            replace(target / flip, bytes(data))
        if spec_changes:
            spec = json.loads((target / "spec.json").read_text()) | spec_changes
            replace(target / "spec.json", json.dumps(spec).encode())
            names = [line.split("  ")[1] for line in (target / "SHA256SUMS").read_text().splitlines()]
            sums = [f"{hashlib.sha256((target / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
            replace(target / "SHA256SUMS", "".join(sums).encode())

    return prepare


def replace(path: Path, content: bytes) -> None:
    path.unlink()  # it is a link to the shipped file, which must not change
    path.write_bytes(content)


@dataclass(frozen=True)
class Case:
    """A tool, its arguments ({} is the test's folder), what lies in the folder, and words of the error."""

    tool: str
    arguments: str
    words: str
    prepare: Prepare = nothing


TRAIN, EVALUATE, COLLECT, TOY = (
    "train_kdp.py",
    "evaluate.py",
    "collect_crazyflie.py",
    "kdp_core.benchmarks.toy",
)
GENERIC = "--task generic --data {}/data.hdf5 --horizon 8 --out {}/out"
CASES = [
    Case(TRAIN, "--config {}/none.yaml", "{}/none.yaml: cannot be read"),
    Case(TRAIN, "--config", "--config: expected the path"),
    Case(
        TRAIN,
        "--config {}/c.yaml",
        "{}/c.yaml: unknown field 'train.stepz'",
        text("c.yaml", "train: {stepz: 3}"),
    ),
    Case(
        TRAIN,
        "--config={}/c.yaml",
        "'train.steps' must be int, got 'ten'",
        text("c.yaml", "train: {steps: ten}"),
    ),
    Case(TRAIN, "--config {}/c.yaml", "{}/c.yaml:2:1: not YAML", text("c.yaml", "train: [1\n")),
    Case(TRAIN, "--config {}/c.yaml", "is not UTF-8", text("c.yaml", b"out: \xff")),
    Case(
        TRAIN, "--config {}/c.yaml", "'train.field' must be one of", text("c.yaml", "train: {field: magic}")
    ),
    Case(TRAIN, "--train.steps -5", "train.steps must be at least 1, got -5"),
    Case(TRAIN, "--train.learning-rate nan", "train.learning_rate must be greater than 0, got nan"),
    Case(TRAIN, "--threads 0", "threads must be at least 1, got 0"),
    Case(TRAIN, "--task swim --data {}/data.hdf5 --out {}/out", "task 'swim' is unknown", d4rl()),
    Case(TRAIN, "--task generic --out {}/out", "data: task 'generic' collects no data by itself"),
    Case(TRAIN, "--data {}/none.hdf5 --out {}/out", "{}/none.hdf5: no such file"),
    Case(TRAIN, GENERIC, "data.hdf5", text("data.hdf5", b"not HDF5")),
    Case(TRAIN, GENERIC, "data.hdf5", d4rl(cut=True)),
    Case(TRAIN, GENERIC, "actions", d4rl(drop="actions")),
    Case(TRAIN, GENERIC, "[17, 1] is nan", d4rl(nan=True)),
    Case(TRAIN, GENERIC, "data.hdf5", d4rl(steps=5)),
    Case(TRAIN, "--data {}/data.hdf5 --out {}/out", "observations must be (T+1, 9)", d4rl()),
    Case(TRAIN, "--out {}/file", "{}/file: is a file", text("file", "x")),
    Case(TRAIN, "--artifact {}/mine", "{}/mine: exists and is not an artifact", folder_with_file("mine")),
    Case(EVALUATE, "--artifact {}/none", "{}/none: no such directory"),
    Case(EVALUATE, "--artifact {}/artifact", "planner.onnx: SHA-256 differs", artifact(flip="planner.onnx")),
    Case(
        EVALUATE, "--artifact {}/artifact", "field 'rate_hz' is 25.0, expected 50.0", artifact(rate_hz=25.0)
    ),
    Case(
        EVALUATE, "--artifact {}/artifact", "{}/artifact/spec.json: field 'horizon'", artifact(horizon="long")
    ),
    Case(EVALUATE, "--worlds 0", "worlds must be at least 1, got 0"),
    Case(EVALUATE, "--poles 99", "poles must be 0 to 30, got 99"),
    Case(EVALUATE, "--delay-ms -3", "delay_ms must be 0 to 1000"),
    Case(EVALUATE, "--candidates 0", "candidates must be 1 to 4096, got 0"),
    Case(EVALUATE, "--processes 0", "processes must be at least 1, got 0"),
    Case(EVALUATE, "--json {}", "--json: {} is a folder"),
    Case(COLLECT, "--out {}/mine", "{}/mine: exists already", folder_with_file("mine")),
    Case(COLLECT, "--out {}/d --collect.poles 9 3", "collect.poles must be"),
    Case(COLLECT, "--out {}/d --collect.worlds -1", "collect.worlds must be at least 1, got -1"),
    Case(COLLECT, "--out {}/d --processes 0", "processes must be at least 1, got 0"),
    Case(TOY, "--steps 0 --json {}/toy.json", "steps, samples, conditions"),
    Case(TOY, "--bank 1 --json {}/toy.json", "bank: 1 windows"),
]
USAGE = [
    (TRAIN, "--no-such-option 3"),
    (TRAIN, "--train.steps many"),
    (EVALUATE, "--method magic"),
    (COLLECT, "--collect.poles 3"),
    (TOY, "--fields magic"),
]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


def fail(
    tool: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> tuple[object, str]:
    """Run a tool in this process; its exit code and what it wrote to stderr."""
    monkeypatch.setattr(sys, "argv", [tool, *arguments])
    monkeypatch.delitem(sys.modules, tool, raising=False)  # or runpy warns that it is imported already
    script = tool.endswith(".py")
    run: Callable[..., object] = runpy.run_path if script else runpy.run_module
    with pytest.raises(SystemExit) as caught:
        run(str(TRAINING / tool) if script else tool, run_name="__main__")
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize("case", CASES, ids=[f"{c.tool.split('.')[0]}-{c.words[:30]}" for c in CASES])
def test_one_line_and_nothing_left(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    case.prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    arguments = case.arguments.replace("{}", str(tmp_path)).split()
    code, error = fail(case.tool, arguments, monkeypatch, capsys)
    assert code == 2
    assert error.count("\n") == 1 and error.startswith("error: ")
    assert case.words.replace("{}", str(tmp_path)) in error
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("tool", "arguments"), USAGE)
def test_usage_errors_have_no_traceback(
    tool: str, arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    code, error = fail(tool, arguments.split(), monkeypatch, capsys)
    assert code not in (0, None) and "Traceback" not in error and error.strip()
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        (TRAIN, "--config none.yaml", "none.yaml: cannot be read"),
        (EVALUATE, "--artifact none", "none: no such directory"),
    ],
)
def test_as_a_user_runs_it(tool: str, arguments: str, words: str, tmp_path: Path) -> None:
    command = [sys.executable, str(TRAINING / tool), *arguments.split()]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert result.returncode == 2
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and words in lines[0]
    assert tree(tmp_path) == {}
