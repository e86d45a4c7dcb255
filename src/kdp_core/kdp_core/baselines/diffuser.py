"""Diffuser (Janner et al. 2022, arXiv 2205.09991) behind the interfaces of the one-step planner.

``Diffuser`` stands where the generator stands: noise and condition to coordinates of windows, only that it
calls its network S times. Windows, normaliser, condition, scorer, artifact and planner are the same. What
differs from the publication: the whole condition is told to the network (theirs knows nothing but inpainted
entries), and of K samples the best scored is taken instead of guiding the samples by the value's gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdp_core.baselines.denoising_mlp import DenoisingMlp
from kdp_core.baselines.diffuser_config import DiffuserConfig
from kdp_core.baselines.noise_schedule import NoiseSchedule, sampler_steps
from kdp_core.baselines.sampler import Denoiser, ManyStepSampler, SampledModel
from kdp_core.baselines.temporal_unet import TemporalUnet
from kdp_core.exceptions import ConfigError
from kdp_core.generator import NetworkSize
from kdp_core.spec import Spec


class Diffuser(ManyStepSampler):
    """Training loss and sampler of a denoiser; ``x`` is diffused."""

    abar: Tensor

    def __init__(self, network: Denoiser, n: int, config: DiffuserConfig) -> None:
        schedule = NoiseSchedule.cosine(config.diffusion_steps)
        super().__init__(network, n, sampler_steps(schedule, config.nfe, config.noise_of_steps), config)
        self.config = config
        self.register_buffer("abar", torch.from_numpy(schedule.abar).float(), persistent=False)

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

    def clean(self, x: Tensor, time: Tensor, encoded: Tensor, signal: float, noise: float) -> Tensor:
        """Predicted x_0 (…, G, C) from x_t = signal x_0 + noise e and the embedded t."""
        predicted: Tensor = self.network(x, time, encoded)
        return (x - noise * predicted) / signal if self.config.predict == "epsilon" else predicted


class DiffuserModel(SampledModel):
    """A planner whose windows come from ``Diffuser``."""

    generator: Diffuser

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

    def _sources(self) -> Tensor:
        """Which entry of the condition (H, D) fixes each clamped entry of a window; -1 where it is free."""
        spec = self.spec
        sources = torch.full(self.clamped.shape, -1)
        if self.goal_columns:
            at = spec.d_state + spec.d_context
            sources[spec.goal.step, self.goal_columns] = torch.arange(at, at + spec.d_goal)
        sources[0, : spec.d_state] = torch.arange(spec.d_state)
        return sources

    def units(self) -> tuple[Tensor, Tensor]:
        """The normaliser's for the U-Net, as published, else unit variance in each component."""
        spread = self.scorer.spread
        if self.config.network == "unet":
            return -self.mean, torch.ones_like(spread)
        return torch.zeros_like(spread), spread

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
