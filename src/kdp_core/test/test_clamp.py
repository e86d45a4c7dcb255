"""The clamp fixes exactly the entries of Eq. 6 and 7 and passes gradients to the others only."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kdp_core.clamp import clamp, clamp_mask, clamp_values
from kdp_core.exceptions import ConfigError


@given(st.integers(2, 9), st.integers(1, 5), st.integers(1, 4), st.data())
def test_mask_marks_first_state_and_goal_channels(horizon: int, d_state: int, d_action: int, data) -> None:
    channels = data.draw(st.lists(st.integers(0, d_state - 1), unique=True))
    step = data.draw(st.integers(1, horizon - 1))
    mask = clamp_mask(horizon, d_state, d_action, goal_channels=channels, goal_step=step)
    expected = {(0, i) for i in range(d_state)} | {(step, i) for i in channels}
    assert {tuple(entry) for entry in mask.nonzero().tolist()} == expected
    assert torch.equal(
        mask, clamp_mask(horizon, d_state, d_action, goal_channels=channels, goal_step=step - horizon)
    )


def test_mask_without_condition_is_free() -> None:
    assert not clamp_mask(4, 3, 2, state_at_first=False).any()


def test_clamped_window_holds_state_and_goal_and_keeps_the_rest() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 3, 4, 6, generator=generator)  # N, G, H, D with 4 states and 2 actions
    state, goal = torch.randn(5, 1, 4, generator=generator), torch.randn(5, 1, 2, generator=generator)
    mask = clamp_mask(4, 4, 2, goal_channels=(2, 0))
    out = clamp(x, clamp_values(4, 2, state, goal, (2, 0)), mask)
    for n in range(5):
        for g in range(3):
            for t in range(4):
                for d in range(6):
                    want = x[n, g, t, d]
                    if t == 0 and d < 4:
                        want = state[n, 0, d]
                    if t == 3 and d == 2:
                        want = goal[n, 0, 0]
                    if t == 3 and d == 0:
                        want = goal[n, 0, 1]
                    assert out[n, g, t, d] == want


def test_clamp_is_idempotent_and_stops_gradients_at_clamped_entries() -> None:
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    mask = clamp_mask(4, 2, 1)
    values = clamp_values(4, 1, torch.ones(2, 2))
    out = clamp(x, values, mask)
    assert torch.equal(clamp(out, values, mask), out)
    out.sum().backward()
    assert torch.equal(x.grad, (~mask).float().expand(2, 4, 3))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"goal_channels": (3,)}, "goal_channels: 3"),
        ({"goal_channels": (-1,)}, "goal_channels: -1"),
        ({"goal_channels": (0,), "goal_step": 4}, "goal_step: 4"),
        ({"goal_channels": (0,), "goal_step": -4}, "goal_step: step 0"),
    ],
)
def test_goal_outside_the_window_is_refused(arguments: dict, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        clamp_mask(4, 3, 2, **arguments)
