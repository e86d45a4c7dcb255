"""Consistency models (Song et al. 2023, arXiv 2303.01469) as policies (Ding & Jin 2023, arXiv 2309.16984).

They share Diffuser's network, sampler and graph: a few noise levels, each with one evaluation that goes all
the way to a clean sample. Trained without a teacher (consistency training). Input scaling and noise levels
are those of consistency models; the policies' own code has neither.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from kdp_core.baselines.consistency_config import ConsistencyConfig
from kdp_core.baselines.denoising_mlp import DenoisingMlp
from kdp_core.baselines.noise_schedule import SamplerSteps
from kdp_core.baselines.sampler import Denoiser, ManyStepSampler, SampledModel
from kdp_core.generator import NetworkSize
from kdp_core.spec import Spec

SIGMA_DATA = 0.5
"""Standard deviation of the data in the units of x, as published."""
LOSS_SCALE = 100.0
"""Over the difference of two levels: the weight of what is denoised from them, as in the published code."""


def karras_levels(count: int, config: ConsistencyConfig) -> np.ndarray:
    """Noise levels (N,) from the smallest to the largest (arXiv 2303.01469, Sec. 5)."""
    low, high = (end ** (1.0 / config.rho) for end in (config.sigma_min, config.sigma_max))
    levels: np.ndarray = np.linspace(low, high, count) ** config.rho
    return levels


def level_count(share: float, config: ConsistencyConfig) -> int:
    """N, the number of levels after a share of the training (arXiv 2303.01469, App. C)."""
    first, last = config.first_levels, config.last_levels
    count = math.ceil(math.sqrt(share * ((last + 1) ** 2 - first**2) + first**2) - 1) + 1
    return min(max(first, count), last)


def scalings(sigma: Tensor, sigma_min: float) -> tuple[Tensor, Tensor, Tensor]:
    """c_skip, c_out and c_in at noise levels of any shape (arXiv 2303.01469, App. C)."""
    above = sigma - sigma_min
    total = (sigma.square() + SIGMA_DATA**2).sqrt()
    return SIGMA_DATA**2 / (above.square() + SIGMA_DATA**2), SIGMA_DATA * above / total, 1.0 / total


def told_level(sigma: Tensor) -> Tensor:
    """What the network is told of a noise level: 250 ln(sigma), as in OpenAI's consistency models."""
    return 250.0 * sigma.log()


def consistency_steps(config: ConsistencyConfig) -> SamplerSteps:
    """The sampler's steps on u = c_in x, whose variance is about 1 at every level.

    ``signal`` and ``noise`` hold the factors of u and of the network in the clean sample.
    """
    sigma = torch.tensor(config.sample_levels, dtype=torch.float64)
    c_skip, c_out, c_in = scalings(sigma, config.sigma_min)
    added = (sigma[1:].square() - config.sigma_min**2).clamp_min(0.0).sqrt()
    last = torch.zeros(1, dtype=torch.float64)
    return SamplerSteps(
        time=told_level(sigma).numpy(),
        signal=(c_skip / c_in).numpy(),
        noise=c_out.numpy(),
        start=torch.cat([c_in[1:], last + 1.0]).numpy(),
        noisy=np.zeros(len(sigma)),
        sigma=torch.cat([c_in[1:] * added, last]).numpy(),
    )


class Consistency(ManyStepSampler):
    """Training loss and sampler of a consistency model."""

    def __init__(self, network: Denoiser, n: int, config: ConsistencyConfig) -> None:
        super().__init__(network, n, consistency_steps(config), config)
        self.config = config

    def loss(
        self,
        target: Consistency,
        coordinates: Tensor,
        condition: Tensor,
        weight: Tensor,
        share: float,
        rng: torch.Generator,
    ) -> Tensor:
        """Weighted squared difference of the denoised x at neighbouring noise levels, a scalar.

        Without the weight a critic drowns it, as neighbouring levels come to differ little.

        Args:
            target: whose result at the smaller level is taken as given; the averaged weights.
            coordinates: (N, C) of data windows.
            condition: (N, d_condition).
            weight: (C,) of the coordinates.
            share: of the training that is over; levels become more with it.
            rng: source of levels and noise.
        """
        levels = torch.from_numpy(karras_levels(level_count(share, self.config), self.config)).float()
        start = ((coordinates - self.shift) / self.spread).unsqueeze(1)
        index = torch.randint(len(levels) - 1, (len(start),), generator=rng)
        noise = torch.randn(start.shape, generator=rng)
        with torch.no_grad():
            wanted = target.denoised(start, noise, levels[index], condition)
        found = self.denoised(start, noise, levels[index + 1], condition)
        apart = (levels[index + 1] - levels[index])[:, None, None]
        return (LOSS_SCALE / apart * weight * (found - wanted).square()).mean()

    def denoised(self, start: Tensor, noise: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        """f(x + sigma noise, sigma): x and noise (N, G, C), sigma (N,), condition (N, d) -> (N, G, C)."""
        sigma = sigma[:, None, None]
        c_skip, c_out, c_in = scalings(sigma, self.config.sigma_min)
        noisy = start + sigma * noise
        told = self.network.time(told_level(sigma[:, :, 0]))
        encoded = self.network.encode(condition).unsqueeze(1)
        return c_skip * noisy + c_out * self.network(c_in * noisy, told, encoded)

    def clean(self, x: Tensor, time: Tensor, encoded: Tensor, signal: float, noise: float) -> Tensor:
        """Clean x (…, G, C) from u = c_in x and the embedded level; factors as in ``consistency_steps``."""
        return signal * x + noise * self.network(x, time, encoded)


class ConsistencyModel(SampledModel):
    """A planner whose windows come from ``Consistency``."""

    generator: Consistency

    def __init__(self, spec: Spec, size: NetworkSize, components: int, config: ConsistencyConfig) -> None:
        super().__init__(spec, size, components)
        self.config = config
        network = DenoisingMlp(len(self.condition_mean), self.d_coordinates, size)
        self.generator = Consistency(network, self.d_coordinates, config)

    def units(self) -> tuple[Tensor, Tensor]:
        """Those in which each component has the published spread."""
        spread = self.scorer.spread
        return torch.zeros_like(spread), spread / SIGMA_DATA

    def loss_weight(self, weight: Tensor) -> Tensor:
        """Weights (C,) of the coordinates from those of a row, ``weight`` (D,)."""
        grid = weight.expand(self.spec.horizon, -1)
        out: Tensor = self.basis.square() @ grid[~self.clamped]
        return out
