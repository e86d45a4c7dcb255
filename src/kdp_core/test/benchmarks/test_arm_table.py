"""The arm's table: what is run, what is kept, what is left out, what is written."""

from pathlib import Path

import pytest

from kdp_core.benchmarks import arm_table, long_format
from kdp_core.benchmarks.tabletop_eval import TabletopOutcome
from kdp_core.proportions import wilson

ONE = arm_table.Row("joint, K = 2", candidates=2, main=True)
UNTRAINED = arm_table.Row("behaviour cloning", "bc", candidates=1)
OPTIONS = arm_table.ArmTableOptions(tasks=("pick_place",), scenes=1, sets=1)


def test_table_is_run_once_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_table, "ROWS", (ONE, UNTRAINED))
    said: list[tuple[str, int]] = []

    def run() -> dict:
        return arm_table.run_table(
            tmp_path / "none", tmp_path, OPTIONS, 1, lambda label, done, *_: said.append((label, done))
        )

    first = run()
    assert said[0] == ("pick_place, joint, K = 2, set 0", 1)
    assert said[1][0].startswith("pick_place, behaviour cloning, set 0: left out") and said[1][1] == 0
    assert run()["rows"] == first["rows"] and len(said) == 3  # the finished cell is kept
    rows = long_format.read(tmp_path / "arm.json")["rows"]
    assert {row["method"] for row in rows} == {"joint, K = 2"}
    assert {row["metric"]: row["episodes"] for row in rows}["success"] == 1
    assert "| joint, K = 2 | " in (tmp_path / "arm.md").read_text()


def test_candidates_chunks_and_baselines_are_tabulated() -> None:
    """K = 1, 16, 64, chunks of 1, 4, 8, Diffuser and behaviour cloning; the main row three sets."""
    ours = {(row.candidates, row.chunk) for row in arm_table.ROWS if row.planner is None}
    assert ours == {(64, 1), (16, 1), (1, 1), (64, 4), (64, 8)}
    assert {row.planner for row in arm_table.ROWS} >= {"diffuser", "diffuser_mlp", "bc"}
    numbers = [n for row, task, n, _ in arm_table.cells(arm_table.ArmTableOptions()) if row.main]
    assert numbers == [0, 1, 2, 0, 1, 2]


def test_sets_of_one_row_are_pooled() -> None:
    run = [TabletopOutcome(i, i > 0, "", 3.0 if i else None, 0.1, 10, i) for i in range(4)]
    text = arm_table.markdown("simulated", [(ONE, "stack", 0, run[:2]), (ONE, "stack", 1, run[2:])])
    low, high = wilson(3, 4)
    assert f"| 75.0 [{100 * low:.1f}, {100 * high:.1f}] n = 4 | 3.0 |" in text
