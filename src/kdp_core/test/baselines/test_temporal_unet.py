"""The U-Net's shapes, what it sees of a window, and that clamped entries come from the condition."""

import pytest
import torch
from torch import nn

from kdp_core.baselines.diffuser_config import UnetSize
from kdp_core.baselines.temporal_unet import Mish, TemporalUnet
from kdp_core.clamp import clamp_mask
from kdp_core.exceptions import ConfigError

SMALL = UnetSize(width=8, multipliers=(1, 2), groups=4)


def unet(horizon: int = 8, size: UnetSize = SMALL) -> TemporalUnet:
    """Two state and one action channel, the state of row 0 clamped, a condition of four numbers."""
    torch.manual_seed(0)
    clamped = clamp_mask(horizon, 2, 1)
    source = torch.full((horizon, 3), -1)
    source[0, :2] = torch.tensor([0, 1])
    return TemporalUnet(clamped, source, 4, size)


@pytest.mark.parametrize("shape", [(5,), (3, 1), (3, 5)])
@pytest.mark.parametrize("conditioning", ["concat", "film"])
def test_shapes(shape: tuple[int, ...], conditioning: str) -> None:
    network = unet(size=UnetSize(width=8, multipliers=(1, 2), groups=4, conditioning=conditioning))
    x, condition = torch.randn(*shape, 22), torch.randn(*shape[:-1] or (1,), 4)
    told = network.time(torch.full((1,), 3))
    encoded = network.encode(condition)
    out = network(x, told, encoded if len(shape) == 1 else encoded.unsqueeze(-2))
    assert out.shape == x.shape
    alone = network(x[..., :1, :], told, encoded if len(shape) == 1 else encoded.unsqueeze(-2))
    torch.testing.assert_close(out[..., :1, :], alone)


def test_clamped_entries_are_taken_from_the_condition_and_never_given_back() -> None:
    network = unet()
    seen: list[torch.Tensor] = []
    network.denoise = lambda h, told: seen.append(h) or h  # the window as the convolutions get it
    x, condition = torch.arange(22.0)[None], torch.tensor([[101.0, 102.0, 103.0, 104.0]])
    out = network(x, torch.zeros(1, 8), network.encode(condition))
    window = torch.cat([torch.tensor([101.0, 102.0]), torch.arange(22.0)]).view(8, 3)
    assert torch.equal(seen[0][0].T, window)
    assert torch.equal(out, x)


def reach(network: TemporalUnet, horizon: int, row: int) -> list[int]:
    """Rows of the input that row ``row`` of the output depends on."""
    for module in network.modules():  # normalisation over rows would connect all of them
        if isinstance(module, nn.GroupNorm):
            module.forward = lambda h: h
    h = torch.randn(1, 3, horizon, requires_grad=True)
    network.denoise(h, torch.randn(1, 16))[0, :, row].sum().backward()
    return torch.nonzero(h.grad[0].abs().sum(dim=0)).flatten().tolist()


def test_receptive_field_of_one_level_is_that_of_its_convolutions() -> None:
    """Two blocks down and two in the middle with two convolutions each, one more at the end, kernel 3."""
    one = UnetSize(width=8, multipliers=(1,), kernel=3, groups=4)
    assert reach(unet(64, one), 64, 30) == list(range(30 - 9, 30 + 9 + 1))


def test_levels_widen_the_receptive_field() -> None:
    rows = reach(unet(64, UnetSize(width=8, multipliers=(1, 2), kernel=3, groups=4)), 64, 30)
    assert rows == list(range(rows[0], rows[-1] + 1))
    assert len(rows) > 2 * 19


def test_published_size_has_four_million_weights() -> None:
    clamped = clamp_mask(32, 11, 3)
    source = torch.zeros(32, 14, dtype=torch.long)
    count = sum(p.numel() for p in TemporalUnet(clamped, source, 11, UnetSize()).parameters())
    assert 3.9e6 < count < 4.2e6


def test_both_forms_of_mish_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.linspace(-60.0, 60.0, 4001, dtype=torch.float64)
    expected = x * torch.tanh(torch.log1p(torch.exp(x.clamp(max=50.0)) + 0.0))
    torch.testing.assert_close(Mish()(x), expected)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(Mish()(x), expected, atol=1e-13, rtol=1e-9)
    torch.testing.assert_close(Mish()(x.float()), expected.float(), atol=5e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ({"multipliers": ()}, "unet.multipliers must be one or more numbers"),
        ({"kernel": 4}, "unet.kernel must be odd, got 4"),
        ({"width": 12}, "must be a multiple of unet.groups 8, got 12 x 1"),
        ({"width": 0}, "train.diffuser.unet.width must be at least 1"),
    ],
)
def test_impossible_sizes(size: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        UnetSize(**size)


def test_rows_must_halve_evenly() -> None:
    with pytest.raises(ConfigError, match=r"horizon must be a multiple of 2 for 2 levels .* got 7"):
        unet(horizon=7)
