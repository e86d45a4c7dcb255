"""Results of d3rlpy's methods: kept as they were, and refused where a table's budget is another."""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import tyro

from kdp_core.benchmarks import d3rlpy_results, gym_run, gym_table
from kdp_core.benchmarks.d3rlpy_results import BaselineResult, Budget
from kdp_core.benchmarks.gym_eval import GymOutcome
from kdp_core.benchmarks.gym_suites import SUITES, GymRow
from kdp_core.benchmarks.gym_table import QUICK, GymTableOptions, Result
from kdp_core.benchmarks.gym_training import GymTrainingOptions, Source
from kdp_core.exceptions import DataError

SCRIPT = Path(__file__).resolve().parents[4] / "training" / "d3rlpy_baselines.py"
HOPPER = {case.name: case for case in SUITES["locomotion"].cases}["hopper-medium"]
DATA = SimpleNamespace(hash="0f" * 32)
TRAINING = GymTrainingOptions(steps=30, conditions=8, samples=4)


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Budget:
    monkeypatch.setattr(d3rlpy_results, "check_return", lambda env: 12.5)
    return d3rlpy_results.budget_of(HOPPER, DATA, TRAINING, 2)  # type: ignore[arg-type]


def result(budget: Budget) -> BaselineResult:
    outcomes = tuple(GymOutcome(i, 10.0 + i, 0.5, None, 7, 7, 0.1) for i in range(2))
    return BaselineResult("hopper-medium", "iql", 0, budget, {"tau": 0.9}, 1.5, {"d3rlpy": "2.8.1"}, outcomes)


def test_budget_is_that_of_the_tables_planners(budget: Budget) -> None:
    assert (budget.steps, budget.batch, budget.episodes, budget.discount) == (30, 32, 2, 0.99)
    assert budget.data_sha256 == DATA.hash and budget.env == "Hopper-v4"


def test_what_is_written_is_read_again(tmp_path: Path, budget: Budget) -> None:
    path = d3rlpy_results.write_result(tmp_path, result(budget))
    assert path == tmp_path / "d3rlpy" / "hopper-medium" / "iql_0.json"
    assert d3rlpy_results.read_result(path) == result(budget)
    found = d3rlpy_results.results_of_case(tmp_path, HOPPER, ("iql", "cql"), DATA, TRAINING, 2)  # type: ignore[arg-type]
    assert found == {"iql": result(budget)}  # cql is not there


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: replace(r, budget=replace(r.budget, steps=31)), "steps is 31, wanted is 30"),
        (lambda r: replace(r, budget=replace(r.budget, data_sha256="00")), "data_sha256 is '00'"),
        (lambda r: replace(r, budget=replace(r.budget, check_return=12.51)), "check_return is 12.51"),
        (lambda r: replace(r, outcomes=r.outcomes[:1]), "number of outcomes is 1, wanted is 2"),
        (lambda r: replace(r, case="hopper-medium-expert"), "case is 'hopper-medium-expert'"),
    ],
)
def test_another_budget_is_refused(
    tmp_path: Path, budget: Budget, change: Callable[[BaselineResult], BaselineResult], message: str
) -> None:
    path = d3rlpy_results.write_result(tmp_path, result(budget))
    d3rlpy_results.write_result(tmp_path / "other", change(result(budget)))
    (other,) = (tmp_path / "other").rglob("iql_0.json")
    other.replace(path)
    with pytest.raises(DataError, match=message):
        d3rlpy_results.fitting_result(tmp_path, "hopper-medium", "iql", 0, budget)


def test_other_settings_are_refused_where_they_are_known(tmp_path: Path, budget: Budget) -> None:
    d3rlpy_results.write_result(tmp_path, result(budget))
    fits = d3rlpy_results.fitting_result
    assert fits(tmp_path, "hopper-medium", "iql", 0, budget, {"tau": 0.9}) == result(budget)
    with pytest.raises(DataError, match=r"tau is 0.9, wanted is 0.7"):
        fits(tmp_path, "hopper-medium", "iql", 0, budget, {"tau": 0.7})
    assert fits(tmp_path, "hopper-medium", "iql", 1, budget) is None  # another seed is another file


@pytest.mark.parametrize("text", ["{}", '{"case": "x"', "[1]", '{"budget": 3}'])
def test_damaged_files_are_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "iql_0.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"iql_0\.json"):
        d3rlpy_results.read_result(path)


def test_lines_of_baselines_stand_beside_their_published_scores(budget: Budget) -> None:
    results = [
        Result(GymRow("joint", 16), HOPPER, 1, result(budget).outcomes),
        Result(GymRow("iql"), HOPPER, 1, result(budget).outcomes),
    ]
    text = gym_table.markdown(SUITES["locomotion"], "data", results)
    assert "| iql | 1 | 1 | 1 | 0.5 ± 0.0 | 0.1 |" in text
    only = text.splitlines()[-1]
    assert only.startswith("Published only, average: TT 82.3, ") and "cql 80.1" in only
    assert (
        "diffusion_ql 91.1" in only and "iql" not in only
    )  # one that stands in the table is no 'published only'
    note = gym_run.missing_baselines("locomotion", results, "locomotion")
    assert "d3rlpy_bc, td3_bc, cql, dt" in note and 'make d3rlpy ARGS="locomotion"' in note
    everything = [Result(GymRow(row.method), HOPPER, 1, ()) for row in SUITES["locomotion"].rows]
    assert gym_run.missing_baselines("locomotion", everything, "locomotion") == ""
    assert gym_run.missing_baselines("chunking", results, "chunking") == ""  # which has no such lines


def load_script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("d3rlpy_baselines", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look their names up
    spec.loader.exec_module(module)
    return module


def test_the_tables_note_gives_the_same_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the note says is parsed by the script into the options that the table was run with."""
    options = replace(
        QUICK["locomotion"], cases=("walker2d-medium",), episodes=3,
        training=replace(QUICK["locomotion"].training, steps=40, conditions=16),
    )  # fmt: skip
    words = gym_run.d3rlpy_arguments("locomotion", "locomotion-quick", Source(), gym_run.PLANNERS, options)
    batch = 16 * QUICK["locomotion"].training.samples
    assert words == f"locomotion --quick --cases walker2d-medium --steps 40 --batch {batch} --episodes 3"
    parsed = tyro.cli(load_script(monkeypatch).Arguments, args=words.split())
    assert parsed.options.cases == options.cases and parsed.folder == Path("out/train/locomotion-quick")
    assert parsed.options.training.steps == 40 and parsed.options.episodes == 3
    assert d3rlpy_results.batch_of(parsed.options.training) == batch
    full = gym_run.d3rlpy_arguments(
        "adroit", "adroit", Source(data=Path("own data")), Path("p"), GymTableOptions()
    )
    assert full == "adroit --planners p --data 'own data'"


def test_check_return_tells_environments_apart() -> None:
    pytest.importorskip("mujoco", reason="MuJoCo, which Gymnasium's environments run on, is not installed")
    pytest.importorskip("gymnasium", reason="gymnasium is not installed")
    hopper, walker = (d3rlpy_results.check_return(env) for env in ("Hopper-v4", "Walker2d-v4"))
    assert np.isfinite([hopper, walker]).all() and hopper != walker
    assert d3rlpy_results.check_return.__wrapped__("Hopper-v4") == hopper
