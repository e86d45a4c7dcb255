"""lerobot's observations to a task's inputs.

Task generic: ``observation.state`` is the state and each other feature the context channel of its name. Other
tasks: ``observation.state`` is the first of the spec's inputs, ``observation.environment_state`` the others
flat in the spec's order; at most one of them may be a list of rows, as long as there are numbers for it (a
tabletop has joints, and then 7 numbers for each cube and 3 for the goal).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from kdp_core.datasets.lerobot_format import ENVIRONMENT, STATE
from kdp_core.exceptions import InputError
from kdp_core.spec import Spec
from kdp_core.tasks.generic import channel_name

Numbers = dict[str, np.ndarray]


def to_numpy(batch: Mapping[str, Tensor]) -> Numbers:
    """All observed numbers (B, d) of a batch; images are left out. Raises InputError without a state."""
    numbers = {
        name: value.detach().cpu().numpy().astype(np.float64)
        for name, value in batch.items()
        if name.startswith("observation.") and isinstance(value, Tensor) and value.ndim == 2
    }
    if STATE not in numbers:
        raise InputError(f"'{STATE}' (B, d) is missing; observed: {', '.join(sorted(numbers)) or 'nothing'}")
    return numbers


def inputs_of(spec: Spec, numbers: Numbers, row: int) -> dict[str, np.ndarray]:
    """Inputs of one element of a batch. Raises InputError naming what is missing or of a wrong size."""
    state = numbers[STATE][row]
    if spec.task == "generic":
        named = {channel_name(name): value[row] for name, value in numbers.items() if name != STATE}
        return {"observation": _sized(state, spec.d_state, STATE)} | {
            c.name: _sized(named.get(c.name), c.size, f"observation.{c.name}") for c in spec.context
        }
    first, *others = spec.inputs
    inputs = {first.name: _sized(state, first.size, STATE)}
    if not others:
        return inputs
    flat = numbers[ENVIRONMENT][row] if ENVIRONMENT in numbers else np.zeros(0)
    fixed = sum(i.size for i in others if not i.rows)
    lists = [i for i in others if i.rows]
    rest = len(flat) - fixed
    if len(lists) > 1 or (lists and (rest < 0 or rest % lists[0].size)) or (not lists and rest):
        layout = ", ".join(f"{i.name} ({f'n x {i.size}' if i.rows else i.size})" for i in others)
        raise InputError(f"'{ENVIRONMENT}' has {len(flat)} numbers, expected {layout}")
    start = 0
    for declared in others:
        size = rest if declared.rows else declared.size
        part = flat[start : start + size]
        inputs[declared.name] = part.reshape(-1, declared.size) if declared.rows else part
        start += size
    return inputs


def _sized(values: np.ndarray | None, size: int, name: str) -> np.ndarray:
    if values is None or values.shape != (size,):
        got = "nothing" if values is None else str(len(values))
        raise InputError(f"'{name}' must have {size} numbers, got {got}")
    if not np.isfinite(values).all():
        raise InputError(f"'{name}' must be finite, got {values.tolist()!s:.80}")
    return values
