"""Demo and benchmark of the arm: keys of the report, resuming, and wrong use in one line."""

import json

import pytest
from rich.console import Console

from kdp_core.exceptions import ConfigError
from kdp_so100_bringup import bench_arm, demo
from kdp_so100_bringup.bench_arm import broken, series
from kdp_so100_bringup.demo import Part, check_artifact, progress_line, report, results_table
from kdp_so100_bringup.episode_runner import Progress

KEYS = {
    "episodes",
    "success",
    "success_rate",
    "success_wilson95",
    "tts_s",
    "replan_hz",
    "planner_ms",
    "e2e_ms",
    "candidates",
    "backend",
    "simulated",
    "machine",
    "definitions",
}
CONDITIONS = {
    "artifact_sha256": "ab",
    "task": "stack",
    "candidates": 64,
    "first_seed": 1,
    "bus": "scservo_sdk",
}


def done(number=1, task="pick_place", seed=9001):
    result = broken(number, task, seed, "")
    result.success, result.reason, result.tts_s, result.replan_hz = True, "", 3.5, 49.0
    result.planner_ns, result.e2e_ns, result.plans = [2_000_000] * 100, [9_000_000] * 100, 100
    result.final_distance_m, result.grasped = 0.004, True
    return result


def artifact(folder, task="pick_place"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "planner.onnx").write_bytes(b"graph")
    (folder / "spec.json").write_text(json.dumps({"task": task}))
    return folder


def test_report_keys_for_all_and_for_each_task():
    results = [done(1), broken(2, "pick_place", 9002, "planner ended"), done(3, "stack", 9001)]
    planned = [Part("pick_place", "/a", [9001, 9002]), Part("stack", "/b", [9001])]
    document = report(results, demo.parser().parse_args([]), planned, "processes")
    assert set(document) >= KEYS
    assert (document["episodes"], document["success"]) == (3, 2)
    assert document["tasks"]["pick_place"]["success_rate"] == 0.5
    assert document["tasks"]["stack"]["success"] == 1
    assert document["planner_ms"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0, "n": 200}
    assert document["e2e_ms"]["p50"] == 9.0 and document["tts_s"] == 3.5
    assert [row["seed"] for row in document["episode_rows"]] == [9001, 9002, 9001]
    json.dumps(document, allow_nan=False)


def test_line_shows_only_what_is_known():
    assert "goal" not in progress_line("stack 1/1", 9001, 0.0, Progress("setting the scene")).plain
    line = progress_line("stack 1/1", 9002, 4.2, Progress("moving", 0.123, 49.8, 1.93, 8.7)).plain
    for part in (
        "stack 1/1",
        "(9002)",
        "0.123 m",
        "50 Hz",
        "plan 1.9 ms",
        "e2e 8.7 ms",
    ):
        assert part in line
    longest = progress_line(
        "pick_place 1/3", 900001, 14.2, Progress("approach", 0.123, 49.8, 12.9, 118.7)
    ).plain
    assert len(longest) <= 80


def test_table_names_success_and_failure():
    console = Console(width=110, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(results_table([done(), broken(2, "stack", 9002, "planner ended")]))
    text = console.export_text()
    assert "success" in text and "graph: planner ended" in text and "2.0/2.0" in text


def test_demo_scenes_are_fixed(tmp_path):
    words = ["--artifact", artifact(tmp_path / "a"), "--stack-artifact", artifact(tmp_path / "b", "stack")]
    found = demo.parts(demo.parser().parse_args(list(map(str, words))))
    assert [(part.task, part.seeds) for part in found] == [
        ("pick_place", [900_001, 900_002, 900_003]),
        ("stack", [900_001]),
    ]


def test_another_tasks_artifact_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="task 'stack', expected 'pick_place'"):
        check_artifact("pick_place", str(artifact(tmp_path / "a", "stack")))
    (tmp_path / "a" / "spec.json").write_text("[]")
    with pytest.raises(ConfigError, match="cannot read the task"):
        check_artifact("stack", str(tmp_path / "a"))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--episodes", "0", "--stacking", "0"], "--episodes"),
        (["--episodes", "-1"], "--episodes"),
        (["--candidates", "0"], "--candidates"),
        (["--seed", "-4"], "--seed"),
        (["--artifact", "/no/such/place"], "planner.onnx is missing"),
    ],
)
def test_wrong_use_of_the_demo(words, named, tmp_path, capsys):
    assert demo.main([*words, "--out", str(tmp_path / "demo")]) == 1
    told = capsys.readouterr().out.strip()
    assert named in told and len(told.splitlines()) == 1
    assert not (tmp_path / "demo").exists()


def test_episodes_come_back(tmp_path):
    path = tmp_path / "arm.jsonl"
    assert series(path, CONDITIONS).load() == []
    for episode in (1, 2, 3):
        series(path, CONDITIONS).append(done(episode).to_dict())
    rows = series(path, CONDITIONS).load()
    assert [row.episode for row in rows] == [1, 2, 3]
    assert rows[1].to_dict() == done(2).to_dict()


@pytest.mark.parametrize("key", sorted(CONDITIONS))
def test_other_conditions_are_refused(key, tmp_path):
    path = tmp_path / "arm.jsonl"
    series(path, CONDITIONS).append(done().to_dict())
    with pytest.raises(ConfigError, match=key):
        series(path, {**CONDITIONS, key: "another"}).load()


@pytest.mark.parametrize("damage", ["", "{", '{"episode": 1}\n[]', "\x00"])
def test_a_damaged_file_is_one_line(damage, tmp_path):
    path = tmp_path / "arm.jsonl"
    path.write_text(json.dumps(CONDITIONS) + "\n" + damage if damage else "")
    with pytest.raises(ConfigError, match="not a file of episodes"):
        series(path, CONDITIONS).load()


@pytest.mark.parametrize(
    ("words", "named"),
    [(["--episodes", "0"], "--episodes"), (["--artifact", "/no/such/place"], "planner.onnx is missing")],
)
def test_wrong_use_of_the_benchmark(words, named, tmp_path, capsys):
    code = bench_arm.main([*words, "--json", str(tmp_path / "arm.json")])
    assert code == 1
    assert named in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
