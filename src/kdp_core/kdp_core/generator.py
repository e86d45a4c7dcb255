"""The one-step generator: condition and noise to a whole window, as coordinates of a fixed linear decoder."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from kdp_core.ranges import at_least


@dataclass(frozen=True)
class NetworkSize:
    """Sizes of generator and scorer."""

    d_noise: int = 32
    width: int = 192
    blocks: int = 3
    scorer_width: int = 128
    base_blocks: int = 0
    """Blocks of a regression to the mean window, learned first; samples lie around it. 0: none."""
    scorer_actions: int = 0
    """Actions of a window that the scorer judges, as many as are executed; 0: the whole window."""

    def __post_init__(self) -> None:
        at_least(self, 1, "d_noise", "width", "blocks", "scorer_width", prefix="train.network.")
        at_least(self, 0, "base_blocks", "scorer_actions", prefix="train.network.")


class FilmBlock(nn.Module):
    """Residual block of two linear layers.

    The condition scales and shifts the input (FiLM, arXiv 1709.07871).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(width, 2 * width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)
        self.folded = False

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        """H (…, G, W), condition (…, 1, W) -> (…, G, W)."""
        scale, shift = self.film(condition).chunk(2, dim=-1)
        gain = scale if self.folded else 1.0 + scale
        out: Tensor = h + self.outer(nn.functional.silu(self.inner(self.norm(h) * gain + shift)))
        return out

    @torch.no_grad()
    def fold(self) -> None:
        """Put the 1 of the scale into the bias; see ``folded``."""
        self.film.bias[: len(self.film.bias) // 2].add_(1.0)
        self.folded = True


class ConditionEncoder(nn.Module):
    """Two layers on the whitened condition; computed once for all samples of a condition."""

    def __init__(self, d_condition: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(d_condition, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    def forward(self, condition: Tensor) -> Tensor:
        """(…, d_condition) -> (…, width)."""
        out: Tensor = self.layers(condition)
        return out


class Base(nn.Module):
    """Mean window of a condition, which samples lie around: (…, d_condition) -> coordinates (…, C)."""

    spread: Tensor

    def __init__(self, d_condition: int, d_coordinates: int, width: int, blocks: int) -> None:
        super().__init__()
        self.encoder = ConditionEncoder(d_condition, width)
        self.blocks = nn.ModuleList(FilmBlock(width) for _ in range(blocks))
        self.head = nn.Linear(width, d_coordinates)
        self.register_buffer("spread", torch.ones(d_coordinates))
        self.folded = False

    def forward(self, condition: Tensor) -> Tensor:
        """Condition (…, d_condition) -> coordinates (…, C)."""
        encoded = self.encoder(condition)
        h = encoded
        for block in self.blocks:
            h = block(h, encoded)
        out: Tensor = self.head(nn.functional.silu(h))
        return out if self.folded else out * self.spread

    def fold(self) -> None:
        """Put the spread into the head; see ``folded``."""
        scale_rows(self.head, self.spread)
        self.folded = True


class Generator(nn.Module):
    """g_psi(z, c): coordinates (…, G, C) of the free entries of G windows per condition.

    With a base, a sample is the mean window of its condition plus what the rest of the network adds.
    """

    spread: Tensor
    base: Base | None

    def __init__(self, d_condition: int, d_coordinates: int, size: NetworkSize) -> None:
        super().__init__()
        self.size = size
        self.encoder = ConditionEncoder(d_condition, size.width)
        self.noise = nn.Linear(size.d_noise, size.width)
        self.blocks = nn.ModuleList(FilmBlock(size.width) for _ in range(size.blocks))
        self.head = nn.Linear(size.width, d_coordinates)
        self.register_buffer("spread", torch.ones(d_coordinates))
        self.folded = False
        self.base = (
            Base(d_condition, d_coordinates, size.width, size.base_blocks) if size.base_blocks else None
        )

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Noise (…, G, d_z), condition (…, d_condition) -> coordinates (…, G, C)."""
        sampled = self.residual(noise, self.encoder(condition).unsqueeze(-2))
        return sampled if self.base is None else sampled + self.base(condition).unsqueeze(-2)

    def residual(self, noise: Tensor, encoded: Tensor) -> Tensor:
        """Noise (…, G, d_z), encoded condition (…, 1, W) -> coordinates (…, G, C), counted from the base."""
        h = self.noise(noise) + encoded
        for block in self.blocks:
            h = block(h, encoded)
        out: Tensor = self.head(nn.functional.silu(h))
        return out if self.folded else out * self.spread

    def fold(self) -> None:
        """Put the spread into the head; see ``folded``."""
        scale_rows(self.head, self.spread)
        self.folded = True


class Scorer(nn.Module):
    """Value of a window under its condition, (…, G); higher is better."""

    spread: Tensor
    value_mean: Tensor
    value_std: Tensor

    def __init__(self, d_condition: int, d_coordinates: int, size: NetworkSize) -> None:
        super().__init__()
        width = size.scorer_width
        self.encoder = ConditionEncoder(d_condition, width)
        self.window = nn.Linear(d_coordinates, width)
        self.blocks = nn.ModuleList(FilmBlock(width) for _ in range(2))
        self.head = nn.Linear(width, 1)
        self.register_buffer("spread", torch.ones(d_coordinates))
        self.register_buffer("value_mean", torch.zeros(()))
        self.register_buffer("value_std", torch.ones(()))
        self.folded = False

    def forward(self, coordinates: Tensor, condition: Tensor) -> Tensor:
        """Coordinates (…, G, C), condition (…, d_condition) -> scores (…, G)."""
        return self.score(coordinates, self.encoder(condition).unsqueeze(-2))

    def score(self, coordinates: Tensor, encoded: Tensor) -> Tensor:
        """Coordinates (…, G, C), encoded condition (…, 1, W) -> scores (…, G)."""
        h = self.window(coordinates if self.folded else coordinates / self.spread) + encoded
        for block in self.blocks:
            h = block(h, encoded)
        out: Tensor = self.head(nn.functional.silu(h)).squeeze(-1)
        return out if self.folded else out * self.value_std + self.value_mean

    @torch.no_grad()
    def fold(self) -> None:
        """Put the units of windows and values into the first and last layer; see ``folded``."""
        self.window.weight.div_(self.spread)
        scale_rows(self.head, self.value_std[None])
        self.head.bias.add_(self.value_mean)
        self.folded = True


@torch.no_grad()
def scale_rows(layer: nn.Linear, factors: Tensor) -> None:
    """Multiply the layer's outputs by ``factors`` (n,), in place."""
    layer.weight.mul_(factors[:, None])
    layer.bias.mul_(factors)


@runtime_checkable
class Foldable(Protocol):
    """A module that can put constant scales into its layers."""

    def fold(self) -> None:
        """Do so, in place."""
        ...


Model = TypeVar("Model", bound=nn.Module)


def folded(model: Model) -> Model:
    """A copy for export, which computes the same with fewer operations; its weights are scaled ones."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        if isinstance(module, Foldable):
            module.fold()
    return copied
