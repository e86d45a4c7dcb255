"""Behaviour policies to roll out: a policy file, a planner's first planned action, or a script."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kdp_core.files import sha256_directory, sha256_file
from kdp_core.planner import Planner, select
from kdp_core.sim.ant_walker import AntWalker
from kdp_core.sim.npz_policy import NpzPolicy

if TYPE_CHECKING:
    import gymnasium


class Policy(Protocol):
    """Chooses actions from observations."""

    d_observation: int
    d_action: int

    def begin(self, env: gymnasium.Env[Any, Any]) -> None:
        """An episode begins in ``env``, which is reset."""
        ...

    def action(self, observation: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Observation (d_o,) to action (d_a,)."""
        ...


class PlannerPolicy:
    """The first action of one planned window; such a policy clones the data that the planner learned from."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self.d_observation = planner.spec.d_state + planner.spec.d_context + planner.spec.d_goal
        self.d_action = planner.spec.d_action

    def begin(self, env: gymnasium.Env[Any, Any]) -> None:
        """Nothing is remembered from one step to the next."""

    def action(self, observation: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Observation (d_o,) to action (d_a,) in [-1, 1]; without a generator that of no noise."""
        size = (1, self._planner.d_noise)
        noise = np.zeros(size, np.float32) if rng is None else rng.standard_normal(size, dtype=np.float32)
        plan = select(self._planner, observation, np.zeros(0), noise)
        if plan.window is None:
            return np.zeros(self.d_action)
        return np.clip(plan.window[0, self.d_observation :], -1.0, 1.0)


SCRIPTED: dict[str, type[AntWalker]] = {"ant-walker": AntWalker}
"""Policies that are no files, by name."""


def load_policy(path: Path) -> Policy:
    """A policy file (.npz), the folder of a planner's artifact, or one of ``SCRIPTED`` by name.

    Raises DataError or ArtifactError.
    """
    if str(path) in SCRIPTED and not path.exists():
        return SCRIPTED[str(path)]()
    return PlannerPolicy(Planner.load(path)) if path.is_dir() else NpzPolicy.load(path)


def policy_name(path: Path) -> str:
    """What a policy is called: its file, or the training folder that its artifact is in."""
    return path.absolute().parent.name if path.is_dir() else path.stem


def policy_hash(path: Path) -> str:
    """SHA-256 of a policy's file or folder, or of a script's name and version."""
    if str(path) in SCRIPTED and not path.exists():
        return hashlib.sha256(f"{path} {SCRIPTED[str(path)].version}".encode()).hexdigest()
    return sha256_directory(path) if path.is_dir() else sha256_file(path)
