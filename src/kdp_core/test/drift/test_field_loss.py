"""The loss on the drifted target, and the distances that all fields are made of."""

import numpy as np
import pytest
import torch

from kdp_core.drift import field_loss, loss_weight, raw_magnitude
from kdp_core.drift.common import local_distances, pairwise_distances


def test_loss_weighs_states_and_actions_as_written() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    V = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    want = 0.0
    for b in range(2):
        for t in range(3):
            want += 0.5 * float((V[b, t, :3] ** 2).sum()) + 10.0 * float((V[b, t, 3:] ** 2).sum())
    assert field_loss(x, V, loss_weight(3, 2, 0.5, 10.0)).item() == pytest.approx(want / V.numel())


def test_gradient_moves_samples_along_the_field() -> None:
    x = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(1), requires_grad=True)
    V = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(2))
    field_loss(x, V).backward()
    torch.testing.assert_close(x.grad, -2.0 * V / V.numel())


def test_raw_magnitude_is_the_log_of_the_root_mean_square() -> None:
    assert raw_magnitude(torch.tensor([3.0, -3.0])).item() == pytest.approx(np.log(3.0))
    assert torch.isfinite(raw_magnitude(torch.zeros(2)))


@pytest.mark.parametrize("distances", [pairwise_distances, local_distances])
def test_distances_equal_loops(distances) -> None:
    generator = torch.Generator().manual_seed(3)
    a = torch.randn(2, 4, 40, generator=generator) + 5.0
    b = torch.randn(2, 6, 40, generator=generator) + 5.0
    out = distances(a, b)
    for n in range(2):
        for i in range(4):
            for j in range(6):
                want = np.linalg.norm(a[n, i].double().numpy() - b[n, j].double().numpy())
                assert out[n, i, j].item() == pytest.approx(want, rel=1e-5)


def test_equal_rows_have_distance_zero() -> None:
    a = torch.randn(1, 200, 8, generator=torch.Generator().manual_seed(4)) + 100.0
    assert not pairwise_distances(a, a).diagonal(dim1=1, dim2=2).any()
    assert local_distances(a, a).diagonal(dim1=1, dim2=2).abs().max() < 5e-3
