"""One deterministic plan, rotated about the vertical: candidates without a generative model."""

from __future__ import annotations

import numpy as np

from kdp_core.planner import WindowSource

LARGEST_TURN_RAD = 1.2


class RotatedMean:
    """K copies of a planner's zero-noise window, turned by angles up to +-1.2 rad.

    The first is not turned.
    """

    d_noise = 1

    def __init__(self, planner: WindowSource) -> None:
        self.spec = planner.spec
        self._planner = planner

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As ``Planner.propose``; noise (K, 1) only says how many."""
        k = len(noise)
        window = self._planner.propose(state, context, np.zeros((1, self._planner.d_noise), np.float32))[0][0]
        angles = (
            np.concatenate([[0.0], np.linspace(-LARGEST_TURN_RAD, LARGEST_TURN_RAD, k - 1)])
            if k > 1
            else np.zeros(1)
        )
        c, s = np.cos(angles), np.sin(angles)
        turn = np.stack(
            [
                np.stack([c, -s, 0 * c], -1),
                np.stack([s, c, 0 * c], -1),
                np.stack([0 * c, 0 * c, 1 + 0 * c], -1),
            ],
            -2,
        )
        rows = window.reshape(len(window), -1, 3)
        turned = np.einsum("kij,hcj->khci", turn, rows).reshape(k, *window.shape)
        return turned, np.zeros(k)
