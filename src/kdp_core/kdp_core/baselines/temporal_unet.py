"""Diffuser's temporal U-Net (Janner et al. 2022, arXiv 2205.09991, Appendix C), written anew.

Convolutions run along the window's rows; each level but the last halves them. As published: two residual
blocks per level, kernel 5, group normalisation, Mish, the time embedding added inside each block, skip
connections from every level but the first. The condition joins the time embedding, or scales and shifts.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from kdp_core.baselines.denoising_mlp import TimeEmbedding
from kdp_core.baselines.diffuser_config import PREFIX, UnetSize
from kdp_core.exceptions import ConfigError


class Mish(nn.Module):
    """x tanh(log(1 + e^x)); exported without the logarithm, which took half of onnxruntime's time."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; with q = sigmoid(-x)^2 the same is x (2 / (1 + q) - 1)."""
        if not torch.compiler.is_exporting():
            return nn.functional.mish(x)
        return x * (2.0 / (1.0 + torch.sigmoid(-x).square()) - 1.0)


class RowConv(nn.Conv1d):
    """Convolution along rows; exported as one in two dimensions, which onnxruntime does twice as fast."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, d_in, H) -> (B, d_out, H')."""
        if not torch.compiler.is_exporting():
            return super().forward(x)
        assert isinstance(self.padding, tuple)
        weight, stride, padding = self.weight.unsqueeze(2), (1, *self.stride), (0, *self.padding)
        return nn.functional.conv2d(x.unsqueeze(2), weight, self.bias, stride, padding).squeeze(2)


class ConvBlock(nn.Sequential):
    """Convolution along rows, group normalisation, Mish."""

    def __init__(self, d_in: int, d_out: int, size: UnetSize) -> None:
        super().__init__(
            RowConv(d_in, d_out, size.kernel, padding=size.kernel // 2),
            nn.GroupNorm(size.groups, d_out),
            Mish(),
        )


class ResidualBlock(nn.Module):
    """Two convolutions around the injected embedding, and a path past them."""

    def __init__(self, d_in: int, d_out: int, d_embedding: int, size: UnetSize) -> None:
        super().__init__()
        self.film = size.conditioning == "film"
        self.first = ConvBlock(d_in, d_out, size)
        self.second = ConvBlock(d_out, d_out, size)
        self.inject = nn.Sequential(Mish(), nn.Linear(d_embedding, (2 if self.film else 1) * d_out))
        self.past = RowConv(d_in, d_out, 1) if d_in != d_out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """X (B, d_in, H), embedding (B or 1, E) -> (B, d_out, H)."""
        injected = self.inject(embedding).unsqueeze(-1)
        h = self.first(x)
        if self.film:
            scale, shift = injected.chunk(2, dim=1)
            h = h * (1.0 + scale) + shift
        else:
            h = h + injected
        out: Tensor = self.second(h) + self.past(x)
        return out


class Level(nn.Module):
    """Two residual blocks, then a change of the number of rows (or none)."""

    def __init__(self, d_in: int, d_out: int, d_embedding: int, size: UnetSize, resize: nn.Module) -> None:
        super().__init__()
        self.first = ResidualBlock(d_in, d_out, d_embedding, size)
        self.second = ResidualBlock(d_out, d_out, d_embedding, size)
        self.resize = resize

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """X (B, d_in, H) -> before and after resizing, (B, d_out, H) and (B, d_out, H')."""
        h = self.second(self.first(x, embedding), embedding)
        return h, self.resize(h)


class TemporalUnet(nn.Module):
    """Noisy windows, noise level and condition to a prediction of the shape of the windows.

    Works on free entries (…, G, F): entries that ``clamped`` (H, D) fixes are put in from the condition,
    whose entry ``source`` (H, D) names (inpainting: they are clean at every step).
    """

    entries: Tensor
    free: Tensor

    def __init__(self, clamped: Tensor, source: Tensor, d_condition: int, size: UnetSize) -> None:
        super().__init__()
        self.rows, self.channels = clamped.shape
        if self.rows % size.rows_multiple:
            raise ConfigError(
                f"horizon must be a multiple of {size.rows_multiple} for {len(size.multipliers)} levels of "
                f"{PREFIX}unet.multipliers, got {self.rows}"
            )
        d_free = int((~clamped).sum())
        order = torch.full(clamped.shape, -1)
        order[~clamped] = torch.arange(d_free)
        order[clamped] = d_free + source[clamped]
        self.register_buffer("entries", order.T.flatten(), persistent=False)
        grid = torch.arange(clamped.numel()).view(self.channels, self.rows).T
        self.register_buffer("free", grid[~clamped], persistent=False)
        widths = [self.channels, *(size.width * m for m in size.multipliers)]
        self.time = TimeEmbedding(size.width, size.width)
        self.encoder = nn.Sequential(nn.Linear(d_condition, 4 * size.width), Mish())
        self.condition = nn.Linear(4 * size.width, size.width)
        e = 2 * size.width
        pairs = list(pairwise(widths))
        self.downs = nn.ModuleList(
            Level(a, b, e, size, RowConv(b, b, 3, 2, 1) if level < len(pairs) - 1 else nn.Identity())
            for level, (a, b) in enumerate(pairs)
        )
        self.middle = Level(widths[-1], widths[-1], e, size, nn.Identity())
        self.ups = nn.ModuleList(
            Level(2 * b, a, e, size, nn.ConvTranspose1d(a, a, 4, 2, 1)) for a, b in reversed(pairs[1:])
        )
        self.last = ConvBlock(widths[1], widths[1], size)
        self.head = RowConv(widths[1], self.channels, 1)

    def encode(self, condition: Tensor) -> Tensor:
        """(…, d_condition) -> (…, W + d_condition): embedded, then as it is; once for all steps."""
        embedded = self.condition(self.encoder(condition))
        return torch.cat([embedded, condition], dim=-1)

    def forward(self, x: Tensor, time: Tensor, encoded: Tensor) -> Tensor:
        """X (…, G, F), embedded noise level (…, 1, W), encoded condition (…, 1, E) -> (…, G, F)."""
        width = time.shape[-1]
        condition = encoded[..., width:].expand(*x.shape[:-1], -1)
        h = torch.cat([x, condition], dim=-1).index_select(-1, self.entries)
        h = h.reshape(-1, self.channels, self.rows)
        told = torch.cat([time.expand(*encoded.shape[:-1], -1), encoded[..., :width]], dim=-1)
        if told.dim() > 2:  # several conditions: one row per window
            told = told.expand(*x.shape[:-1], -1).flatten(0, -2)
        return self.denoise(h, told).flatten(1)[:, self.free].reshape(x.shape)

    def denoise(self, h: Tensor, told: Tensor) -> Tensor:
        """Windows, channels first (B, D, H), and the embedding (B or 1, 2 W) -> (B, D, H)."""
        skips: list[Tensor] = []
        for down in self.downs:
            skip, h = down(h, told)
            skips.append(skip)
        h = self.middle(h, told)[1]
        for up in self.ups:
            h = up(torch.cat([h, skips.pop()], dim=1), told)[1]
        out: Tensor = self.head(self.last(h))
        return out
