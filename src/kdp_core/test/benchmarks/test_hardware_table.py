"""Table VII: the benchmarks are called as their users would, and their summaries become rows."""

import sys
from pathlib import Path

import pytest

from kdp_core.benchmarks import hardware_table, long_format
from kdp_core.benchmarks.hardware_table import HardwareOptions, Method, Robot
from kdp_core.exceptions import ConfigError, DataError

FAKE = """
import json, sys
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if arguments.get("--artifact", "").endswith("broken/artifact"):
    sys.exit(1)
n = int(arguments["--episodes"])
latency = {"p50": 2.5, "p99": 9.0, "n": 100}
if arguments["--candidates"] == "1":
    latency = {"p50": None, "p99": None, "n": 0}
summary = {"episodes": n, "success": n - 1, "success_rate": (n - 1) / n, "tts_s": 3.0, "replan_hz": 50.0,
           "planner_ms": latency, "e2e_ms": latency, "arguments": arguments}
with open(arguments["--json"], "w") as file:
    json.dump(summary, file)
"""
ROBOT = Robot("so100_pick_place", "fake_benchmark", "episodes", "so100_pick_place", ("--task", "pick_place"))


@pytest.fixture(autouse=True)
def fake_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fake_benchmark.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(hardware_table, "ROBOTS", (ROBOT,))
    (tmp_path / "out/hardware").mkdir(parents=True)


def test_measured_and_published_rows(tmp_path: Path) -> None:
    (tmp_path / "so100_pick_place_bc/artifact").mkdir(parents=True)
    said: list[str] = []
    hardware_table.run_table(tmp_path, tmp_path / "out", HardwareOptions(60, 20, 10), said.append)
    assert [line.split(":")[1] for line in said if "left out" not in line] == [" 60 episodes", " 20 episodes"]
    assert sum("left out" in line for line in said) == 2  # both networks of Diffuser
    rows = long_format.read(tmp_path / "out/hardware.json")["rows"]
    measured = {(r["method"], r["metric"]): r["value"] for r in rows if r["simulated"]}
    assert measured["joint, K = 64", "success"] == pytest.approx(59 / 60)
    assert measured["joint, K = 64", "planner_ms_p50"] == 2.5
    assert measured["behaviour cloning", "e2e_ms_p99"] is None  # nothing was measured
    published = {(r["method"], r["metric"]): r["value"] for r in rows if not r["simulated"]}
    assert published["Diffuser (published)", "e2e_ms_p50"] == 410
    text = (tmp_path / "out/hardware.md").read_text()
    assert (
        "| joint, K = 64, simulated | 98.3 [91.1, 99.7] n = 60 | 3.0 | 50.0 | 2.5 / 9.0 | 2.5 / 9.0 |" in text
    )
    assert "| KDP (published), real hardware | 90 | 32 | 17 | 9 / - | 47 / - |" in text


def test_the_shipped_planner_is_not_named_by_a_path(tmp_path: Path) -> None:
    """So that a result says the same on every machine."""
    path = tmp_path / "cell.json"
    summary = hardware_table.run_cell(ROBOT, hardware_table.KDP, Path("/some/where"), 3, path)
    assert summary["arguments"] == {
        "--task": "pick_place", "--episodes": "3", "--candidates": "64", "--json": str(path),
    }  # fmt: skip


def test_a_benchmark_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fake_benchmark ended with 1"):
        hardware_table.run_cell(ROBOT, Method("x", "x"), Path("broken/artifact"), 3, tmp_path / "x.json")


def test_without_the_ros_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware_table, "ROBOTS", (Robot("x", "no_such_package.bench", "episodes", "x", ()),))
    with pytest.raises(ConfigError, match=r"no_such_package.bench: not found; run this through tools/"):
        hardware_table.run_table(tmp_path, tmp_path, HardwareOptions(), print)
    assert not (tmp_path / "hardware.json").exists()
    assert "no_such_package" not in sys.modules
