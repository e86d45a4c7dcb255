"""The Gaussian diffusion of Diffuser as tables in float64: noising, posterior, and the steps of a sampler.

Time t = 0 … T-1 is the index of a noise level: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) e, e ~ N(0, I)
(Ho et al. 2020, arXiv 2006.11239, Eq. 4). No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OFFSET = 0.008
LARGEST_BETA = 0.999


def cosine_betas(steps: int) -> np.ndarray:
    """Variances beta_t (T,) of the cosine schedule (Nichol & Dhariwal 2021, arXiv 2102.09672, Eq. 17)."""
    share = np.linspace(0.0, 1.0, steps + 1)
    level = np.cos((share + OFFSET) / (1.0 + OFFSET) * np.pi / 2.0) ** 2
    betas: np.ndarray = np.clip(1.0 - level[1:] / level[:-1], 0.0, LARGEST_BETA)
    return betas


@dataclass(frozen=True)
class NoiseSchedule:
    """A diffusion of T steps by its variances ``betas`` (T,)."""

    betas: np.ndarray

    @classmethod
    def cosine(cls, steps: int) -> NoiseSchedule:
        """The schedule that Diffuser uses."""
        return cls(cosine_betas(steps))

    @property
    def steps(self) -> int:
        """T."""
        return len(self.betas)

    @property
    def abar(self) -> np.ndarray:
        """Share of the signal's variance left at each step, (T,)."""
        shares: np.ndarray = np.cumprod(1.0 - self.betas)
        return shares

    @property
    def abar_previous(self) -> np.ndarray:
        """``abar`` one step earlier, 1 before the first, (T,)."""
        return np.concatenate([[1.0], self.abar[:-1]])

    def posterior(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of q(x_{t-1} | x_t, x_0): factors of x_0 and x_t in the mean, and the variance, (T,) each.

        arXiv 2006.11239, Eq. 6 and 7.
        """
        left = 1.0 - self.abar
        of_start = np.sqrt(self.abar_previous) * self.betas / left
        of_noisy = np.sqrt(1.0 - self.betas) * (1.0 - self.abar_previous) / left
        return of_start, of_noisy, self.betas * (1.0 - self.abar_previous) / left


@dataclass(frozen=True)
class SamplerSteps:
    """S steps from noise to data: x <- start x_0 + noisy x + sigma e, arrays (S,), first step first.

    ``time`` is the noise level that the network is told; ``signal`` and ``noise`` are sqrt(abar) and
    sqrt(1 - abar) there. The last sigma is 0.
    """

    time: np.ndarray
    signal: np.ndarray
    noise: np.ndarray
    start: np.ndarray
    noisy: np.ndarray
    sigma: np.ndarray

    @property
    def draws(self) -> int:
        """Independent normal vectors that one sample takes: the first noise and one per noisy step."""
        return 1 + int(np.count_nonzero(self.sigma))


def sampler_steps(schedule: NoiseSchedule, steps: int, eta: float) -> SamplerSteps:
    """The steps of DDIM (Song et al. 2021, arXiv 2010.02502, Eq. 12 and 16) on S of the T noise levels.

    ``eta`` 0 is deterministic; 1 with S = T is DDPM with the posterior's variance. Levels are evenly spaced,
    the noisiest always among them.
    """
    time = np.rint(np.linspace(schedule.steps - 1, 0, steps)).astype(np.int64)
    here = schedule.abar[time]
    after = np.append(schedule.abar[time[1:]], 1.0)
    variance = eta**2 * (1.0 - after) / (1.0 - here) * (1.0 - here / after)
    noisy = np.sqrt(np.maximum(1.0 - after - variance, 0.0) / (1.0 - here))
    return SamplerSteps(
        time=time,
        signal=np.sqrt(here),
        noise=np.sqrt(1.0 - here),
        start=np.sqrt(after) - noisy * np.sqrt(here),
        noisy=noisy,
        sigma=np.sqrt(variance),
    )
