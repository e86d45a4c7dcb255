"""Regression: x + V is the weighted mean of the neighbours, whatever the sample."""

import numpy as np
import pytest
import torch

from kdp_core.drift import mean_field


@pytest.mark.parametrize("garbage", [0.0, float("nan")])
def test_drifted_samples_are_the_weighted_mean(garbage: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64)
    y = torch.randn(3, 6, 5, generator=generator, dtype=torch.float64)
    weights = torch.rand(3, 6, generator=generator, dtype=torch.float64)
    weights[:, 5] = 0.0  # padding
    y[:, 5] = garbage
    diagnostics: dict[str, torch.Tensor] = {}
    V = mean_field(x, y, weights, diagnostics)
    for n in range(3):
        mean = np.average(y[n, :5].numpy(), axis=0, weights=weights[n, :5].numpy())
        for g in range(4):
            np.testing.assert_allclose((x[n, g] + V[n, g]).numpy(), mean)
    assert diagnostics["raw_magnitude"].item() == pytest.approx(np.log(np.sqrt((V.numpy() ** 2).mean())))
