"""Weights of the loss in coordinates, against what they are entry by entry."""

import numpy as np
import torch

from kdp_core.drift_step import coordinate_weight
from kdp_core.generator import NetworkSize
from kdp_core.model import KdpModel
from kdp_core.spec import Spec
from kdp_core.windows import WindowBatch


def test_actions_and_the_first_of_them_have_weights_of_their_own(
    fitted_spec: Spec, small_batch: WindowBatch
) -> None:
    """H = 5 rows of three states and two actions; the first state and the last position are clamped."""
    model = KdpModel(fitted_spec, NetworkSize(d_noise=4, width=8, blocks=1), 0)
    model.fit(small_batch, 0)
    state, action = [1.0] * 3, [2.0] * 2
    expected = [20.0, 20.0, *(state + action) * 3, 1.0, *action]
    np.testing.assert_allclose(coordinate_weight(model, 2.0, 10.0).numpy(), expected)
    assert torch.equal(coordinate_weight(model, 1.0), torch.ones(model.d_coordinates))
