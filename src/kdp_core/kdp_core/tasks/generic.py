"""States and actions of any data set as they are: no context, no goal.

For D4RL and Minari files without a task of their own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kdp_core.datasets import Episode, open_episodes
from kdp_core.exceptions import DataError
from kdp_core.spec import Channel, KeyPart, Spec
from kdp_core.tasks.base import Inputs
from kdp_core.windows import WindowBatch

DISCOUNT = 0.99


def generic_spec(name: str, d_state: int, d_action: int, horizon: int, rate_hz: float = 20.0) -> Spec:
    """A contract with one state and one action channel; the key is the state."""
    return Spec(
        name=name,
        task="generic",
        rate_hz=rate_hz,
        horizon=horizon,
        state=(Channel(name="observation", unit="as in the data", size=d_state),),
        action=(Channel(name="action", unit="as in the data", size=d_action),),
        key=(KeyPart(channel="observation"),),
    )


def generic_task(data: str | Path, horizon: int) -> GenericTask:
    """The task that fits the data set's sizes."""
    first = open_episodes(data)[0]
    observations = first.channels().get("observations")
    if observations is None or observations.ndim != 2:
        raise DataError(f"{data}: observations must be one array (T, size), got {sorted(first.channels())}")
    return GenericTask(generic_spec(Path(data).name, observations.shape[1], first.actions.shape[1], horizon))


class GenericTask:
    """Windows of consecutive (observation, action) rows; value = discounted return inside the window."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def windows(self, episode: Episode) -> WindowBatch:
        """Windows at every row of one episode."""
        observations = episode.channels()["observations"]
        horizon, steps = self.spec.horizon, len(episode.actions)
        if observations.shape[1:] != (self.spec.d_state,) or episode.actions.shape[1:] != (
            self.spec.d_action,
        ):
            raise DataError(
                f"episode: observations (…, {self.spec.d_state}) and actions (…, {self.spec.d_action}) "
                f"expected, got {observations.shape} and {episode.actions.shape}"
            )
        rows = np.arange(0, steps - horizon + 1)
        index = rows[:, None] + np.arange(horizon)
        n = len(rows)
        discount = DISCOUNT ** np.arange(horizon)
        return WindowBatch(
            windows=np.concatenate([observations[index], episode.actions[index]], axis=-1).astype(np.float32),
            state=observations[rows].astype(np.float32),
            context=np.zeros((n, 0), np.float32),
            group=np.zeros(n, np.int64),
            scene=np.full(n, -1, np.int64),
            value=(episode.rewards[index] * discount).sum(axis=1).astype(np.float32),
            extras=np.zeros((n, 0), np.float32),
        )

    def labeller(self, batch: WindowBatch) -> None:
        """No judge: the scorer learns the return that the windows carry."""

    def encode(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """The observation is the state; there is no context."""
        return inputs["observation"], np.zeros(0)

    def paths(self, windows: np.ndarray, inputs: Inputs) -> np.ndarray:
        """Unknown geometry: the first three state numbers, padded with zeros, (K, H, 3)."""
        shown = windows[..., : min(3, self.spec.d_state)]
        return np.pad(shown, ((0, 0), (0, 0), (0, 3 - shown.shape[-1])))

    def costs(
        self, windows: np.ndarray, inputs: Inputs, progress_weight: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """No cost of its own: the learned score decides."""
        return np.zeros(len(windows)), np.ones(len(windows), bool)

    def track(self, window: np.ndarray, row: int) -> np.ndarray:
        """The planned action: states of unknown meaning cannot be tracked."""
        action: np.ndarray = window[row, self.spec.d_state :].astype(np.float64)
        return action

    def safe_action(self, inputs: Inputs) -> np.ndarray:
        """Zero action."""
        return np.zeros(self.spec.d_action)

    def distance(self, inputs: Inputs) -> float:
        """No goal: not a number."""
        return float("nan")

    def success(self, inputs: Inputs) -> bool:
        """No goal: never."""
        return False
