"""d3rlpy's methods on a data set of ours: settings, training and acting. Needs d3rlpy 2.8.

Settings are those of d3rlpy's own scripts that reproduce the papers (its folder ``reproductions``), where it
has one, but for what a table wants to be equal: gradient steps, batch and discount.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
import torch

from kdp_core.benchmarks.d3rlpy_results import Budget
from kdp_core.benchmarks.gym_eval import Actor
from kdp_core.benchmarks.gym_suites import Baseline
from kdp_core.datasets import Episodes
from kdp_core.exceptions import DataError

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
with contextlib.redirect_stderr(io.StringIO()):  # gym, which d3rlpy imports, asks there to be replaced
    import d3rlpy
    from d3rlpy import algos, dataset, models, optimizers, preprocessing

RETURN_SCALE = 1000.0
"""IQL's and DT's scale of rewards in the locomotion tasks."""
CONTEXT = 20
"""Steps that the Decision Transformer sees."""
PIECES = 64
"""Its pieces of episodes per gradient step at most, as published: 512 would take 3.4 s a step on one core."""
REPORT_EVERY = 20
"""Gradient steps."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """A data set as d3rlpy has it, and what its scalers need.

    mean, std: of the observations, (d_o,); returns: undiscounted, one per episode; longest: steps.
    """

    episodes: list[dataset.Episode]
    mean: np.ndarray
    std: np.ndarray
    returns: np.ndarray
    longest: int


def recorded(data: Episodes) -> Recorded:
    """All episodes; of one that was cut off d3rlpy leaves the last step out, whose next action is not known.

    Raises DataError for observations that are no plain arrays.
    """
    episodes = []
    for episode in data:
        if isinstance(episode.observations, dict):
            raise DataError(f"{data.path}: observations have several channels, expected one array")
        episodes.append(
            dataset.Episode(
                observations=episode.observations[: len(episode)],
                actions=episode.actions,
                rewards=episode.rewards.astype(np.float32)[:, None],
                terminated=bool(episode.terminations[-1]),
            )
        )
    observations = np.concatenate([episode.observations for episode in episodes])
    return Recorded(
        episodes,
        observations.mean(0, dtype=np.float64),
        observations.std(0, dtype=np.float64),
        np.array([episode.compute_return() for episode in episodes]),
        max(len(episode) for episode in episodes),
    )


def config_of(method: Baseline, data: Recorded, budget: Budget) -> Any:
    """d3rlpy's configuration of a method."""
    equal = {"batch_size": budget.batch, "gamma": budget.discount}
    standard = preprocessing.StandardObservationScaler(mean=data.mean, std=data.std)
    if method == "d3rlpy_bc":
        return algos.BCConfig(**equal, observation_scaler=standard)
    if method == "td3_bc":
        return algos.TD3PlusBCConfig(**equal, observation_scaler=standard)
    if method == "iql":
        low, high = float(data.returns.min()), float(data.returns.max())
        scaler = preprocessing.ReturnBasedRewardScaler(
            return_max=high, return_min=low, multiplier=RETURN_SCALE
        )
        cosine = optimizers.CosineAnnealingLRFactory(T_max=budget.steps)
        return algos.IQLConfig(
            **equal,
            reward_scaler=scaler if high > low else None,
            actor_optim_factory=optimizers.AdamFactory(lr_scheduler_factory=cosine),
        )
    if method == "cql":
        network = models.VectorEncoderFactory([256, 256, 256])
        return algos.CQLConfig(
            **equal,
            actor_encoder_factory=network,
            critic_encoder_factory=network,
            alpha_learning_rate=0.0,
        )
    warmup = optimizers.WarmupSchedulerFactory(warmup_steps=max(1, budget.steps // 10))
    return algos.DecisionTransformerConfig(
        batch_size=min(budget.batch, PIECES),
        gamma=budget.discount,
        learning_rate=1e-4,
        optim_factory=optimizers.GPTAdamWFactory(
            weight_decay=1e-4, clip_grad_norm=0.25, lr_scheduler_factory=warmup
        ),
        encoder_factory=models.VectorEncoderFactory([128], exclude_last_activation=True),
        observation_scaler=standard,
        reward_scaler=preprocessing.MultiplyRewardScaler(1.0 / RETURN_SCALE),
        context_size=CONTEXT,
        max_timestep=data.longest,
    )


def target_return(data: Recorded) -> float:
    """What the Decision Transformer is asked for: the best recorded episode's return."""
    return float(data.returns.max())


def settings_of(method: Baseline, data: Recorded, budget: Budget) -> dict[str, Any]:
    """What a result says about how it was trained: d3rlpy's configuration in its own words."""
    settings = json.loads(config_of(method, data, budget).serialize())
    more = {"target_return": target_return(data)} if method == "dt" else {}
    return {"d3rlpy": d3rlpy.__version__, **settings, **more}


def train(
    method: Baseline, data: Recorded, budget: Budget, seed: int, threads: int, show: Callable[[int], None]
) -> Callable[[], Actor]:
    """Train a method; returns what makes an actor for each episode. ``show(steps)`` is told how far it is."""
    torch.set_num_threads(threads)
    d3rlpy.seed(seed)
    buffer = dataset.ReplayBuffer(
        dataset.InfiniteBuffer(), episodes=data.episodes, action_space=d3rlpy.ActionSpace.CONTINUOUS
    )
    config = config_of(method, data, budget)
    algorithm = config.create()
    algorithm.build_with_dataset(buffer)
    for step in range(1, budget.steps + 1):
        if method == "dt":
            batch = buffer.sample_trajectory_batch(config.batch_size, CONTEXT)
        else:
            batch = buffer.sample_transition_batch(config.batch_size)
        algorithm.update(batch)
        if step % REPORT_EVERY == 0 or step == budget.steps:
            show(step)
    if method == "dt":
        wanted = target_return(data)
        return lambda: TimedActor(algorithm.as_stateful_wrapper(wanted).predict)
    return lambda: TimedActor(lambda observation, _: algorithm.predict(observation[None])[0])


class TimedActor:
    """An actor for one episode around d3rlpy's ``predict(observation, reward)``."""

    def __init__(self, predict: Callable[[np.ndarray, float], np.ndarray]) -> None:
        self._predict = predict
        self.times_ms: list[float] = []

    def action(self, observation: np.ndarray, reward: float) -> np.ndarray:
        """Action (d_a,), zero if it is not finite; d3rlpy's policies give their mean."""
        began = time.perf_counter_ns()
        action = self._predict(observation.astype(np.float32), reward)
        self.times_ms.append((time.perf_counter_ns() - began) * 1e-6)
        return action if np.isfinite(action).all() else np.zeros_like(action)
