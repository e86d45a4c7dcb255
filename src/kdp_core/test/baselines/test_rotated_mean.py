"""Rotated copies of one window against SciPy's rotations."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kdp_core.baselines.rotated_mean import LARGEST_TURN_RAD, RotatedMean
from kdp_core.tasks.flight import flight_spec


class Source:
    d_noise = 7

    def __init__(self) -> None:
        self.spec = flight_spec()
        self.window = np.random.default_rng(0).normal(size=(32, 9))
        self.noise = np.ones((0, 0))

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        self.noise = noise
        return self.window[None], np.array([3.0])


@pytest.mark.parametrize("k", [1, 2, 6])
def test_against_scipy(k: int) -> None:
    source = Source()
    windows, scores = RotatedMean(source).propose(np.zeros(6), np.zeros(124), np.zeros((k, 1)))
    assert source.noise.shape == (1, 7) and (source.noise == 0).all()
    assert windows.shape == (k, 32, 9) and (scores == 0).all()
    angles = [0.0, *np.linspace(-LARGEST_TURN_RAD, LARGEST_TURN_RAD, k - 1)][:k]
    for window, angle in zip(windows, angles, strict=True):
        turn = Rotation.from_euler("z", angle)
        for part in (slice(0, 3), slice(3, 6), slice(6, 9)):
            np.testing.assert_allclose(window[:, part], turn.apply(source.window[:, part]), atol=1e-12)
