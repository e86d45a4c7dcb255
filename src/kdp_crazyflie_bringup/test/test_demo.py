# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's report has its keys, its line shows what is known, and wrong use is one line."""

import json

import pytest
from rich.console import Console

from kdp_crazyflie_bringup.bench_flight import broken
from kdp_crazyflie_bringup.demo import main, parser, progress_line, report, results_table, world_seeds
from kdp_crazyflie_bringup.flight_runner import Progress

KEYS = {
    "flights",
    "success",
    "collisions",
    "tts_s",
    "replan_hz",
    "planner_ms",
    "e2e_ms",
    "candidates",
    "backend",
    "artifact",
}


def flown():
    result = broken(1, 9001, 16, "")
    result.success, result.reason, result.tts_s, result.replan_hz = True, "", 9.5, 50.0
    result.planner_ns, result.e2e_ns = [2_000_000] * 100, [9_000_000] * 100
    return result


def test_report_keys():
    document = report([flown()], parser().parse_args([]), "/artifact", "processes")
    assert set(document) >= KEYS
    assert document["planner_ms"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "n": 100}
    assert (document["flights"], document["success"], document["collisions"]) == (1, 1, 0)
    assert document["flight_rows"][0]["seed"] == 9001
    json.dumps(document, allow_nan=False)


def test_line_shows_only_what_is_known():
    assert "goal" not in progress_line(1, 3, 9001, 0.0, Progress("taking off")).plain
    line = progress_line(2, 3, 9002, 4.2, Progress("flying", 3.21, 49.8, 1.93, 8.7)).plain
    for part in (
        "flight 2/3",
        "world 9002",
        "3.21 m",
        "49.8 plans/s",
        "planner 1.93 ms",
        "end to end  8.7 ms",
    ):
        assert part in line


def test_table_names_success_and_failure():
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(results_table([flown(), broken(2, 9002, 16, "planner ended")]))
    text = console.export_text()
    assert "success" in text and "graph: planner ended" in text and "2.0/2.0" in text


def test_worlds_are_fixed():
    assert world_seeds(parser().parse_args([])) == [900_001, 900_002, 900_003]
    assert world_seeds(parser().parse_args(["--flights", "2", "--seeds", "4", "8"])) == [4, 8]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--flights", "0"], "--flights"),
        (["--flights", "2", "--seeds", "1"], "--seeds"),
        (["--poles", "99"], "--poles"),
        (["--candidates", "0"], "--candidates"),
        (["--artifact", "/no/such/place"], "planner.onnx is missing"),
    ],
)
def test_wrong_use(words, named, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path / "demo")]) == 1
    told = capsys.readouterr().out.strip()
    assert named in told and len(told.splitlines()) == 1
    assert not (tmp_path / "demo").exists()
