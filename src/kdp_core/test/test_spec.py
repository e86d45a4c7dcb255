"""The contract: what it refuses, in one line that names file and field, and what comes back from a file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from kdp_core.exceptions import SpecError
from kdp_core.spec import Spec
from kdp_core.tasks.flight import flight_spec


def content(spec: Spec) -> dict[str, Any]:
    return json.loads(json.dumps(spec.model_dump(mode="json")))


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_round_trip(tmp_path: Path, fitted_spec: Spec, kind: str) -> None:
    path = tmp_path / f"spec.{kind}"
    if kind == "json":
        fitted_spec.save(path)
    else:
        path.write_text(yaml.safe_dump(content(fitted_spec)))
    assert Spec.load(path) == fitted_spec
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_sizes_and_slices(small_spec: Spec) -> None:
    sizes = (
        small_spec.d_state,
        small_spec.d_action,
        small_spec.d_window,
        small_spec.d_context,
        small_spec.d_goal,
    )
    assert sizes == (3, 2, 5, 1, 2)
    assert small_spec.step_s == pytest.approx(0.2)
    assert small_spec.slice("state", "speed") == slice(2, 3)
    assert small_spec.slice("action", "push") == slice(0, 2)
    low, high = small_spec.limits("action")
    assert low.tolist() == [-1, -1] and high.tolist() == [1, 1]
    assert np.isinf(small_spec.limits("state")[0]).all()
    each = small_spec.action[0].model_copy(update={"limits": ((-1.0, 1.0), (0.0, 2.0))})
    low, high = small_spec.model_copy(update={"action": (each,)}).limits("action")
    assert low.tolist() == [-1, 0] and high.tolist() == [1, 2]
    with pytest.raises(SpecError, match="no state channel 'push'"):
        small_spec.slice("state", "push")


def broken() -> list[tuple[str, dict[str, Any], str]]:
    """(name, changes to the file by dotted path, words of the error)."""
    std = [1.0, 1.0, 1.0]
    fit = {"state_mean": std, "state_std": std, "action_mean": [0, 0], "action_std": [1, 1]}
    fit |= {"context_mean": [0], "context_std": [1]}
    return [
        ("unknown field", {"colour": "red"}, "colour"),
        ("unknown field of a channel", {"state.0.colour": "red"}, "state.0.colour"),
        ("version", {"version": 2}, "version"),
        ("no name", {"name": ""}, "name"),
        ("rate", {"rate_hz": 0}, "rate_hz"),
        ("relative to nothing", {"action.0.relative_to": "height"}, "relative_to of 'push' must name"),
        ("relative to another size", {"action.0.relative_to": "speed"}, "relative_to of 'push' must name"),
        ("relative context", {"context.0.relative_to": "speed"}, "context cannot be relative"),
        ("relative goal", {"state.0.relative_to": "position"}, "goal.channels cannot be relative"),
        ("rate that is text", {"rate_hz": "quick"}, "rate_hz"),
        ("stride", {"stride": 0}, "stride"),
        ("horizon", {"horizon": 0}, "horizon"),
        ("no state", {"state": []}, "state"),
        ("no action", {"action": []}, "action"),
        ("channel's name", {"state.0.name": "Position X"}, "state.0.name"),
        ("channel's size", {"state.0.size": 0}, "state.0.size"),
        ("limits the wrong way round", {"action.0.limits": [1, -1]}, "action.0"),
        ("limits of one number", {"action.0.limits": [1]}, "action.0.limits"),
        ("limits for too few", {"action.0.limits": [[0, 1]]}, "must be one pair, or 2 pairs, got 1"),
        ("limits of one the wrong way round", {"action.0.limits": [[0, 1], [1, 0]]}, "low < high"),
        ("rate limit", {"action.0.rate_limit": -1}, "action.0.rate_limit"),
        ("same name twice", {"state.1.name": "position"}, "unique"),
        ("key of no channel", {"key.0.channel": "moon"}, "moon"),
        ("key's scale", {"key.0.scale": 0}, "key.0.scale"),
        ("goal's mode", {"goal.mode": "perhaps"}, "goal.mode"),
        ("goal that is no state", {"goal.channels": ["wind"]}, "goal.channels"),
        ("goal without channels", {"goal.channels": []}, "goal.channels"),
        ("goal after the end", {"goal.step": 5}, "goal.step"),
        (
            "message type",
            {"state.0.ros": {"topic": "a", "type": "Odometry", "field": "x"}},
            "state.0.ros.type",
        ),
        ("no topic", {"state.0.ros": {"topic": "", "type": "a/msg/B", "field": "x"}}, "state.0.ros.topic"),
        ("normaliser's size", {"normaliser": {**fit, "state_mean": [0]}}, "state_mean"),
        ("normaliser not finite", {"normaliser": {**fit, "state_mean": [0, 0, float("nan")]}}, "state_mean"),
        ("normaliser's std", {"normaliser": {**fit, "action_std": [1, 0]}}, "action_std"),
    ]


@pytest.mark.parametrize(("changes", "words"), [c[1:] for c in broken()], ids=[c[0] for c in broken()])
def test_one_line_names_file_and_field(
    tmp_path: Path, small_spec: Spec, changes: dict[str, Any], words: str
) -> None:
    document = content(small_spec)
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        place: Any = document
        for part in parents:
            place = place[int(part) if part.isdigit() else part]
        place[last] = value
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(document))
    with pytest.raises(SpecError) as caught:
        Spec.load(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and words in line and "\n" not in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[1, 2]", "mapping"),
        (b"{", "not YAML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a: [1\nb: }", "not YAML"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_files_that_hold_no_spec(tmp_path: Path, text: bytes, words: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(text)
    with pytest.raises(SpecError) as caught:
        Spec.load(path)
    assert str(path) in str(caught.value) and words in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        Spec.load(tmp_path / "none.json")


def test_require_same_ignores_the_normaliser_and_names_the_field(small_spec: Spec, fitted_spec: Spec) -> None:
    small_spec.require_same(fitted_spec, "other")
    assert small_spec.contract_hash() == fitted_spec.contract_hash()
    slower = small_spec.model_copy(update={"rate_hz": 5.0})
    assert slower.contract_hash() != small_spec.contract_hash()
    with pytest.raises(SpecError, match=r"^file: field 'rate_hz' is 5.0, expected 10.0"):
        small_spec.require_same(slower, "file")
    with pytest.raises(SpecError, match="field 'name'"):
        flight_spec().require_same(small_spec, "file")
