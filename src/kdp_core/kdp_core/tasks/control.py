"""States and actions as they are, judged by what a window leads to: the return from its first row to the end.

For control from recorded rewards (locomotion, hands): the planner proposes windows of the data's behaviour,
the scorer, which has learned their return to go, picks one, and its first actions are executed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from kdp_core.datasets import Episode, Episodes
from kdp_core.exceptions import ConfigError
from kdp_core.ranges import at_least
from kdp_core.spec import Spec
from kdp_core.tasks.generic import GenericTask, generic_task
from kdp_core.windows import WindowBatch


@dataclass(frozen=True)
class ControlOptions:
    """What of a data set becomes a window, and what the window is worth."""

    discount: float = 0.99
    """Of the return to go, per row."""
    every: int = 1
    """Recorded rows between the beginnings of two windows."""
    transitions: bool = False
    """Whether each window's extras tell its first row's reward, 1 where the episode goes on after it (0 where
    the task ended there), and the state that followed; for Q-learning (train.q_learning)."""

    def __post_init__(self) -> None:
        at_least(self, 1, "every", prefix="control.")
        if not 0.0 <= self.discount < 1.0:
            raise ConfigError(f"control.discount must be in [0, 1), got {self.discount}")


def control_task(episodes: Episodes, horizon: int, options: ControlOptions) -> ControlTask:
    """The task that fits the data set's sizes; its rate, where the data set tells one."""
    spec = generic_task(episodes, horizon).spec
    rate = float(episodes.metadata.get("rate_hz", spec.rate_hz))
    return ControlTask(spec.model_copy(update={"rate_hz": rate}), options)


class ControlTask(GenericTask):
    """Windows of consecutive (observation, action) rows; value = discounted return to go."""

    def __init__(self, spec: Spec, options: ControlOptions) -> None:
        super().__init__(spec)
        self._options = options

    def windows(self, episode: Episode) -> WindowBatch:
        """Every n-th window of one episode, from a row that its content decides."""
        batch = super().windows(episode)
        every = min(self._options.every, len(batch))
        first = int(np.random.default_rng(zlib.crc32(batch.windows.tobytes())).integers(every))
        ended = bool(episode.terminations[-1])
        values = return_to_go(episode.rewards, self._options.discount, ended)
        batch.value = values[: len(batch)].astype(np.float32)
        if self._options.transitions:
            batch = with_transitions(batch, episode)
        return batch.take(np.arange(first, len(batch), every))


def with_transitions(batch: WindowBatch, episode: Episode) -> WindowBatch:
    """The windows with (reward, goes on, next state) of their first rows as extras, (N, 2 + d_s).

    A row at a time limit whose next state was not recorded is left out.
    """
    channels = episode.channels()
    observations = channels["observations"] if "observations" in channels else channels["observation.state"]
    known = min(len(batch), len(observations) - 1)
    rows = np.arange(len(batch) if episode.terminations[-1] else known)
    after = observations[np.minimum(rows + 1, len(observations) - 1)]
    goes_on = ~episode.terminations[rows]
    batch = batch.take(rows)
    batch.extras = np.column_stack([episode.rewards[rows], goes_on, after]).astype(np.float32)
    return batch


def return_to_go(rewards: np.ndarray, discount: float, ended: bool) -> np.ndarray:
    """Discounted sum of rewards (T,) from each row on, (T,).

    Where the recording merely stops (``ended`` false: a time limit), the mean reward of its last rows, as
    many as the discount looks ahead, is taken to go on for ever; otherwise rows near the end, of which a
    state knows nothing, would look worse than others.
    """
    rewards = np.asarray(rewards, np.float64)
    after = 0.0
    if not ended:
        ahead = max(1, round(1.0 / (1.0 - discount)))
        after = float(rewards[-ahead:].mean()) / (1.0 - discount)
    backwards, _ = lfilter([1.0], [1.0, -discount], rewards[::-1], zi=np.array([discount * after]))
    out: np.ndarray = backwards[::-1]
    return out
