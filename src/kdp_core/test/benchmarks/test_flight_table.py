"""The flight table: what is flown, what is kept, what is written."""

from pathlib import Path

import pytest

from kdp_core.benchmarks import flight_table, long_format
from kdp_core.benchmarks.flight_eval import Outcome
from kdp_core.exceptions import DataError
from kdp_core.proportions import wilson

FAN = flight_table.Row("fan", None, method="straight_fan", candidates=8, ranking="task")
OPTIONS = flight_table.TableOptions(other_poles=(0,), other_worlds=1)


def test_table_is_flown_once_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight_table, "ROWS", (FAN,))
    flown: list[str] = []

    def run() -> dict:
        return flight_table.run_table(tmp_path, tmp_path, OPTIONS, 1, lambda label, *_: flown.append(label))

    first = run()
    assert flown == ["fan_0_0"]
    assert run()["rows"] == first["rows"] and len(flown) == 1  # finished cells are kept
    values = {row["metric"]: row["value"] for row in long_format.read(tmp_path / "flight.json")["rows"]}
    assert (
        values["success"] == 1.0 and values["collisions"] == 0.0 and 5.0 < values["time_to_success_s"] < 20.0
    )
    assert "| fan | 100.0 [20.7, 100.0] n = 1 |" in (tmp_path / "flight.md").read_text()


def test_missing_planner_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight_table, "ROWS", (flight_table.Row("joint", "joint0"),))
    with pytest.raises(DataError, match=r"joint0/artifact: no trained planner; train it first"):
        flight_table.run_table(tmp_path, tmp_path, OPTIONS, 1, lambda *_: None)
    assert not (tmp_path / "flight.json").exists()


def test_sets_of_one_row_are_pooled() -> None:
    flown = [
        Outcome(i, i > 0, "success" if i else "collision", 9.0 if i else None, 0.1, 0.1, 10, i)
        for i in range(4)
    ]
    text = flight_table.markdown("simulated", [(FAN, 16, 0, flown[:2]), (FAN, 16, 1, flown[2:])])
    low, high = wilson(3, 4)
    assert f"75.0 [{100 * low:.1f}, {100 * high:.1f}] n = 4 | 9.0 | 15.0 %" in text
