"""Offline Q-learning beside a sampled policy, as in Diffusion-QL (Wang et al. 2022, arXiv 2208.06193).

Two critics learn r + discount Q(s', a'), a' drawn from the averaged policy and Q the smaller of two slowly
moving copies; the policy's loss of imitation gets minus the value of its own actions. Windows have one row.
The critics are scorers, so that one of them ranks the candidates of the exported planner.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from kdp_core.baselines.q_learning_config import QLearningConfig
from kdp_core.drift_step import move_average
from kdp_core.exceptions import ConfigError
from kdp_core.generator import Scorer
from kdp_core.model import KdpModel
from kdp_core.windows import WindowBatch

CRITICS = 2


@dataclass(frozen=True)
class Transitions:
    """What follows on each of W windows: reward (W,), whether it goes on (W,) and the next condition (W, d).

    A time limit does not end anything: the value of the state after it counts.
    """

    reward: Tensor
    goes_on: Tensor
    condition: Tensor


def transitions_of(batch: WindowBatch, model: KdpModel) -> Transitions:
    """From a batch whose extras are (reward, goes on, next state). Raises ConfigError if they are not."""
    spec = model.spec
    wanted = 2 + spec.d_state
    if spec.horizon != 1 or batch.extras.shape[1:] != (wanted,):
        raise ConfigError(
            f"train.q_learning needs windows of 1 row with transitions (control.transitions), got windows of "
            f"{spec.horizon} rows with {batch.extras.shape[1]} numbers of {wanted}"
        )
    if spec.d_context + spec.d_goal:
        raise ConfigError(
            "train.q_learning.weight must be 0 for data with context or goals, whose next values are not "
            f"kept; got {spec.d_context + spec.d_goal} such numbers"
        )
    if not batch.extras[:, 0].any():
        raise ConfigError("train.q_learning.weight must be 0 for data without rewards: all are 0")
    extras = torch.from_numpy(np.ascontiguousarray(batch.extras, np.float32))
    context = torch.from_numpy(np.ascontiguousarray(batch.context, np.float32))
    with torch.no_grad():
        condition = model.condition(extras[:, 2:], context)
    return Transitions(extras[:, 0], extras[:, 1], condition)


class Critics(nn.Module):
    """The critics and their slow copies."""

    def __init__(self, model: KdpModel) -> None:
        super().__init__()
        d_condition = len(model.condition_mean)
        self.online = nn.ModuleList(
            Scorer(d_condition, model.d_coordinates, model.size) for _ in range(CRITICS)
        )
        for critic in self.scorers(self.online):
            critic.spread.copy_(model.scorer.spread)
        self.slow = copy.deepcopy(self.online).requires_grad_(False)

    @staticmethod
    def scorers(part: nn.ModuleList) -> list[Scorer]:
        """The members of ``online`` or ``slow``."""
        return [critic for critic in part if isinstance(critic, Scorer)]


class QLearning:
    """Trains the critics and gives the policy's part of the loss."""

    def __init__(self, config: QLearningConfig, model: KdpModel, batch: WindowBatch) -> None:
        if not isinstance(model.scorer, Scorer):
            raise ConfigError("train.q_learning.weight needs train.network.scorer_actions 0")
        self.config = config
        self.transitions = transitions_of(batch, model)
        self.critics = Critics(model)
        value = torch.from_numpy(batch.value)
        both = (self.critics.online, self.critics.slow)
        for critic in (
            c for part in both for c in Critics.scorers(part)
        ):  # they begin at the recorded returns
            critic.value_mean.copy_(value.mean())
            critic.value_std.copy_(value.std().clamp_min(1e-3))
        self.optimiser = torch.optim.AdamW(
            self.critics.online.parameters(), lr=config.learning_rate, weight_decay=1e-4
        )

    def learn(
        self, policy: nn.Module, d_noise: int, data: Tensor, condition: Tensor, rows: Tensor,
        rng: torch.Generator,
    ) -> float:  # fmt: skip
        """One step of the critics; returns their loss.

        Args:
            policy: the averaged generator, noise (N, 1, d_noise) and conditions (N, d) to actions.
            d_noise: numbers that it takes.
            data: (W, C) coordinates of all windows.
            condition: (W, d) their conditions.
            rows: (B,) the batch.
            rng: source of noise.
        """
        after = self.transitions
        with torch.no_grad():
            actions = policy(torch.randn(len(rows), 1, d_noise, generator=rng), after.condition[rows])
            values = [slow(actions, after.condition[rows])[:, 0] for slow in self.critics.slow]
            ahead = torch.stack(values).amin(dim=0)
            target = after.reward[rows] + self.config.discount * after.goes_on[rows] * ahead
        losses = [
            ((critic(data[rows, None], condition[rows])[:, 0] - target) / critic.value_std).square().mean()
            for critic in Critics.scorers(self.critics.online)
        ]
        loss = torch.stack(losses).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.critics.online.parameters(), 1.0)
        self.optimiser.step()
        move_average(self.critics.slow, self.critics.online, 1.0 - self.config.target_rate, 10**6)
        return loss.item()

    def policy_loss(self, actions: Tensor, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Minus eta times the value of actions (N, 1, C) by one critic, over its size by the other."""
        self.critics.online.requires_grad_(False)
        first, second = (critic(actions, condition) for critic in self.critics.online)
        self.critics.online.requires_grad_(True)
        if torch.rand((), generator=rng) < 0.5:
            first, second = second, first
        return -self.config.weight * first.mean() / second.detach().abs().mean().clamp_min(1e-6)

    def teach(self, scorer: nn.Module) -> None:
        """Make ``scorer`` a copy of the first slow critic."""
        scorer.load_state_dict(self.critics.slow[0].state_dict())
