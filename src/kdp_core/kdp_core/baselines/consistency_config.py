"""Settings of consistency policies (Ding & Jin 2023, arXiv 2309.16984); defaults: the publication's."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from kdp_core.exceptions import ConfigError
from kdp_core.ranges import at_least, positive

PREFIX = "train.consistency."
SAMPLING = ("sample_levels", "temperature", "clip_denoised")
"""Fields that the trained weights do not depend on, unless critics learn from samples."""


@dataclass(frozen=True)
class ConsistencyConfig:
    """How the model is trained and sampled. Noise levels count in units in which the data's spread is 0.5."""

    sigma_min: float = 0.002
    """Smallest noise level, where the model is the identity."""
    sigma_max: float = 80.0
    """Largest noise level, where sampling begins."""
    first_levels: int = 2
    """Noise levels at the start of training; neighbouring ones are made consistent."""
    last_levels: int = 150
    """Noise levels at its end."""
    rho: float = 7.0
    """How much closer small levels lie together (arXiv 2206.00364, Eq. 5)."""
    sample_levels: tuple[float, ...] = (80.0, 2.0)
    """Levels that a sample is denoised from, one network evaluation each; without critics, this and what
    follows can be changed without training anew."""
    temperature: float = 1.0
    """Scale of all noise that a sample takes."""
    clip_denoised: bool = True
    """Keep denoised windows within the range of the data."""

    def __post_init__(self) -> None:
        positive(self, "sigma_min", "sigma_max", "rho", prefix=PREFIX)
        at_least(self, 2, "first_levels", "last_levels", prefix=PREFIX)
        at_least(self, 0, "temperature", prefix=PREFIX)
        if self.sigma_min >= self.sigma_max:
            raise ConfigError(
                f"{PREFIX}sigma_min must be smaller than sigma_max {self.sigma_max}, got {self.sigma_min}"
            )
        if self.first_levels > self.last_levels:
            raise ConfigError(
                f"{PREFIX}first_levels must be at most last_levels {self.last_levels}, "
                f"got {self.first_levels}"
            )
        levels = self.sample_levels
        falling = all(a > b for a, b in pairwise(levels))
        if not levels or not falling or levels[0] != self.sigma_max or levels[-1] < self.sigma_min:
            raise ConfigError(
                f"{PREFIX}sample_levels must fall from sigma_max {self.sigma_max} to sigma_min or more, "
                f"got {list(levels)}"
            )

    @property
    def nfe(self) -> int:
        """Network evaluations in sequence for one sample."""
        return len(self.sample_levels)
