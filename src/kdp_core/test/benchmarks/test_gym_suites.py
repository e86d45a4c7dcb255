"""What the Gymnasium tables are made of: names that belong together, files of users."""

from pathlib import Path

import pytest

from kdp_core.benchmarks.d4rl_scores import reference
from kdp_core.benchmarks.gym_suites import AVERAGE, BASELINES, SUITES, own_data, policy_files
from kdp_core.exceptions import DataError

HOPPER = {case.name: case for case in SUITES["locomotion"].cases}["hopper-medium-expert"]


@pytest.mark.parametrize("name", SUITES)
def test_names_of_a_suite_belong_together(name: str) -> None:
    suite = SUITES[name]
    for case in suite.cases:
        assert reference(case.env) == reference(case.d4rl) == reference(case.name)
        robot = case.name.split("-")[0].removesuffix("maze")
        assert all(robot in policy for policy in case.policies)
        assert len(case.policies) == (2 if case.name.endswith("medium-expert") else 1)
    columns = {case.name for case in suite.cases} | {AVERAGE}
    assert all(set(figures) <= columns for figures in suite.published.values())
    rows = {(row.method, row.chunk) for row in suite.rows} | {(method, 1) for method in BASELINES}
    assert set(suite.published) <= rows
    assert len(set(suite.rows)) == len(suite.rows)
    assert max(row.chunk for row in suite.rows) <= min(case.horizon for case in suite.cases)


def test_policy_files_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"policies: not given; .* sac-hopper.npz, trpo-hopper.npz"):
        policy_files(HOPPER, None)
    (tmp_path / "sac-hopper.npz").touch()
    with pytest.raises(DataError, match=r"trpo-hopper.npz is missing"):
        policy_files(HOPPER, tmp_path)
    assert policy_files(SUITES["antmaze"].cases[0], None) == (Path("ant-walker"),)  # a script, not a file
    (tmp_path / "trpo-hopper.npz").touch()
    assert [path.name for path in policy_files(HOPPER, tmp_path)] == ["sac-hopper.npz", "trpo-hopper.npz"]


@pytest.mark.parametrize(
    "name", ["hopper_medium_expert-v2.hdf5", "hopper-medium-expert.hdf5", "hopper-medium-expert-v0"]
)
def test_own_data_by_any_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / "hopper_medium-v2.hdf5").touch()  # another data set
    assert own_data(HOPPER, tmp_path) == tmp_path / name


def test_own_data_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"0 data sets for hopper-medium-expert, expected one"):
        own_data(HOPPER, tmp_path / "nothing")
    for version in (1, 2):
        (tmp_path / f"hopper_medium_expert-v{version}.hdf5").touch()
    with pytest.raises(DataError, match="2 data sets"):
        own_data(HOPPER, tmp_path)
    pen = SUITES["adroit"].cases[0]
    (tmp_path / "pen-cloned-v1.hdf5").touch()
    assert own_data(pen, tmp_path).name == "pen-cloned-v1.hdf5"
