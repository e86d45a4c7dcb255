"""Results are written whole or not at all, and read back only if every row is in long format."""

import json
from pathlib import Path

import pytest

from kdp_core.benchmarks import long_format
from kdp_core.exceptions import DataError


def rows() -> list[long_format.Row]:
    return [
        long_format.row("toy", "joint", "variance_ratio", 1.0, 0.02, 3, steps=4000),
        long_format.row("maze", "ddpm", "score", 117),
    ]


def test_round_trip_with_environment(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    written = long_format.write(path, "a toy", rows())
    document = long_format.read(path)
    assert document == written
    assert document["rows"][0] == {
        "task": "toy",
        "method": "joint",
        "metric": "variance_ratio",
        "value": 1.0,
        "stderr": 0.02,
        "seed": 3,
        "steps": 4000,
    }
    assert document["rows"][1]["stderr"] is None
    assert set(document["environment"]["versions"]) >= {"python", "kdp_core", "numpy"}
    assert [entry.name for entry in path.parent.iterdir()] == ["results.json"]


def test_diverged_values_become_null() -> None:
    entry = long_format.row("toy", "kdp", "score", float("nan"), float("inf"), 0)
    assert entry["value"] is None
    assert entry["stderr"] is None


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    long_format.write(path, "first", rows())
    with pytest.raises(DataError):
        long_format.write(path, "second", [{"task": "toy"}])
    assert long_format.read(path)["data"] == "first"
    blocked = tmp_path / "folder.json"
    blocked.mkdir()
    with pytest.raises(DataError, match=r"folder\.json: cannot write"):
        long_format.write(blocked, "third", rows())
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder.json", "results.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": ""}, r"rows\[1\]: task"),
        ({"method": None}, r"rows\[1\]: method"),
        ({"value": "1.0"}, r"rows\[1\]: value"),
        ({"value": float("nan")}, r"rows\[1\]: value"),
        ({"value": True}, r"rows\[1\]: value"),
        ({"stderr": -0.1}, r"rows\[1\]: stderr"),
        ({"seed": 1.5}, r"rows\[1\]: seed"),
        ({"curve": [1, 2]}, r"rows\[1\]: curve"),
    ],
)
def test_wrong_rows_are_named(change: dict, message: str) -> None:
    good, bad = rows()
    bad.update(change)
    with pytest.raises(DataError, match=message):
        long_format.validate({"data": "x", "environment": {}, "rows": [good, bad]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "rows"),
        (json.dumps({"rows": []}), "data"),
        (json.dumps({"data": "x", "rows": []}), "environment"),
        (
            json.dumps(
                {"data": "x", "environment": {}, "rows": [{"task": "a", "method": "b", "metric": "c"}]}
            ),
            "value",
        ),
    ],
)
def test_files_in_other_formats_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        long_format.read(path)
    assert "other.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.json: cannot read"):
        long_format.read(tmp_path / "absent.json")
