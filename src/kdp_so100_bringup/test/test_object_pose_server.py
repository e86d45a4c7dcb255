"""What plays perception: noise of the size that is asked for, orientations that stay rotations."""

import numpy as np

from kdp_so100_bringup.object_pose_server import noisy


def test_noise_has_its_size_and_no_bias():
    rng = np.random.default_rng(0)
    poses = np.tile([0.2, -0.1, 0.015, 0.0, 0.0, np.sin(0.4), np.cos(0.4)], (20_000, 1))
    seen = noisy(poses, 0.002, 0.02, rng)
    error = seen[:, :3] - poses[:, :3]
    np.testing.assert_allclose(error.std(axis=0), 0.002, rtol=0.03)
    np.testing.assert_allclose(error.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(seen[:, 3:], axis=1), 1.0, atol=1e-12)
    cosine = np.abs((seen[:, 3:] * poses[:, 3:]).sum(axis=1)).clip(0, 1)
    angle = 2 * np.arccos(cosine)
    np.testing.assert_allclose(np.sqrt((angle**2).mean() / 3), 0.02, rtol=0.03)


def test_without_noise_it_is_the_truth():
    poses = np.array([[0.2, -0.1, 0.015, 0.5, -0.5, 0.5, 0.5]])
    np.testing.assert_allclose(noisy(poses, 0.0, 0.0, np.random.default_rng(0)), poses, atol=1e-12)
