"""What a task gives to collector, trainer, evaluator and node: spec and pure functions, no ROS."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kdp_core.exceptions import InputError
from kdp_core.spec import Spec

if TYPE_CHECKING:
    from kdp_core.datasets.episodes import Episode
    from kdp_core.scorer import Labeller
    from kdp_core.windows import WindowBatch

Inputs = Mapping[str, np.ndarray]


class Task(Protocol):
    """One robot task. Implementations are registered by name in ``kdp_core.tasks`` or by entry point.

    Optional: ``warm_start`` (see ``ControllerOptions``), and ``recovery_action(inputs)`` -> (d_a,), a step
    towards where plans begin, taken instead of the safe action where the planner works but no candidate is
    valid.
    """

    spec: Spec

    def encode(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Physical inputs to (state (d_s,), context (d_c,)), physical units."""
        ...

    def paths(self, windows: np.ndarray, inputs: Inputs) -> np.ndarray:
        """Windows (K, H, D) to paths (K, H, 3) in the world frame, m."""
        ...

    def costs(
        self,
        windows: np.ndarray,
        inputs: Inputs,
        progress_weight: float = 1.0,
        paths: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Windows (K, H, D) to (cost (K,), lower is better; valid (K,) bool).

        ``progress_weight`` scales the part of the cost that a learned score stands for too. ``paths``: what
        the method of this name gave for these windows, where it is at hand already.
        """
        ...

    def track(self, window: np.ndarray, row: int) -> np.ndarray:
        """Action (d_a,) that follows the planned states of ``window`` (H, D) from ``row`` on."""
        ...

    def safe_action(self, inputs: Inputs) -> np.ndarray:
        """What to do when no candidate is valid, (d_a,)."""
        ...

    def distance(self, inputs: Inputs) -> float:
        """Distance to the goal, m."""
        ...

    def success(self, inputs: Inputs) -> bool:
        """Whether the goal is reached."""
        ...

    def labeller(self, batch: WindowBatch) -> Labeller | None:
        """Judge of windows for the scorer; None: it learns the value that the data carry."""
        ...

    def windows(self, episode: Episode) -> WindowBatch:
        """All training windows of one recorded episode."""
        ...


def check_inputs(spec: Spec, inputs: Inputs) -> None:
    """Raise InputError naming the first input that is missing, of the wrong shape or not finite."""
    for declared in spec.inputs:
        value = inputs.get(declared.name)
        if value is None:
            raise InputError(f"input '{declared.name}' is missing; spec '{spec.name}' needs it")
        value = np.asarray(value)
        if value.shape[1:] != (declared.size,) if declared.rows else value.shape != (declared.size,):
            expected = f"(N, {declared.size})" if declared.rows else f"({declared.size},)"
            raise InputError(f"input '{declared.name}' must have shape {expected}, got {value.shape}")
        if value.dtype.kind not in "fiu" or not math.isfinite(value.sum()):  # a sum keeps any NaN or infinity
            raise InputError(
                f"input '{declared.name}' must be finite numbers ({declared.unit}), "
                f"got {value.tolist()!s:.80}"
            )
