"""Episodes to windows: the training set as arrays, its normaliser, and its keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from kdp_core.exceptions import DataError
from kdp_core.spec import Normaliser, Spec

MIN_STD = 1e-3


@dataclass
class WindowBatch:
    """Windows with their conditions, physical units.

    windows (N, H, D); state (N, d_s); context (N, d_c + d_goal); group (N,) episode number; scene (N,) number
    of the world, -1 if the data have no worlds; value (N,) return that a window carries (higher is better);
    extras (N, E) what a task's labels need besides, for example obstacles.
    """

    windows: np.ndarray
    state: np.ndarray
    context: np.ndarray
    group: np.ndarray
    scene: np.ndarray
    value: np.ndarray
    extras: np.ndarray

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, index: np.ndarray) -> WindowBatch:
        """The windows at ``index``."""
        return WindowBatch(*(getattr(self, f.name)[index] for f in fields(self)))


def concatenate(batches: Sequence[WindowBatch]) -> WindowBatch:
    """Join batches; group numbers are kept as they are."""
    return WindowBatch(*(np.concatenate([getattr(b, f.name) for b in batches]) for f in fields(WindowBatch)))


def check_windows(batch: WindowBatch, spec: Spec, source: str) -> None:
    """Raise DataError, naming ``source``, if windows do not fit the spec or are not finite."""
    n = len(batch)
    if n == 0:
        raise DataError(
            f"{source}: no episode is long enough for a window of {spec.horizon} rows at stride {spec.stride}"
        )
    expected = {
        "windows": (n, spec.horizon, spec.d_window),
        "state": (n, spec.d_state),
        "context": (n, spec.d_context + spec.d_goal),
        "group": (n,),
        "scene": (n,),
        "value": (n,),
    }
    for name, shape in expected.items():
        array = getattr(batch, name)
        if array.shape != shape:
            raise DataError(
                f"{source}: {name} has shape {array.shape}, expected {shape} from spec '{spec.name}'"
            )
        if not np.isfinite(array).all():
            bad = int(np.argwhere(~np.isfinite(array.reshape(n, -1)).all(axis=1))[0, 0])
            raise DataError(f"{source}: {name} of window {bad} is not finite")


def fit_normaliser(batch: WindowBatch, spec: Spec) -> Normaliser:
    """Mean and standard deviation per channel number.

    Pooled over windows and rows (constant ones get std 1). Relative channels are counted from each window's
    first state.
    """

    def moments(values: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
        flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
        std = flat.std(axis=0)
        std[std < MIN_STD] = 1.0
        return tuple(flat.mean(axis=0).tolist()), tuple(std.tolist())

    windows = batch.windows
    if spec.reference.any():
        windows = windows - windows[:, :1, : spec.d_state] @ spec.reference.astype(np.float32)
    state_mean, state_std = moments(windows[..., : spec.d_state])
    action_mean, action_std = moments(windows[..., spec.d_state :])
    context_mean, context_std = moments(batch.context[:, : spec.d_context]) if spec.d_context else ((), ())
    return Normaliser(
        state_mean=state_mean,
        state_std=state_std,
        action_mean=action_mean,
        action_std=action_std,
        context_mean=context_mean,
        context_std=context_std,
    )


def window_scale(spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std of a window's row, state first, (D,) each."""
    n = spec.normaliser
    assert n is not None
    return np.array(n.state_mean + n.action_mean), np.array(n.state_std + n.action_std)


def keys(batch: WindowBatch, spec: Spec) -> np.ndarray:
    """Whitened key of every window, (N, P) float32: the key channels, scaled and divided by sqrt(size).

    Dividing by the square root of the size makes a grid of 121 cells weigh as one number would.
    """
    n = spec.normaliser
    assert n is not None
    parts = []
    for part in spec.key:
        if part.channel == "goal" and spec.goal.mode == "clamp":  # else a context channel of that name
            parts.append(_goal_key(batch, spec) * (part.scale / np.sqrt(spec.d_goal)))
            continue
        state_names = [c.name for c in spec.state]
        group = "state" if part.channel in state_names else "context"
        columns = spec.slice(group, part.channel)  # type: ignore[arg-type]
        if group == "state" and bool(spec.reference[:, columns].any()):
            raise DataError(
                f"spec '{spec.name}': key channel '{part.channel}' is relative and always 0; put the state's "
                "value into a context channel"
            )
        mean = np.array(getattr(n, f"{group}_mean")[columns])
        std = np.array(getattr(n, f"{group}_std")[columns])
        values = getattr(batch, group)[:, columns]
        parts.append((values - mean) / std * (part.scale / np.sqrt(len(mean))))
    if not parts:
        raise DataError(f"spec '{spec.name}': field 'key' is empty; training needs at least one key channel")
    return np.concatenate(parts, axis=1).astype(np.float32)


def _goal_key(batch: WindowBatch, spec: Spec) -> np.ndarray:
    """The clamped goal, whitened as the state channels that it fixes are, (N, d_goal)."""
    n = spec.normaliser
    assert n is not None
    columns = np.concatenate([np.arange(spec.d_state)[spec.slice("state", c)] for c in spec.goal.channels])
    mean, std = np.array(n.state_mean)[columns], np.array(n.state_std)[columns]
    whitened: np.ndarray = (batch.context[:, spec.d_context :] - mean) / std
    return whitened
