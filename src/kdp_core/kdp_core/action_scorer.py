"""A scorer of the actions that are executed: their value, as far as it is known, and how usual they are.

Of K candidates it takes the likeliest under the improved policy mu(a|s) exp(Q(s, a) / beta), mu being that
of the data (Peng et al. 2019, arXiv 1910.00177): the highest Q + beta log mu. beta is the standard deviation
of the returns about Q as learned, so that where returns say little of actions, a usual action is taken, not
whichever the noise in Q prefers. For mu stands a normal distribution about the mean action of a condition,
which is learned first; the network for Q sees what an action adds to it. Where data mix policies that differ
much in one state, that mean lies between them, and of their actions the nearer ones count as usual.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kdp_core.generator import Base, ConditionEncoder, FilmBlock, NetworkSize, scale_rows
from kdp_core.schedule import learning_rate_scale

MEAN_WIDTH, MEAN_BLOCKS = 2, 3
"""Size of the network for the mean action, its width in that of the scorer."""
LEARNING_RATE = 2e-3
"""Peak of the mean action's cosine schedule."""
MIN_UNIT = 1e-3


class ActionCondition(nn.Module):
    """What the scorer needs of a condition: (…, d_condition) -> features and mean actions, (…, W + J)."""

    def __init__(self, d_condition: int, width: int, judged: int) -> None:
        super().__init__()
        self.features = ConditionEncoder(d_condition, width)
        self.mean = Base(d_condition, judged, MEAN_WIDTH * width, MEAN_BLOCKS)

    def forward(self, condition: Tensor) -> Tensor:
        """(…, d_condition) -> (…, W + J)."""
        return torch.cat([self.features(condition), self.mean(condition)], dim=-1)


class ActionScorer(nn.Module):
    """Value of the first actions of a window under its condition, (…, G); stands where ``Scorer`` stands.

    ``judged`` (C, J) takes the J numbers of those actions out of coordinates; ``unit`` (J,) is how far
    recorded ones are from their mean; ``rarity`` (J,) is sqrt(beta / 2) / unit, zero until Q is learned.
    """

    spread: Tensor
    judged: Tensor
    unit: Tensor
    rarity: Tensor
    value_mean: Tensor
    value_std: Tensor

    def __init__(self, d_condition: int, d_coordinates: int, judged: int, size: NetworkSize) -> None:
        super().__init__()
        width = self.width = size.scorer_width
        self.encoder = ActionCondition(d_condition, width, judged)
        self.window = nn.Linear(judged, width)
        self.blocks = nn.ModuleList(FilmBlock(width) for _ in range(2))
        self.head = nn.Linear(width, 1)
        self.register_buffer("spread", torch.ones(d_coordinates))
        self.register_buffer("judged", torch.zeros(d_coordinates, judged))
        self.register_buffer("unit", torch.ones(judged))
        self.register_buffer("rarity", torch.zeros(judged))
        self.register_buffer("value_mean", torch.zeros(()))
        self.register_buffer("value_std", torch.ones(()))
        self.folded = False

    def forward(self, coordinates: Tensor, condition: Tensor) -> Tensor:
        """Coordinates (…, G, C), condition (…, d_condition) -> scores (…, G)."""
        return self.score(coordinates, self.encoder(condition).unsqueeze(-2))

    def score(self, coordinates: Tensor, encoded: Tensor) -> Tensor:
        """Coordinates (…, G, C), encoded condition (…, 1, W + J) -> scores (…, G)."""
        features, mean = encoded[..., : self.width], encoded[..., self.width :]
        added = coordinates @ self.judged - mean
        h = self.window(added if self.folded else added / self.unit) + features
        for block in self.blocks:
            h = block(h, features)
        value = self.head(nn.functional.silu(h)).squeeze(-1)
        if not self.folded:
            value = value * self.value_std + self.value_mean
        out: Tensor = value - (added * self.rarity).square().sum(dim=-1)
        return out

    @torch.no_grad()
    def weigh_rarity(self, beta: float) -> None:
        """Take off -beta log mu of an action, in the value's unit; see the module."""
        self.rarity.copy_((beta / 2.0) ** 0.5 / self.unit)

    @torch.no_grad()
    def fold(self) -> None:
        """Put the units of actions and values into the first and last layer; see ``folded``."""
        self.window.weight.div_(self.unit)
        scale_rows(self.head, self.value_std[None])
        self.head.bias.add_(self.value_mean)
        self.folded = True


def learn_mean_action(
    scorer: ActionScorer,
    draw: Callable[[], tuple[Tensor, Tensor]],
    steps: int,
    report: Callable[[int, float], None] | None = None,
) -> None:
    """Regress the mean action, then take the unit of what recorded actions add to it.

    Args:
        scorer: is changed in place.
        draw: gives coordinates (B, C) and conditions (B, d_condition) of random data windows.
        steps: gradient steps.
        report: called with the step and its loss.
    """
    scorer.rarity.zero_()
    parameters = list(scorer.encoder.mean.requires_grad_(True).parameters())
    optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=1e-4)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * learning_rate_scale(step, steps, steps // 10)
        coordinates, condition = draw()
        loss = _added(scorer, coordinates, condition).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if report is not None:
            report(step, loss.item())
    with torch.no_grad():
        added = torch.cat([_added(scorer, *draw()) for _ in range(8)])
        scorer.unit.copy_(added.square().mean(dim=0).sqrt().clamp_min(MIN_UNIT))
    for parameter in parameters:
        parameter.requires_grad_(False)


def _added(scorer: ActionScorer, coordinates: Tensor, condition: Tensor) -> Tensor:
    added: Tensor = coordinates @ scorer.judged - scorer.encoder.mean(condition)
    return added
