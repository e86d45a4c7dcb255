"""Training of the scorer: which of the generator's windows is good under a condition.

Where the task can judge a window (``task.labels``), the scorer regresses that judgement on the generator's
own windows, data windows and mismatched ones: trained on expert windows alone it ranks worse than chance
under clutter. Otherwise it regresses the value that the data carry (a return) on noisy data windows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from kdp_core.action_scorer import ActionScorer, learn_mean_action
from kdp_core.exceptions import ConfigError
from kdp_core.ranges import at_least, positive
from kdp_core.schedule import learning_rate_scale
from kdp_core.windows import WindowBatch

if TYPE_CHECKING:
    from kdp_core.generator import NetworkSize
    from kdp_core.model import KdpModel
    from kdp_core.spec import Spec

POOL_CHUNK = 32
"""Conditions generated at once for a pool, so that progress shows and memory stays small."""
Report = Callable[[int, int, float, float], None]


@dataclass(frozen=True)
class ScorerConfig:
    """How the scorer is trained."""

    steps: int = 3000
    """Gradient steps."""
    conditions: int = 96
    """Conditions per step."""
    samples: int = 8
    """Generated windows per condition; half as many warped and a quarter mismatched ones go with them."""
    learning_rate: float = 1e-3
    """Peak of the cosine schedule (AdamW)."""
    input_noise: float = 0.1
    """Standard deviation of noise on data windows, in units of each coordinate's spread. It smooths the
    value, and flattens it where an action hardly varies under a state (``network.scorer_actions``)."""
    pool: int = 2048
    """Conditions whose windows are generated once and used again, where a window takes several network
    evaluations (methods diffuser and consistency); one-step planners generate new ones in every step."""

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", "conditions", "samples", "pool", prefix="train.scorer.")
        at_least(self, 0, "input_noise", prefix="train.scorer.")
        positive(self, "learning_rate", prefix="train.scorer.")


@dataclass(frozen=True)
class Pool:
    """Generated windows to draw from: rows (P,) of the batch and coordinates (P, M, C)."""

    rows: Tensor
    coordinates: Tensor


class Labeller(Protocol):
    """Judges windows, for example with the whole world known."""

    def labels(self, windows: np.ndarray, conditions: WindowBatch) -> np.ndarray:
        """Windows (N, M, H, D) under N conditions to values (N, M), higher is better."""
        ...


def train_scorer(
    model: KdpModel,
    batch: WindowBatch,
    config: ScorerConfig,
    labeller: Labeller | None,
    seed: int,
    report: Report | None = None,
    pool: Pool | None = None,
) -> float:
    """Train ``model.scorer`` in place (the generator stays as it is).

    With a labeller and no ``pool`` every step generates its windows.
    Returns the mean rank correlation between score and label on the last tenth of the steps: among the
    generated windows of a condition (with a labeller), else over the batch.
    """
    require_scorer(model.spec, model.size, labeller)
    rng = torch.Generator().manual_seed(seed + 1)
    scorer = model.scorer
    begin, steps = scorer_steps(config, model.size) - config.steps, scorer_steps(config, model.size)
    optimiser = torch.optim.AdamW(scorer.parameters(), lr=config.learning_rate, weight_decay=1e-4)

    if isinstance(scorer, ActionScorer):
        _learn_mean_action(scorer, model, batch, config, rng, report)
    set_scale(model, batch, config, labeller, rng, pool)
    correlations, errors, since = [], [], time.monotonic()
    for step in range(config.steps):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * learning_rate_scale(step, config.steps, config.steps // 20)
        loss, predicted, value = scorer_loss(model, batch, config, labeller, rng, pool)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(scorer.parameters(), 1.0)
        optimiser.step()
        if step >= int(0.9 * config.steps):
            generated = slice(0, config.samples)
            correlations.append(rank_correlation(predicted[:, generated], value[:, generated]))
            errors.append((predicted - value).square().mean())
        if report is not None and step % 20 == 19:
            report(begin + step + 1, steps, loss.item(), 20 / max(time.monotonic() - since, 1e-9))
            since = time.monotonic()
    if isinstance(scorer, ActionScorer):
        scorer.weigh_rarity(torch.stack(errors).mean().sqrt().item())
    return float(np.mean(correlations))


def require_scorer(spec: Spec, size: NetworkSize, labeller: Labeller | None) -> None:
    """Raise ConfigError if actions are to be judged where the task judges whole windows."""
    if size.scorer_actions and labeller is not None:
        raise ConfigError(
            f"train.network.scorer_actions must be 0 for task '{spec.task}', which judges whole windows, "
            f"got {size.scorer_actions}"
        )


def scorer_steps(config: ScorerConfig, size: NetworkSize) -> int:
    """Gradient steps that ``train_scorer`` takes: the mean action is learned in as many as the value."""
    return config.steps * (2 if size.scorer_actions else 1)


def _learn_mean_action(
    scorer: ActionScorer,
    model: KdpModel,
    batch: WindowBatch,
    config: ScorerConfig,
    rng: torch.Generator,
    report: Report | None,
) -> None:
    """Learn the mean action in as many steps as the scorer has."""
    since = time.monotonic()

    def draw() -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(batch), (config.conditions * config.samples,), generator=rng)
        with torch.no_grad():
            coordinates = model.encode(_tensor(model, batch.windows[rows.numpy()]))
            return coordinates, model.condition(*_condition(model, batch, rows))

    def show(step: int, loss: float) -> None:
        if report is not None and step % 20 == 19:
            rate = (step + 1) / max(time.monotonic() - since, 1e-9)
            report(step + 1, 2 * config.steps, loss, rate)

    learn_mean_action(scorer, draw, config.steps, show)


@torch.no_grad()
def draw_pool(
    model: KdpModel,
    batch: WindowBatch,
    config: ScorerConfig,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Pool:
    """Generate ``config.samples`` windows under each of ``config.pool`` random conditions."""
    rng = torch.Generator().manual_seed(seed + 2)
    rows = torch.randint(len(batch), (config.pool,), generator=rng)
    parts: list[Tensor] = []
    for part in rows.split(POOL_CHUNK):
        parts.append(_generate(model, batch, part, config.samples, rng))
        if progress is not None:
            progress(sum(map(len, parts)), config.pool)
    return Pool(rows, torch.cat(parts))


def _generate(
    model: KdpModel, batch: WindowBatch, rows: Tensor, samples: int, rng: torch.Generator
) -> Tensor:
    """Coordinates (N, M, C) of M generated windows under the conditions of the batch's rows (N,)."""
    condition = model.condition(*_condition(model, batch, rows))
    noise = torch.randn(len(rows), samples, model.d_noise, generator=rng).to(condition.device)
    coordinates: Tensor = model.generator(noise, condition)
    return coordinates


def _condition(model: KdpModel, batch: WindowBatch, rows: Tensor) -> tuple[Tensor, Tensor]:
    return _tensor(model, batch.state[rows.numpy()]), _tensor(model, batch.context[rows.numpy()])


def _tensor(model: KdpModel, array: np.ndarray) -> Tensor:
    """Where the model is; rows and noise are drawn on the CPU, so that a seed means the same everywhere."""
    return torch.from_numpy(array).to(model.basis.device)


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's correlation along the last dimension, averaged over the others.

    Over everything if the last dimension is 1.
    """
    if a.shape[-1] == 1:
        a, b = a.reshape(1, -1), b.reshape(1, -1)
    ranks = [v.argsort(-1).argsort(-1).double() for v in (a, b)]
    centred = [r - r.mean(-1, keepdim=True) for r in ranks]
    norm = centred[0].norm(dim=-1) * centred[1].norm(dim=-1)
    return float(((centred[0] * centred[1]).sum(-1) / norm.clamp_min(1e-12)).mean())


@torch.no_grad()
def value_correlation(model: KdpModel, batch: WindowBatch, seed: int, count: int = 4096) -> float:
    """Rank correlation between the scorer's value of data windows and the value they carry."""
    rows = torch.randint(len(batch), (count,), generator=torch.Generator().manual_seed(seed))
    coordinates = model.encode(_tensor(model, batch.windows[rows.numpy()]))[:, None]
    predicted = model.scorer(coordinates, model.condition(*_condition(model, batch, rows)))
    return rank_correlation(predicted, _tensor(model, batch.value[rows.numpy(), None]))


def scorer_loss(
    model: KdpModel,
    batch: WindowBatch,
    config: ScorerConfig,
    labeller: Labeller | None,
    rng: torch.Generator,
    pool: Pool | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of one step, with gradient to the scorer alone; predicted and true values (N, M), detached."""
    scorer = model.scorer
    coordinates, condition, value = _draw(model, batch, config, labeller, rng, pool)
    predicted = scorer(coordinates, condition)
    if labeller is not None:  # only differences within a condition rank its windows
        predicted, value = (v - v.mean(dim=1, keepdim=True) for v in (predicted, value))
    loss = torch.nn.functional.smooth_l1_loss(predicted / scorer.value_std, value / scorer.value_std)
    return loss, predicted.detach(), value


def set_scale(
    model: KdpModel,
    batch: WindowBatch,
    config: ScorerConfig,
    labeller: Labeller | None,
    rng: torch.Generator,
    pool: Pool | None = None,
) -> None:
    """Give the scorer the mean and spread of the values it is to learn, from one drawn batch."""
    value = _draw(model, batch, config, labeller, rng, pool)[2]
    if labeller is not None:
        value = value - value.mean(dim=1, keepdim=True)
    model.scorer.value_mean.copy_(value.mean())
    model.scorer.value_std.copy_(value.std().clamp_min(1e-3))


def _draw(
    model: KdpModel,
    batch: WindowBatch,
    config: ScorerConfig,
    labeller: Labeller | None,
    rng: torch.Generator,
    pool: Pool | None,
) -> tuple[Tensor, Tensor, Tensor]:
    if labeller is None:
        return _returns(model, batch, config, rng)
    return _labelled(model, batch, config, labeller, rng, pool)


@torch.no_grad()
def _labelled(
    model: KdpModel,
    batch: WindowBatch,
    config: ScorerConfig,
    labeller: Labeller,
    rng: torch.Generator,
    pool: Pool | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Generated, mismatched, warped and own data windows of random conditions, with the task's labels.

    Returns coordinates (N, M, C), condition (N, d), labels (N, M).
    """
    n, m = config.conditions, config.samples
    if pool is None:
        rows = torch.randint(len(batch), (n,), generator=rng)
        generated = _generate(model, batch, rows, m, rng)
    else:
        drawn = torch.randint(len(pool.rows), (n,), generator=rng)
        rows, generated = pool.rows[drawn], pool.coordinates[drawn]
    state, context = _condition(model, batch, rows)
    condition = model.condition(state, context)
    others = torch.randint(len(batch), (n, m // 4), generator=rng).numpy()
    mismatched = model.encode(_tensor(model, batch.windows[others]))
    spread = model.scorer.spread
    near = generated[:, : m // 2]
    warped = near + 0.35 * spread * torch.randn(near.shape, generator=rng).to(near.device)
    own = model.encode(_tensor(model, batch.windows[rows.numpy()]))[:, None]
    coordinates = torch.cat([generated, mismatched, warped, own], dim=1)
    windows = model.decode(coordinates, state, context)
    value = labeller.labels(windows.cpu().numpy(), batch.take(rows.numpy()))
    return coordinates, condition, _tensor(model, value.astype(np.float32))


@torch.no_grad()
def _returns(
    model: KdpModel, batch: WindowBatch, config: ScorerConfig, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy data windows with the value they carry."""
    rows = torch.randint(len(batch), (config.conditions * config.samples,), generator=rng)
    coordinates = model.encode(_tensor(model, batch.windows[rows.numpy()]))[:, None]
    noise = torch.randn(coordinates.shape, generator=rng).to(coordinates.device)
    coordinates = coordinates + config.input_noise * model.scorer.spread * noise
    condition = model.condition(*_condition(model, batch, rows))
    return coordinates, condition, _tensor(model, batch.value[rows.numpy(), None])
