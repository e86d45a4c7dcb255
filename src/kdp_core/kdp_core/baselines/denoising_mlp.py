"""Our generator's residual MLP as a denoiser: only the number of steps differs from one-step planning."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kdp_core.generator import ConditionEncoder, FilmBlock, NetworkSize

LONGEST_PERIOD = 10_000.0


class TimeEmbedding(nn.Module):
    """Sines and cosines of the noise level through two layers, as Diffuser does it."""

    frequencies: Tensor

    def __init__(self, waves: int, width: int) -> None:
        super().__init__()
        half = max(1, waves // 2)
        powers = torch.arange(half) * (-math.log(LONGEST_PERIOD) / max(1, half - 1))
        self.register_buffer("frequencies", powers.exp(), persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * half, 4 * waves), nn.Mish(), nn.Linear(4 * waves, width))

    def forward(self, time: Tensor) -> Tensor:
        """Noise level t (…) to (…, width)."""
        phase = time.float().unsqueeze(-1) * self.frequencies
        out: Tensor = self.layers(torch.cat([phase.sin(), phase.cos()], dim=-1))
        return out


class DenoisingMlp(nn.Module):
    """Noisy coordinates, noise level and condition to a prediction of the shape of the coordinates."""

    def __init__(self, d_condition: int, d_coordinates: int, size: NetworkSize) -> None:
        super().__init__()
        self.encoder = ConditionEncoder(d_condition, size.width)
        self.time = TimeEmbedding(32, size.width)
        self.window = nn.Linear(d_coordinates, size.width)
        self.blocks = nn.ModuleList(FilmBlock(size.width) for _ in range(size.blocks))
        self.head = nn.Linear(size.width, d_coordinates)

    def encode(self, condition: Tensor) -> Tensor:
        """(…, d_condition) -> (…, W); once for all steps of a sample."""
        out: Tensor = self.encoder(condition)
        return out

    def forward(self, x: Tensor, time: Tensor, encoded: Tensor) -> Tensor:
        """X (…, G, C), embedded noise level (…, 1, W), encoded condition (…, 1, W) -> (…, G, C)."""
        told = time + encoded
        h = self.window(x) + told
        for block in self.blocks:
            h = block(h, told)
        out: Tensor = self.head(nn.functional.silu(h))
        return out
