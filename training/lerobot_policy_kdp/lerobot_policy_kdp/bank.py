"""The bank: all windows of the data set with their neighbours, and which of them a batch stands for.

Drift fields compare generated windows with data windows of similar conditions. A batch of lerobot's loader
holds too few frames to find those among themselves, so neighbours come from the whole data set, as in
kdp_core's own training. The loader still decides which frames are trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdp_core.datasets import Episode, Episodes
from kdp_core.datasets.lerobot_reader import LeRobotEpisodes
from kdp_core.exceptions import DataError
from kdp_core.neighbourhood import Neighbourhood
from kdp_core.prepare import prepare
from kdp_core.spec import Spec
from kdp_core.tasks import Task, make_task
from kdp_core.tasks.generic import GenericTask, generic_task
from kdp_core.windows import keys
from lerobot_policy_kdp.configuration_kdp import KdpConfig


class ChosenEpisodes(Episodes):
    """Some episodes of a data set, in the order given."""

    def __init__(self, whole: LeRobotEpisodes, chosen: Sequence[int]) -> None:
        bad = [i for i in chosen if not 0 <= i < len(whole)]
        if bad or not chosen:
            raise DataError(
                f"{whole.root}: episodes {list(chosen)!s:.80}, expected some of 0..{len(whole) - 1}"
            )
        self._whole, self._chosen = whole, list(chosen)
        self.id, self.path, self.metadata = whole.id, whole.path, whole.metadata
        self.unit, self.fps, self.hash = whole.unit, whole.fps, whole.hash  # type: ignore[misc]

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self._chosen)

    def step_counts(self) -> NDArray[np.int64]:
        """Frames of each episode."""
        return self._whole.step_counts()[self._chosen]

    def _read(self, index: int) -> Episode:
        return self._whole[self._chosen[index]]


def task_of(spec: Spec) -> Task:
    """The task that a spec names. Raises ConfigError if it is unknown, SpecError if it is another version."""
    if spec.task == "generic":
        return GenericTask(spec)
    task = make_task(spec.task)
    task.spec.require_same(spec, "policy.spec")
    return task


class Bank:
    """Windows of the training episodes.

    Attributes:
        batch, spec: windows and their contract (with ``spec`` given: that one and its normaliser).
        neighbourhood: neighbours of every window.
        labeller: judge of windows for the scorer, or None where returns are learned.
    """

    def __init__(self, root: Path, config: KdpConfig) -> None:
        generic = config.task == "generic"
        whole = LeRobotEpisodes(root, "raw" if generic else None)
        chosen = list(range(len(whole))) if config.bank_episodes is None else config.bank_episodes
        episodes = ChosenEpisodes(whole, chosen)
        known = Spec.model_validate_json(config.spec) if config.spec else None
        if known is not None:
            task = task_of(known)
        else:
            task = generic_task(episodes, config.horizon) if generic else make_task(config.task)
        prepared = prepare(episodes, task)
        self.batch, self.spec = prepared.batch, known or prepared.spec
        self.origin: dict[str, Any] = {
            "data_id": prepared.data_id,
            "data_sha256": prepared.data_hash,
            "data_episodes": prepared.episodes,
            "data_windows": len(self.batch),
        }
        train = config.train_config()
        self.neighbourhood = Neighbourhood(
            keys(self.batch, self.spec), self.batch.group, None, train.neighbours, train.key_temperature
        )
        self.labeller = task.labeller(self.batch)
        lengths = whole.step_counts()
        self._first_frame = np.concatenate([[0], np.cumsum(lengths)])
        self._first_row = np.full(len(lengths), -1, np.int64)
        self._rows = np.zeros(len(lengths), np.int64)
        for number, episode in enumerate(chosen):
            rows = np.flatnonzero(self.batch.group == number)
            if len(rows):
                self._first_row[episode], self._rows[episode] = rows[0], len(rows)
        self._every_frame = generic

    def anchors(self, index: torch.Tensor, episode: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Rows (N,) of the bank that the frames with these ``index`` and ``episode_index`` (N,) stand for.

        Task generic has a window at every frame (at the end of an episode: its last one). Other tasks cut
        windows elsewhere: a random one of the frame's episode. Frames of episodes without windows are left
        out.
        """
        frames, episodes = index.cpu().numpy().reshape(-1), episode.cpu().numpy().reshape(-1)
        if len(episodes) and episodes.max() >= len(self._rows):
            raise DataError(
                f"episode_index {episodes.max()} is not in the bank of {len(self._rows)} episodes"
            )
        usable = self._rows[episodes] > 0
        frames, episodes = frames[usable], episodes[usable]
        if not len(frames):
            raise DataError("no frame of the batch belongs to an episode of the bank (policy.bank_episodes)")
        if self._every_frame:
            offset = np.minimum(frames - self._first_frame[episodes], self._rows[episodes] - 1)
        else:
            offset = (torch.rand(len(frames), generator=rng).numpy() * self._rows[episodes]).astype(np.int64)
        return torch.from_numpy(self._first_row[episodes] + offset)
