"""No learning: a fan of straight lines at constant speed, the goal's direction first."""

from __future__ import annotations

import numpy as np

from kdp_core.tasks.flight import flight_spec

SPEED_M_S = 0.62


class StraightFan:
    """K windows of constant velocity in K directions (K = 1: straight to the goal).

    Ranked by the task's costs.
    """

    d_noise = 1

    def __init__(self) -> None:
        self.spec = flight_spec()
        self._times = np.arange(self.spec.horizon)[None, :, None] * self.spec.step_s

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """State (6,), context (124,), noise (K, 1) unused but for its length.

        Returns windows (K, H, 9) and scores (K,), all zero.
        """
        k = len(noise)
        goal = context[:3]
        distance = float(np.hypot(goal[0], goal[1]))
        angles = np.arctan2(goal[1], goal[0]) + np.arange(k) * (2.0 * np.pi / k)
        speed = min(SPEED_M_S, 1.8 * distance)
        horizontal = speed * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        climb = np.full((k, 1), np.clip(1.2 * goal[2], -0.4, 0.4))
        velocity = np.concatenate([horizontal, climb], axis=-1)[:, None, :].repeat(self.spec.horizon, axis=1)
        displacement = velocity * self._times
        reach = np.maximum(distance, 1e-6) / np.maximum(speed, 1e-6)
        displacement = np.where(self._times > reach, velocity * reach, displacement)
        displacement[..., 2] = goal[2] * (1.0 - np.exp(-1.2 * self._times[..., 0]))
        return np.concatenate([displacement, velocity, velocity], axis=-1), np.zeros(k)
