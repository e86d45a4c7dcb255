"""States and actions of any data set as they are, no goal.

For D4RL, Minari and LeRobot data sets without a task of their own. Of a LeRobotDataset ``observation.state``
is the state, and what else is observed in numbers (``observation.environment_state``) is context.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from kdp_core.datasets import Episode, Episodes
from kdp_core.datasets.lerobot_units import RAW
from kdp_core.exceptions import DataError
from kdp_core.spec import Channel, KeyPart, Spec
from kdp_core.tasks.base import Inputs
from kdp_core.windows import WindowBatch

DISCOUNT = 0.99


def generic_spec(
    name: str,
    d_state: int,
    d_action: int,
    horizon: int,
    rate_hz: float = 20.0,
    context: Mapping[str, int] | None = None,
    unit: str = RAW,
) -> Spec:
    """A contract with one state and one action channel in ``unit``, and context channels by size.

    The key is the state and all context.
    """
    context = context or {}
    return Spec(
        name=name,
        task="generic",
        rate_hz=rate_hz,
        horizon=horizon,
        state=(Channel(name="observation", unit=unit, size=d_state),),
        action=(Channel(name="action", unit=unit, size=d_action),),
        context=tuple(Channel(name=n, unit=RAW, size=size) for n, size in context.items()),
        key=tuple(KeyPart(channel=n) for n in ("observation", *context)),
    )


def generic_task(episodes: Episodes, horizon: int) -> GenericTask:
    """The task that fits the data set's sizes (and rate and unit, where it knows them)."""
    first = episodes[0]
    channels = first.channels()
    state = channels.get("observations", channels.get("observation.state"))
    flat = all(array.ndim == 2 for array in channels.values())
    if state is None or not flat or ("observations" in channels and len(channels) > 1):
        raise DataError(
            f"{episodes.path}: observations must be one array (T, size), or 'observation.state' and others, "
            f"got {', '.join(f'{name} {array.shape}' for name, array in sorted(channels.items()))}"
        )
    spec = generic_spec(
        episodes.id.replace("/", "-"),
        state.shape[1],
        first.actions.shape[1],
        horizon,
        float(getattr(episodes, "fps", 20.0)),
        {channel_name(n): a.shape[1] for n, a in channels.items() if a is not state},
        getattr(episodes, "unit", RAW),
    )
    return GenericTask(spec)


def channel_name(feature: str) -> str:
    """Channel of a feature: ``observation.environment_state`` is the context ``environment_state``."""
    return re.sub(r"[^a-z0-9_]", "_", feature.removeprefix("observation.").lower())


class GenericTask:
    """Windows of consecutive (observation, action) rows; value = discounted return inside the window."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def windows(self, episode: Episode) -> WindowBatch:
        """Windows at every row of one episode."""
        channels = dict(episode.channels())
        name = "observations" if "observations" in channels else "observation.state"
        observations = channels.pop(name, np.zeros((0, 0)))
        others = {channel_name(n): array for n, array in channels.items()}
        horizon, steps = self.spec.horizon, len(episode.actions)
        if observations.shape[1:] != (self.spec.d_state,) or episode.actions.shape[1:] != (
            self.spec.d_action,
        ):
            raise DataError(
                f"episode: observations (…, {self.spec.d_state}) and actions (…, {self.spec.d_action}) "
                f"expected, got {observations.shape} and {episode.actions.shape}"
            )
        for channel in self.spec.context:
            if channel.name not in others or others[channel.name].shape[1:] != (channel.size,):
                raise DataError(f"episode: observation '{channel.name}' (…, {channel.size}) expected")
        rows = np.arange(0, steps - horizon + 1)
        index = rows[:, None] + np.arange(horizon)
        n = len(rows)
        discount = DISCOUNT ** np.arange(horizon)
        return WindowBatch(
            windows=np.concatenate([observations[index], episode.actions[index]], axis=-1).astype(np.float32),
            state=observations[rows].astype(np.float32),
            context=np.concatenate(
                [np.zeros((n, 0)), *(others[c.name][rows] for c in self.spec.context)], axis=1
            ).astype(np.float32),
            group=np.zeros(n, np.int64),
            scene=np.full(n, -1, np.int64),
            value=(episode.rewards[index] * discount).sum(axis=1).astype(np.float32),
            extras=np.zeros((n, 0), np.float32),
        )

    def labeller(self, batch: WindowBatch) -> None:
        """No judge: the scorer learns the return that the windows carry."""

    def encode(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """The observation is the state, the other inputs are the context by name."""
        context = [np.asarray(inputs[channel.name]) for channel in self.spec.context]
        return inputs["observation"], np.concatenate([np.zeros(0), *context])

    def paths(self, windows: np.ndarray, inputs: Inputs) -> np.ndarray:
        """Unknown geometry: the first three state numbers, padded with zeros, (K, H, 3)."""
        shown = windows[..., : min(3, self.spec.d_state)]
        return np.pad(shown, ((0, 0), (0, 0), (0, 3 - shown.shape[-1])))

    def costs(
        self,
        windows: np.ndarray,
        inputs: Inputs,
        progress_weight: float = 1.0,
        paths: np.ndarray | None = None,
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
