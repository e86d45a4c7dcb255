"""The two-mode toy's networks: a one-step generator, and the same layers as a diffusion model."""

import torch
from torch import Tensor, nn

from kdp_core.baselines.denoising_mlp import TimeEmbedding
from kdp_core.baselines.diffuser import Diffuser
from kdp_core.baselines.diffuser_config import DiffuserConfig

LATENT, WIDTH = 8, 128


def three_layers(d_in: int) -> nn.Module:
    """Return an MLP 3 x 128 to the plane."""
    layers: list[nn.Module] = []
    for width in (d_in, WIDTH, WIDTH):
        layers += [nn.Linear(width, WIDTH), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 2))


class Generator(nn.Module):
    """MLP 3 x 128 from noise (..., 8) and condition (..., 4) to a point (..., 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = three_layers(LATENT + 4)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Return one point for each pair of noise and condition."""
        return self.net(torch.cat([z, c], dim=-1))


class ToyDenoiser(nn.Module):
    """MLP 3 x 128 from noisy point (..., 2), embedded time (..., 16) and condition (..., 4) to a point."""

    def __init__(self) -> None:
        super().__init__()
        self.time = TimeEmbedding(16, 16)
        self.net = three_layers(2 + 16 + 4)

    def encode(self, condition: Tensor) -> Tensor:
        """The condition as it is."""
        return condition

    def forward(self, x: Tensor, time: Tensor, encoded: Tensor) -> Tensor:
        """Return the predicted point without noise, (..., 2)."""
        rows = x.shape[:-1]
        return self.net(torch.cat([x, time.expand(*rows, -1), encoded.expand(*rows, -1)], dim=-1))


class ToyDiffuser(nn.Module):
    """Diffusion in 20 steps with the interface of ``Generator``; ``latent`` numbers hold all its noise.

    It predicts the noise: predicting the point itself, as Diffuser does, ended at an energy distance of 0.038
    instead of 0.004.
    """

    def __init__(self, point: Tensor) -> None:
        super().__init__()
        self.diffuser = Diffuser(ToyDenoiser(), 2, DiffuserConfig(predict="epsilon"))
        self.diffuser.fit(point, point.mean(dim=0), point.std(dim=0))
        self.latent = self.diffuser.d_noise

    def loss(self, c: Tensor, point: Tensor) -> Tensor:
        """Return the denoising loss of conditions (n, 4) with one point each, (n, 2)."""
        return self.diffuser.loss(point, c, torch.ones(2), torch.default_generator)

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Return one point for each pair of noise and condition."""
        return self.diffuser.sample(z, c)
