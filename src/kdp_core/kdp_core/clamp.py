"""The clamp C of the paper: entries of a window that the condition fixes (Eq. 6 and 7).

Window layout is state first, then action, ``x[t] = (s_t, a_t)``. The paper's Eq. 7 indexes as if actions came
first while its Eq. 6 and Sec. III do not; this follows Eq. 6.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kdp_core.exceptions import ConfigError


def _goal_index(horizon: int, d_state: int, goal_channels: Sequence[int], goal_step: int) -> int:
    """Return the goal step counted from the start; refuse steps and channels outside the window."""
    if not -horizon <= goal_step < horizon:
        raise ConfigError(f"goal_step: {goal_step} is outside a window of {horizon} steps")
    for channel in goal_channels:
        if not 0 <= channel < d_state:
            raise ConfigError(f"goal_channels: {channel} is not a state channel, expected 0 to {d_state - 1}")
    return goal_step % horizon


def clamp_mask(
    horizon: int,
    d_state: int,
    d_action: int,
    state_at_first: bool = True,
    goal_channels: Sequence[int] = (),
    goal_step: int = -1,
) -> Tensor:
    """Return the bool mask (H, D) that is True where the condition fixes a window entry.

    ``state_at_first`` clamps all state channels of step 0 (Eq. 6); ``goal_channels`` (indices into the state)
    are clamped at ``goal_step`` (Eq. 7), counted from the end when negative. Free entries are ``~mask``.
    """
    mask = torch.zeros(horizon, d_state + d_action, dtype=torch.bool)
    if state_at_first:
        mask[0, :d_state] = True
    if len(goal_channels):
        step = _goal_index(horizon, d_state, goal_channels, goal_step)
        if state_at_first and step == 0:
            raise ConfigError("goal_step: step 0 already holds the current state, expected a later step")
        mask[step, list(goal_channels)] = True
    return mask


def clamp_values(
    horizon: int,
    d_action: int,
    state: Tensor,
    goal: Tensor | None = None,
    goal_channels: Sequence[int] = (),
    goal_step: int = -1,
) -> Tensor:
    """Return the windows (..., H, D) that hold the condition where ``clamp_mask`` is True and 0 elsewhere.

    ``state`` (..., d_s) goes to step 0, ``goal`` (..., len(goal_channels)) to ``goal_step``, both in the
    units of the window (normalised while training).
    """
    d_state = state.shape[-1]
    values = state.new_zeros(*state.shape[:-1], horizon, d_state + d_action)
    values[..., 0, :d_state] = state
    if goal is not None:
        values[..., _goal_index(horizon, d_state, goal_channels, goal_step), list(goal_channels)] = goal
    return values


def clamp(x: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Return C(x): ``x`` (..., H, D) with the entries of ``mask`` (H, D) taken from ``values`` (..., H, D).

    Gradients flow to the free entries of ``x`` only. ``values`` broadcasts against ``x``, so one condition
    serves G samples as (N, 1, H, D).
    """
    return torch.where(mask.to(x.device), values, x)
