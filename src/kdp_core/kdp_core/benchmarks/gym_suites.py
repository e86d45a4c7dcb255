"""What the tables locomotion, antmaze, adroit and chunking are made of: environments, policies, lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from kdp_core.benchmarks.training_runs import METHODS, POLICY_METHODS, PlannerMethod, PolicyMethod
from kdp_core.exceptions import DataError
from kdp_core.sim.gym_policies import SCRIPTED

SuiteName = Literal["locomotion", "antmaze", "adroit", "chunking"]
Baseline = Literal["d3rlpy_bc", "td3_bc", "iql", "cql", "dt"]
"""d3rlpy's methods, trained in an environment of their own."""
BASELINES: tuple[Baseline, ...] = get_args(Baseline)
GymMethod = PlannerMethod | PolicyMethod
"""What is trained here."""
GYM_METHODS: tuple[GymMethod, ...] = (*METHODS, *POLICY_METHODS)
ONE_ROW: tuple[GymMethod, ...] = ("bc", *POLICY_METHODS)
"""Methods whose windows have one row."""
AVERAGE = "average"


@dataclass(frozen=True)
class Case:
    """One column: an environment and the policies whose rollouts are the data, in equal shares.

    d4rl: name of D4RL's data set that a user may give instead. horizon: rows of a window. clone_of_steps:
    steps of rollouts from which a clone of the policy is trained, whose rollouts are the other half of the
    data; 0: none.
    """

    name: str
    env: str
    policies: tuple[str, ...]
    d4rl: str
    horizon: int = 8
    clone_of_steps: int = 0


@dataclass(frozen=True)
class GymRow:
    """One line: a trained method with K candidates that executes L actions of a plan; or a reference."""

    method: GymMethod | Baseline | Literal["data", "random"]
    candidates: int = 1
    chunk: int = 1

    @property
    def planner(self) -> GymMethod | None:
        """What must be trained."""
        return next((m for m in GYM_METHODS if m == self.method), None)

    @property
    def baseline(self) -> Baseline | None:
        """What d3rlpy trains."""
        return next((m for m in BASELINES if m == self.method), None)


@dataclass(frozen=True)
class Suite:
    """One table. planners: folder of its planners, which tables may share.

    metric: what the columns show. published: by method and L, then by column or ``average``. only_published:
    averages of methods that cannot be run.
    """

    planners: str
    cases: tuple[Case, ...]
    rows: tuple[GymRow, ...]
    metric: Literal["score", "success"]
    published: Mapping[tuple[str, int], Mapping[str, float]]
    only_published: Mapping[str, float]


def _locomotion() -> tuple[Case, ...]:
    robots = (
        ("halfcheetah", "HalfCheetah-v4", "ppo-halfcheetah.npz", "tqc-halfcheetah.npz", 4),
        ("hopper", "Hopper-v4", "sac-hopper.npz", "trpo-hopper.npz", 8),
        ("walker2d", "Walker2d-v4", "tqc-walker2d.npz", "trpo-walker2d.npz", 8),
    )
    medium = [Case(f"{n}-medium", env, (m,), f"{n}-medium", h) for n, env, m, _, h in robots]
    both = [Case(f"{n}-medium-expert", env, (m, e), f"{n}-medium-expert", h) for n, env, m, e, h in robots]
    return *medium, *both


ADROIT = tuple(
    Case(
        name,
        f"AdroitHand{name.capitalize()}-v1",
        (f"dapg-{name}.npz",),
        f"{name}-cloned",
        clone_of_steps=25 * steps,
    )
    for name, steps in (("pen", 100), ("door", 200), ("hammer", 200), ("relocate", 200))
)
ANTMAZE = tuple(
    Case(f"antmaze-{size.lower()}", f"AntMaze_{size}-v4", ("ant-walker",), f"antmaze-{size.lower()}-diverse")
    for size in ("UMaze", "Medium")
)
REFERENCES = (GymRow("random"), GymRow("data"))
ROWS = (
    *(GymRow("joint", k) for k in (1, 16, 64)),
    *(GymRow("kdp", k) for k in (1, 64)),
    *(GymRow("energy", k) for k in (1, 64)),
    GymRow("mean"),
    *(GymRow("diffuser", k) for k in (1, 16, 64)),
    *(GymRow("diffusion_ql", k) for k in (1, 64)),
    *(GymRow("consistency_ac", k) for k in (1, 64)),
    GymRow("consistency_bc"),
    GymRow("bc"),
    *(GymRow(method) for method in BASELINES),
    *REFERENCES,
)
CHUNKS = (1, 8)
CHUNK_ROWS = (
    *(GymRow("joint", k, chunk) for k in (1, 64) for chunk in CHUNKS),
    *(GymRow(method, 64, chunk) for method in ("kdp", "diffuser") for chunk in CHUNKS),
    *(GymRow("mean", 1, chunk) for chunk in CHUNKS),
    GymRow("bc"),
    GymRow("random"),
)

SUITES: dict[SuiteName, Suite] = {
    "locomotion": Suite(
        "locomotion",
        _locomotion(),
        ROWS,
        "score",
        {
            ("kdp", 1): {AVERAGE: 90.7},
            ("diffuser", 1): {AVERAGE: 82.6},
            ("bc", 1): {AVERAGE: 64.3},
            ("dt", 1): {AVERAGE: 81.1},
            ("cql", 1): {AVERAGE: 80.1},
            ("iql", 1): {AVERAGE: 80.0},
            ("diffusion_ql", 1): {AVERAGE: 91.1},
            ("consistency_ac", 1): {AVERAGE: 88.0},
        },
        {"TT": 82.3},
    ),
    "antmaze": Suite(
        "antmaze",
        ANTMAZE,
        tuple(row for row in ROWS if row.baseline is None),
        "score",
        {
            ("kdp", 1): {"antmaze-umaze": 81.3, "antmaze-medium": 67.6},
            ("diffuser", 1): {"antmaze-umaze": 76.0, "antmaze-medium": 31.9},
            ("cql", 1): {"antmaze-umaze": 84.0, "antmaze-medium": 53.7},
            ("iql", 1): {"antmaze-umaze": 62.2, "antmaze-medium": 70.0},
        },
        {},
    ),
    "adroit": Suite(
        "adroit",
        ADROIT,
        ROWS,
        "score",
        {
            ("kdp", 1): {"pen": 53.4, "door": 61.8, "hammer": 79.6, "relocate": 62.8},
            ("diffuser", 1): {"pen": 10.7, "door": 56.7, "hammer": 53.1, "relocate": 56.2},
        },
        {},
    ),
    "chunking": Suite(
        "adroit",
        tuple(case for case in ADROIT if case.name != "door"),
        CHUNK_ROWS,
        "success",
        {
            ("kdp", 1): {"pen": 57.0, "hammer": 62.0, "relocate": 65.0},
            ("kdp", 8): {"pen": 73.0, "hammer": 63.0, "relocate": 71.0},
        },
        {},
    ),
}
"""The paper's Tables I, V and VI; published figures are on D4RL's data."""


def policy_files(case: Case, folder: Path | None) -> tuple[Path, ...]:
    """The case's policy files in a folder, or scripts by name. Raises DataError if the folder lacks one."""
    if all(name in SCRIPTED for name in case.policies):
        return tuple(Path(name) for name in case.policies)
    wanted = ", ".join(case.policies)
    if folder is None:
        raise DataError(f"policies: not given; expected a folder with {wanted} (or --data with a data set)")
    for name in case.policies:
        if not (folder / name).is_file():
            raise DataError(f"{folder}: {name} is missing, expected {wanted} for {case.name}")
    return tuple(folder / name for name in case.policies)


def own_data(case: Case, folder: Path) -> Path:
    """A user's data set of the case, a file or folder by its own name or D4RL's.

    ``hopper-medium.hdf5``, ``hopper_medium-v2.hdf5`` and the Minari folder ``hopper-medium-v0`` are the same.
    Raises DataError if there is none, or more than one.
    """
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [entry for entry in entries if _plain(entry) in (case.name, case.d4rl)]
    if len(found) != 1:
        raise DataError(
            f"{folder}: {len(found)} data sets for {case.name}, expected one: "
            f"{case.d4rl}.hdf5 (in D4RL's format) or a folder {case.d4rl}-v0 (Minari)"
        )
    return found[0]


def _plain(path: Path) -> str:
    stem = path.stem if path.suffix in (".hdf5", ".h5") else path.name
    return re.sub(r"-v\d+$", "", stem.lower().replace("_", "-"))
