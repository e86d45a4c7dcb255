"""Behaviour policies to roll out: a policy file, or a trained planner whose first planned action is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from kdp_core.files import sha256_directory, sha256_file
from kdp_core.planner import Planner, select
from kdp_core.sim.npz_policy import NpzPolicy


class Policy(Protocol):
    """Chooses actions from observations."""

    d_observation: int
    d_action: int

    def action(self, observation: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Observation (d_o,) to action (d_a,)."""
        ...


class PlannerPolicy:
    """The first action of one planned window; such a policy clones the data that the planner learned from."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self.d_observation = planner.spec.d_state + planner.spec.d_context + planner.spec.d_goal
        self.d_action = planner.spec.d_action

    def action(self, observation: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Observation (d_o,) to action (d_a,) in [-1, 1]; without a generator that of no noise."""
        size = (1, self._planner.d_noise)
        noise = np.zeros(size, np.float32) if rng is None else rng.standard_normal(size, dtype=np.float32)
        plan = select(self._planner, observation, np.zeros(0), noise)
        if plan.window is None:
            return np.zeros(self.d_action)
        return np.clip(plan.window[0, self.d_observation :], -1.0, 1.0)


def load_policy(path: Path) -> Policy:
    """A policy file (.npz), or the folder of a planner's artifact. Raises DataError or ArtifactError."""
    return PlannerPolicy(Planner.load(path)) if path.is_dir() else NpzPolicy.load(path)


def policy_name(path: Path) -> str:
    """What a policy is called: its file, or the training folder that its artifact is in."""
    return path.absolute().parent.name if path.is_dir() else path.stem


def policy_hash(path: Path) -> str:
    """SHA-256 of a policy's file or folder."""
    return sha256_directory(path) if path.is_dir() else sha256_file(path)
