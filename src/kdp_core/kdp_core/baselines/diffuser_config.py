"""Settings of the baseline Diffuser (Janner et al. 2022, arXiv 2205.09991); defaults: its locomotion ones."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as setting
from typing import Literal

from kdp_core.exceptions import ConfigError
from kdp_core.ranges import at_least, positive, within

PREFIX = "train.diffuser."
SAMPLING = ("sampler", "sample_steps", "eta", "temperature", "clip_denoised")
"""Fields that the trained weights do not depend on, unless critics learn from samples."""


@dataclass(frozen=True)
class UnetSize:
    """Sizes of the temporal U-Net."""

    width: int = 32
    """Channels of the first level."""
    multipliers: tuple[int, ...] = (1, 2, 4, 8)
    """Channels of each level over ``width``; each level but the last halves the window's rows."""
    kernel: int = 5
    """Rows that a convolution sees."""
    groups: int = 8
    """Groups of the normalisation."""
    conditioning: Literal["concat", "film"] = "concat"
    """How the embedded condition enters a block: beside the time embedding and added, or scale and shift."""

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "kernel", "groups", prefix=f"{PREFIX}unet.")
        if not self.multipliers or min(self.multipliers) < 1:
            raise ConfigError(
                f"{PREFIX}unet.multipliers must be one or more numbers of at least 1, "
                f"got {list(self.multipliers)}"
            )
        if self.kernel % 2 == 0:
            raise ConfigError(f"{PREFIX}unet.kernel must be odd, got {self.kernel}")
        for level in self.multipliers:
            if self.width * level % self.groups:
                raise ConfigError(
                    f"{PREFIX}unet.width times each multiplier must be a multiple of unet.groups "
                    f"{self.groups}, got {self.width} x {level}"
                )

    @property
    def rows_multiple(self) -> int:
        """What a window's rows must be a multiple of."""
        return int(2 ** (len(self.multipliers) - 1))


@dataclass(frozen=True)
class DiffuserConfig:
    """How the diffusion model is trained and sampled."""

    network: Literal["unet", "mlp"] = "unet"
    """`unet`: Diffuser's own, on windows; `mlp`: our generator's, on the decoder's coordinates."""
    diffusion_steps: int = 20
    """T, noise levels (cosine schedule)."""
    predict: Literal["x0", "epsilon"] = "x0"
    """What the network gives: the clean window or the noise."""
    first_action_weight: float = 10.0
    """Loss weight of the window's first action, over the others' (Diffuser's action_weight)."""
    discount: float = 1.0
    """Loss weight of row t is discount^t over its mean."""
    unet: UnetSize = setting(default_factory=UnetSize)
    """Sizes of the U-Net; the MLP takes those of train.network."""
    sampler: Literal["ddpm", "ddim"] = "ddpm"
    """How samples are drawn; without critics, this and what follows can be changed without training anew."""
    sample_steps: int = 0
    """S, network evaluations per sample (NFE); 0: all T."""
    eta: float = 0.0
    """Noise of ddim's steps: 0 deterministic, 1 as ddpm."""
    temperature: float = 1.0
    """Scale of all noise that a sample takes."""
    clip_denoised: bool = True
    """Keep predicted clean windows within the range of the data."""

    def __post_init__(self) -> None:
        at_least(self, 1, "diffusion_steps", prefix=PREFIX)
        within(self, 0, self.diffusion_steps, "sample_steps", prefix=PREFIX)
        within(self, 0, 1, "eta", prefix=PREFIX)
        at_least(self, 0, "temperature", prefix=PREFIX)
        positive(self, "first_action_weight", "discount", prefix=PREFIX)

    @property
    def nfe(self) -> int:
        """Network evaluations in sequence for one sample."""
        return self.sample_steps or self.diffusion_steps

    @property
    def noise_of_steps(self) -> float:
        """DDIM's eta; 1 gives DDPM."""
        return 1.0 if self.sampler == "ddpm" else self.eta
