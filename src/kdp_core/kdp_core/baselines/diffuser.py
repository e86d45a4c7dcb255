"""Diffuser (Janner et al. 2022, arXiv 2205.09991) behind the interfaces of the one-step planner.

``Diffuser`` stands where the generator stands: noise and condition to coordinates of windows, only that it
calls its network S times. Windows, normaliser, condition, scorer, artifact and planner are the same. What
differs from the publication: the whole condition is told to the network (theirs knows nothing but inpainted
entries), and of K samples the best scored is taken instead of guiding the samples by the value's gradient.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from kdp_core.baselines.denoising_mlp import DenoisingMlp
from kdp_core.baselines.diffuser_config import DiffuserConfig
from kdp_core.baselines.noise_schedule import NoiseSchedule, sampler_steps
from kdp_core.baselines.temporal_unet import TemporalUnet
from kdp_core.exceptions import ConfigError
from kdp_core.generator import NetworkSize
from kdp_core.model import KdpModel
from kdp_core.spec import Spec
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


class Diffuser(nn.Module):
    """Training loss and sampler of a denoiser. It diffuses x = (coordinates - shift) / spread.

    A sample's noise (d_noise,) holds the first noise and then that of every noisy step, so it is reproducible
    from one array as the one-step planner is.
    """

    shift: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor
    abar: Tensor

    def __init__(self, network: Denoiser, n: int, config: DiffuserConfig) -> None:
        super().__init__()
        self.network = network
        self.config = config
        schedule = NoiseSchedule.cosine(config.diffusion_steps)
        self.steps = sampler_steps(schedule, config.nfe, config.noise_of_steps)
        self.nfe = config.nfe
        self.d_noise = self.steps.draws * n
        self.n = n
        self.register_buffer("abar", torch.from_numpy(schedule.abar).float(), persistent=False)
        self._make_buffers(n)

    def _make_buffers(self, n: int) -> None:
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

    def noised(self, start: Tensor, time: Tensor, noise: Tensor) -> Tensor:
        """Sample q(x_t | x_0): x_0 and noise (N, G, C), t (N,) -> (N, G, C)."""
        abar = self.abar[time][:, None, None]
        return abar.sqrt() * start + (1.0 - abar).sqrt() * noise

    def loss(self, coordinates: Tensor, condition: Tensor, weight: Tensor, rng: torch.Generator) -> Tensor:
        """Weighted squared error of the prediction at random noise levels, a scalar.

        Coordinates of data windows (N, C), condition (N, d_condition), weight (C,).
        """
        start = ((coordinates - self.shift) / self.spread).unsqueeze(1)
        time = torch.randint(len(self.abar), (len(start),), generator=rng)
        noise = torch.randn(start.shape, generator=rng)
        told = self.network.time(time).unsqueeze(1)
        encoded = self.network.encode(condition).unsqueeze(1)
        predicted = self.network(self.noised(start, time, noise), told, encoded)
        target = start if self.config.predict == "x0" else noise
        return (weight * (predicted - target).square()).mean()

    def predict_start(self, x: Tensor, time: Tensor, encoded: Tensor, signal: float, noise: float) -> Tensor:
        """Predicted x_0 (…, G, C) from x_t = signal x_0 + noise e and the embedded t."""
        predicted: Tensor = self.network(x, time, encoded)
        if self.config.predict == "epsilon":
            predicted = (x - noise * predicted) / signal
        if self.config.clip_denoised:
            predicted = torch.clamp(predicted, self.low, self.high)
        return predicted

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
        x, drawn = self.config.temperature * noise[..., :n], 1
        for i in range(len(table.time)):
            start = self.predict_start(
                x, told[i : i + 1], encoded, float(table.signal[i]), float(table.noise[i])
            )
            x = float(table.start[i]) * start + float(table.noisy[i]) * x
            if table.sigma[i] > 0.0:
                fresh = noise[..., drawn * n : (drawn + 1) * n]
                x, drawn = x + float(table.sigma[i]) * self.config.temperature * fresh, drawn + 1
        return x * self.spread + self.shift


class DiffuserModel(KdpModel):
    """A planner whose windows come from ``Diffuser``."""

    generator: Diffuser  # type: ignore[assignment]

    def __init__(self, spec: Spec, size: NetworkSize, components: int, config: DiffuserConfig) -> None:
        if config.network == "unet" and components:
            raise ConfigError(
                "train.components must be 0 for train.diffuser.network 'unet', which works on the windows "
                f"themselves, got {components}"
            )
        super().__init__(spec, size, components)
        self.config = config
        d_condition, n = len(self.condition_mean), self.d_coordinates
        network: Denoiser
        if config.network == "mlp":
            network = DenoisingMlp(d_condition, n, size)
        else:
            network = TemporalUnet(self.clamped, self._sources(), d_condition, config.unet)
        self.generator = Diffuser(network, n, config)

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

    def _sources(self) -> Tensor:
        """Which entry of the condition (H, D) fixes each clamped entry of a window; -1 where it is free."""
        spec = self.spec
        sources = torch.full(self.clamped.shape, -1)
        if self.goal_columns:
            at = spec.d_state + spec.d_context
            sources[spec.goal.step, self.goal_columns] = torch.arange(at, at + spec.d_goal)
        sources[0, : spec.d_state] = torch.arange(spec.d_state)
        return sources

    def fit(self, batch: WindowBatch, components: int, sample: int = 20000, seed: int = 0) -> None:
        """Fit the decoder, the units of the diffusion and its range to (a sample of) the data windows."""
        super().fit(batch, components, sample, seed)
        index = np.random.default_rng(seed).permutation(len(batch))[:sample]
        self._fit_units(self.encode(torch.from_numpy(batch.windows[index])))

    def _fit_units(self, data: Tensor) -> None:
        """Units of x and its range from the data's coordinates (N, C)."""
        spread = self.scorer.spread
        if self.config.network == "unet":  # the normaliser's units, as published
            self.generator.fit(data, -self.mean, torch.ones_like(spread))
        else:  # unit variance in each component
            self.generator.fit(data, torch.zeros_like(spread), spread)

    def loss_weight(self, weight: Tensor) -> Tensor:
        """Weights (C,) of the coordinates: ``weight`` (D,) of a row, discounted, with the first action's own.

        As published; in the decoder's coordinates the diagonal of the projected weight.
        """
        spec, config = self.spec, self.config
        discount = config.discount ** torch.arange(spec.horizon)
        grid = (discount / discount.mean())[:, None] * weight
        grid[0, spec.d_state :] *= config.first_action_weight / discount[0] * discount.mean()
        out: Tensor = self.basis.square() @ grid[~self.clamped]
        return out
