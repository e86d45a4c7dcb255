"""What many-step generators share: units of x, a table of steps, and the loop over them.

They stand where the generator stands, noise and condition to coordinates of windows, only that they call
their network S times.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from kdp_core.baselines.noise_schedule import SamplerSteps
from kdp_core.model import KdpModel
from kdp_core.windows import WindowBatch

SLACK = 0.1


class Denoiser(Protocol):
    """A network that predicts x_0 or the noise."""

    def time(self, time: Tensor) -> Tensor:
        """Noise level t (…) to its embedding (…, W)."""
        ...

    def encode(self, condition: Tensor) -> Tensor:
        """Condition (…, d) to what all steps of a sample share (…, E)."""
        ...

    def __call__(self, x: Tensor, time: Tensor, encoded: Tensor) -> Tensor:
        """X (…, G, C), embedded time (…, 1, W), encoded condition (…, 1, E) -> (…, G, C)."""
        ...


class Sampling(Protocol):
    """What a configuration says about sampling."""

    @property
    def temperature(self) -> float:
        """Scale of all noise that a sample takes."""
        ...

    @property
    def clip_denoised(self) -> bool:
        """Keep predicted clean windows within the range of the data."""
        ...


class ManyStepSampler(nn.Module):
    """Samples x = (coordinates - shift) / spread in the steps of a table.

    A sample's noise (d_noise,) holds the first noise and then that of every noisy step, so it is reproducible
    from one array as the one-step planner is.
    """

    shift: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, network: Denoiser, n: int, steps: SamplerSteps, sampling: Sampling) -> None:
        super().__init__()
        self.network, self.n, self.steps, self.sampling = network, n, steps, sampling
        self.nfe = len(steps.time)
        self.d_noise = steps.draws * n
        self.register_buffer("shift", torch.zeros(n))
        self.register_buffer("spread", torch.ones(n))
        self.register_buffer("low", torch.full((n,), -torch.inf))
        self.register_buffer("high", torch.full((n,), torch.inf))

    def fit(self, coordinates: Tensor, shift: Tensor, spread: Tensor) -> None:
        """Take the units of x and the range of the data (N, C), widened a little."""
        self.shift.copy_(shift)
        self.spread.copy_(spread)
        x = (coordinates - shift) / spread
        low, high = x.amin(dim=0), x.amax(dim=0)
        self.low.copy_(low - SLACK * (high - low))
        self.high.copy_(high + SLACK * (high - low))

    @abstractmethod
    def clean(self, x: Tensor, time: Tensor, encoded: Tensor, signal: float, noise: float) -> Tensor:
        """Clean x (…, G, C) as predicted from x at the embedded noise level; factors are the table's."""

    def predict_start(self, x: Tensor, time: Tensor, encoded: Tensor, signal: float, noise: float) -> Tensor:
        """``clean``, within the range of the data if so configured."""
        predicted = self.clean(x, time, encoded, signal, noise)
        return torch.clamp(predicted, self.low, self.high) if self.sampling.clip_denoised else predicted

    def forward(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Noise (…, G, d_noise), condition (…, d_condition) -> coordinates (…, G, C)."""
        return self.sample(noise, self.encoder(condition).unsqueeze(-2))

    def encoder(self, condition: Tensor) -> Tensor:
        """What of the network is the same at every step, (…, d_condition) -> (…, E)."""
        return self.network.encode(condition)

    def sample(self, noise: Tensor, encoded: Tensor) -> Tensor:
        """Noise (…, G, d_noise), encoded condition (…, 1, E) -> coordinates (…, G, C), S steps."""
        table, n = self.steps, self.n
        told = self.network.time(torch.from_numpy(table.time))
        x, drawn = self.sampling.temperature * noise[..., :n], 1
        for i in range(len(table.time)):
            start = self.predict_start(
                x, told[i : i + 1], encoded, float(table.signal[i]), float(table.noise[i])
            )
            x = float(table.start[i]) * start + float(table.noisy[i]) * x
            if table.sigma[i] > 0.0:
                fresh = noise[..., drawn * n : (drawn + 1) * n]
                x, drawn = x + float(table.sigma[i]) * self.sampling.temperature * fresh, drawn + 1
        return x * self.spread + self.shift


class SampledModel(KdpModel):
    """A planner whose windows come from a ``ManyStepSampler``."""

    generator: ManyStepSampler  # type: ignore[assignment]

    @property
    def d_noise(self) -> int:
        """Normal numbers that one candidate takes: one per coordinate for the start and each noisy step."""
        return self.generator.d_noise

    @property
    def nfe(self) -> int:
        """Network evaluations in sequence for a window."""
        return self.generator.nfe

    def _generate(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Noise (K, d_noise), condition (1, d) -> coordinates (K, C)."""
        return self.generator.sample(noise, self.generator.encoder(condition))

    def fit(self, batch: WindowBatch, components: int, sample: int = 20000, seed: int = 0) -> None:
        """Fit the decoder, the units of x and its range to (a sample of) the data windows."""
        super().fit(batch, components, sample, seed)
        index = np.random.default_rng(seed).permutation(len(batch))[:sample]
        data = self.encode(torch.from_numpy(batch.windows[index]))
        self.generator.fit(data, *self.units())

    @abstractmethod
    def units(self) -> tuple[Tensor, Tensor]:
        """Shift and spread (C,) that make x of coordinates, once the decoder is fitted."""

    @abstractmethod
    def loss_weight(self, weight: Tensor) -> Tensor:
        """Weights (C,) of the coordinates from those of a row, ``weight`` (D,)."""
