"""Results of d3rlpy's methods, a file for each: written in their own environment, read by the tables.

``FOLDER/d3rlpy/CASE/METHOD_SEED.json``: what was trained (``case``, ``method``, ``seed``), the ``budget``
that a table compares with its own, d3rlpy's ``settings``, ``training_cpu_s``, machine and versions
(``environment``), and the ``outcomes`` of the episodes as the tables' own evaluation gives them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from kdp_core.benchmarks.gym_eval import GymEvaluationOptions, GymOutcome, run_episode
from kdp_core.benchmarks.gym_suites import Baseline, Case
from kdp_core.benchmarks.gym_training import SEED, GymTrainingOptions
from kdp_core.datasets import Episodes
from kdp_core.exceptions import DataError
from kdp_core.files import load_json, write_json
from kdp_core.ranges import EVALUATION_SEED
from kdp_core.sim.gym_env import make_env

CHECK_TOLERANCE = 1e-6
"""Relative; on one machine the environments' versions that were tried agree in every bit."""
AGAIN = "delete the file, or make it anew with what is wanted (`make d3rlpy`)"


@dataclass(frozen=True)
class Budget:
    """What must be equal for all methods of a table.

    batch: transitions per gradient step, as many as the planners have windows (of pieces of episodes, which
    the Decision Transformer learns from, there are as many as ``settings`` say).
    check_return: of one episode of seeded random actions, so that environments of other versions that give
    other rewards are noticed.
    """

    env: str
    data_sha256: str
    steps: int
    batch: int
    discount: float
    episodes: int
    evaluation_seed: int
    check_return: float


def batch_of(training: GymTrainingOptions) -> int:
    """Windows per gradient step of every planner."""
    return training.conditions * training.samples


def budget_of(case: Case, data: Episodes, training: GymTrainingOptions, episodes: int) -> Budget:
    """The budget of a table's cell: as its planners have it."""
    return Budget(
        env=case.env,
        data_sha256=data.hash,
        steps=training.steps,
        batch=batch_of(training),
        discount=training.discount,
        episodes=episodes,
        evaluation_seed=GymEvaluationOptions.seed,
        check_return=check_return(case.env),
    )


@dataclass(frozen=True)
class BaselineResult:
    """One trained and evaluated method.

    settings: d3rlpy's own of the algorithm. training_cpu_s: processor time. environment: machine, versions.
    """

    case: str
    method: Baseline
    seed: int
    budget: Budget
    settings: Mapping[str, Any]
    training_cpu_s: float
    environment: Mapping[str, Any]
    outcomes: tuple[GymOutcome, ...]


def result_path(folder: Path, case: str, method: Baseline, seed: int) -> Path:
    """Where a result is below a table's folder of planners."""
    return folder / "d3rlpy" / case / f"{method}_{seed}.json"


@cache
def check_return(env_id: str) -> float:
    """Return of one episode of seeded random actions. Raises ConfigError if there is no such environment."""
    env = make_env(env_id)
    try:
        return run_episode(None, env, EVALUATION_SEED, GymEvaluationOptions(env_id)).total
    finally:
        env.close()


def write_result(folder: Path, result: BaselineResult) -> Path:
    """Write the file, whole or not at all."""
    path = result_path(folder, result.case, result.method, result.seed)
    write_json(path, asdict(result))
    return path


def read_result(path: Path) -> BaselineResult:
    """The result in a file. Raises DataError if it is not one."""
    found = load_json(path, DataError)
    try:
        known = {field.name: found[field.name] for field in fields(BaselineResult)}
        known["budget"] = Budget(**known["budget"])
        known["outcomes"] = tuple(GymOutcome(**outcome) for outcome in known["outcomes"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not a result of `make d3rlpy`: {error}") from None
    return BaselineResult(**known)


def results_of_case(
    folder: Path,
    case: Case,
    methods: Sequence[Baseline],
    data: Episodes,
    training: GymTrainingOptions,
    episodes: int,
) -> dict[Baseline, BaselineResult]:
    """The results that are there for a table, of its training seed. Raises DataError if one does not fit."""
    there = [m for m in methods if result_path(folder, case.name, m, SEED).exists()]
    if not there:
        return {}
    budget = budget_of(case, data, training, episodes)
    found = {m: fitting_result(folder, case.name, m, SEED, budget) for m in there}
    return {m: result for m, result in found.items() if result is not None}


def fitting_result(
    folder: Path,
    case: str,
    method: Baseline,
    seed: int,
    budget: Budget,
    settings: Mapping[str, Any] | None = None,
) -> BaselineResult | None:
    """A method's result, None if there is none.

    Raises DataError if it was made with another budget (or other ``settings``, if they are given), is another
    method's or lacks episodes.
    """
    path = result_path(folder, case, method, seed)
    if not path.exists():
        return None
    result = read_result(path)
    for name, found, wanted in (
        ("case", result.case, case),
        ("method", result.method, method),
        ("seed", result.seed, seed),
        *((n, v, getattr(budget, n)) for n, v in asdict(result.budget).items()),
        ("number of outcomes", len(result.outcomes), budget.episodes),
        *((n, result.settings.get(n), v) for n, v in (settings or {}).items()),
    ):
        if not _equal(found, wanted):
            raise DataError(f"{path}: {name} is {found!r}, wanted is {wanted!r}; {AGAIN}")
    return result


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(found, float) and isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=CHECK_TOLERANCE)
    return bool(found == wanted)
