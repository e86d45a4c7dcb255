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

from kdp_core.ranges import at_least, positive
from kdp_core.schedule import learning_rate_scale
from kdp_core.windows import WindowBatch

if TYPE_CHECKING:
    from kdp_core.model import KdpModel

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
    """Standard deviation of noise on data windows, in units of each coordinate's spread."""

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", "conditions", "samples", prefix="train.scorer.")
        at_least(self, 0, "input_noise", prefix="train.scorer.")
        positive(self, "learning_rate", prefix="train.scorer.")


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
) -> float:
    """Train ``model.scorer`` in place (the generator stays as it is).

    Returns the mean rank correlation between score and label on the last tenth of the steps: among the
    generated windows of a condition (with a labeller), else over the batch.
    """
    rng = torch.Generator().manual_seed(seed + 1)
    scorer = model.scorer
    optimiser = torch.optim.AdamW(scorer.parameters(), lr=config.learning_rate, weight_decay=1e-4)
    draw = _labelled if labeller is not None else _returns
    _set_scale(model, draw(model, batch, config, labeller, rng)[2], centred=labeller is not None)
    correlations, since = [], time.monotonic()
    for step in range(config.steps):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * learning_rate_scale(step, config.steps, config.steps // 20)
        coordinates, condition, value = draw(model, batch, config, labeller, rng)
        predicted = scorer(coordinates, condition)
        if labeller is not None:  # only differences within a condition rank its windows
            predicted, value = (v - v.mean(dim=1, keepdim=True) for v in (predicted, value))
        loss = torch.nn.functional.smooth_l1_loss(predicted / scorer.value_std, value / scorer.value_std)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(scorer.parameters(), 1.0)
        optimiser.step()
        if step >= int(0.9 * config.steps):
            generated = slice(0, config.samples)
            correlations.append(rank_correlation(predicted[:, generated].detach(), value[:, generated]))
        if report is not None and step % 20 == 19:
            report(step + 1, config.steps, loss.item(), 20 / max(time.monotonic() - since, 1e-9))
            since = time.monotonic()
    return float(np.mean(correlations))


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


def _set_scale(model: KdpModel, value: Tensor, centred: bool) -> None:
    if centred:
        value = value - value.mean(dim=1, keepdim=True)
    model.scorer.value_mean.copy_(value.mean())
    model.scorer.value_std.copy_(value.std().clamp_min(1e-3))


@torch.no_grad()
def _labelled(
    model: KdpModel, batch: WindowBatch, config: ScorerConfig, labeller: Labeller | None, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Generated, mismatched, warped and own data windows of random conditions, with the task's labels.

    Returns coordinates (N, M, C), condition (N, d), labels (N, M).
    """
    assert labeller is not None
    n, m = config.conditions, config.samples
    rows = torch.randint(len(batch), (n,), generator=rng)
    state = torch.from_numpy(batch.state[rows.numpy()])
    context = torch.from_numpy(batch.context[rows.numpy()])
    condition = model.condition(state, context)
    noise = torch.randn(n, m, model.size.d_noise, generator=rng)
    generated = model.generator(noise, condition)
    others = torch.randint(len(batch), (n, m // 4), generator=rng).numpy()
    mismatched = model.encode(torch.from_numpy(batch.windows[others]))
    spread = model.scorer.spread
    near = generated[:, : m // 2]
    warped = near + 0.35 * spread * torch.randn(near.shape, generator=rng)
    own = model.encode(torch.from_numpy(batch.windows[rows.numpy()]))[:, None]
    coordinates = torch.cat([generated, mismatched, warped, own], dim=1)
    windows = model.decode(coordinates, state, context)
    value = labeller.labels(windows.numpy(), batch.take(rows.numpy()))
    return coordinates, condition, torch.from_numpy(value.astype(np.float32))


@torch.no_grad()
def _returns(
    model: KdpModel, batch: WindowBatch, config: ScorerConfig, labeller: Labeller | None, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy data windows with the value they carry."""
    rows = torch.randint(len(batch), (config.conditions * config.samples,), generator=rng).numpy()
    coordinates = model.encode(torch.from_numpy(batch.windows[rows]))[:, None]
    coordinates = coordinates + config.input_noise * model.scorer.spread * torch.randn(
        coordinates.shape, generator=rng
    )
    condition = model.condition(torch.from_numpy(batch.state[rows]), torch.from_numpy(batch.context[rows]))
    return coordinates, condition, torch.from_numpy(batch.value[rows, None])
