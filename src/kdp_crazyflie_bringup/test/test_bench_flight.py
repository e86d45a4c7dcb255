# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark goes on where it stopped, and never mixes flights that do not belong together."""

import json
from pathlib import Path

import pytest

from kdp_core.exceptions import ConfigError
from kdp_crazyflie_bringup.bench_flight import broken, main, series

CONDITIONS = {
    "artifact_sha256": "ab",
    "candidates": 64,
    "poles": 16,
    "first_seed": 1,
    "machine": {"cores": 2},
}


def write(path: Path, flights: int) -> None:
    kept = series(path, CONDITIONS)
    for flight in range(1, flights + 1):
        kept.append(broken(flight, flight, 16, "x").to_dict())


def test_flights_come_back(tmp_path: Path):
    path = tmp_path / "flight.jsonl"
    assert series(path, CONDITIONS).load() == []
    write(path, 3)
    rows = series(path, CONDITIONS).load()
    assert [row.flight for row in rows] == [1, 2, 3]
    again = broken(2, 2, 16, "x").to_dict()
    assert rows[1].to_dict() == again


@pytest.mark.parametrize("key", sorted(CONDITIONS))
def test_other_conditions_are_refused(key: str, tmp_path: Path):
    path = tmp_path / "flight.jsonl"
    write(path, 1)
    with pytest.raises(ConfigError, match=key):
        series(path, {**CONDITIONS, key: "another"}).load()


@pytest.mark.parametrize("damage", ["", "{", '{"flight": 1}\n[]', "\x00"])
def test_damaged_file_is_one_line(damage: str, tmp_path: Path):
    path = tmp_path / "flight.jsonl"
    path.write_text(json.dumps(CONDITIONS) + "\n" + damage if damage else "")
    with pytest.raises(ConfigError, match="not a file of flights"):
        series(path, CONDITIONS).load()


@pytest.mark.parametrize(
    ("words", "named"),
    [(["--flights", "0"], "--flights"), (["--artifact", "/no/such/place"], "planner.onnx is missing")],
)
def test_wrong_use(words, named, tmp_path, capsys):
    code = main([*words, "--json", str(tmp_path / "flight.json")])
    assert code == 1
    assert named in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
