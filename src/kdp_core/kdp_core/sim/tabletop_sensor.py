"""What a robot would measure of the simulated scene: servo ticks and noisy cube poses."""

from __future__ import annotations

import numpy as np

from kdp_core.sim.so100 import So100Scene
from kdp_core.sim.tabletop_options import SensorNoise

TICK_RAD = 2.0 * np.pi / 4096


def measure(
    simulator: So100Scene, goal: np.ndarray, noise: SensorNoise, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The inputs of the tabletop tasks, measured now."""
    cubes = simulator.cube_poses
    n = len(cubes)
    cubes[:, :3] += noise.cube_m * rng.standard_normal((n, 3))
    half = 0.5 * noise.cube_rad * rng.standard_normal((n, 3))
    v, w = cubes[:, 3:6].copy(), cubes[:, 6:].copy()
    cubes[:, 3:6] = v + w * half + np.cross(half, v)
    cubes[:, 6:] = w - (v * half).sum(axis=1, keepdims=True)
    cubes[:, 3:] /= np.linalg.norm(cubes[:, 3:], axis=1, keepdims=True)
    joints = simulator.joints + noise.joint_ticks * TICK_RAD * rng.standard_normal(6)
    return {"joints": joints, "cubes": cubes, "goal": goal.copy()}
