"""The control cycle that evaluator, node and demo share: inputs -> encode -> plan -> choose -> action.

Every action is finite and within the spec's limits; without a valid candidate the task's safe action
steps in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from kdp_core.exceptions import ConfigError
from kdp_core.planner import MAX_CANDIDATES, Plan, Planner, WindowSource, select
from kdp_core.ranges import at_least, within
from kdp_core.spec import Spec
from kdp_core.tasks import Inputs, Task, check_inputs, make_task

WARM_START = 0.5
RECOVER_AFTER = 10
"""Cycles without a valid candidate after which a task's way back is taken."""


@dataclass(frozen=True)
class ControllerOptions:
    """Options of the control cycle.

    candidates: K windows per plan.
    chunk: window rows executed before the next plan (L of Table VI; 0: every cycle).
    warm_start: share of the candidates that keep part of the last chosen noise, correlation
    ``warm_correlation``; None: the task's ``warm_start``, or a half.
    ranking: learned scorer, task costs, or both (the task's own measure of progress then counts
    ``progress_weight``). stay: cost per metre of leaving the last chosen path.
    """

    candidates: int = 64
    chunk: int = 0
    warm_start: float | None = None
    warm_correlation: float = 0.95
    ranking: Literal["both", "learned", "task"] = "both"
    learned_weight: float = 4.0
    progress_weight: float = 2.0
    stay: float = 0.5
    execute: Literal["action", "track"] = "action"
    seed: int = 0

    def __post_init__(self) -> None:
        within(self, 1, MAX_CANDIDATES, "candidates")
        within(self, 0, 1, "warm_correlation", *([] if self.warm_start is None else ["warm_start"]))
        at_least(self, 0, "learned_weight", "stay", "seed")
        if self.chunk < 0:
            raise ConfigError(f"chunk must be 0 (replan every cycle) or more window rows, got {self.chunk}")


@dataclass(frozen=True)
class Decision:
    """What to do now: ``action`` (d_a,) in physical units.

    ``safe``: the task's safe action stepped in because of ``reason``.
    """

    action: np.ndarray
    safe: bool
    reason: str
    plan: Plan | None
    path: np.ndarray | None
    replanned: bool


class Controller:
    """Receding-horizon control of one robot with one window source."""

    def __init__(self, source: WindowSource, task: Task, options: ControllerOptions | None = None) -> None:
        self.source = source
        self.task = task
        self.options = options or ControllerOptions()
        self.spec: Spec = source.spec
        self._low, self._high = self.spec.limits("action")
        share = self.options.warm_start
        self._warm_start: float = getattr(task, "warm_start", WARM_START) if share is None else share
        self.reset()

    @classmethod
    def load(
        cls,
        artifact: str | Path,
        candidates: int = 64,
        seed: int = 0,
        execute: Literal["action", "track"] = "action",
        threads: int = 1,
        chunk: int = 0,
    ) -> Controller:
        """Load an artifact and the task its spec names. Raises ArtifactError, SpecError or ConfigError."""
        planner = Planner.load(artifact, threads=threads)
        task = make_task(planner.spec.task, planner.spec.horizon)
        task.spec.require_same(planner.spec, f"{artifact}/spec.json")
        options = ControllerOptions(candidates=candidates, seed=seed, execute=execute, chunk=chunk)
        return cls(planner, task, options)

    def reset(self) -> None:
        """Forget the last plan (new goal, new flight) and restart the noise from the seed."""
        self._rng = np.random.default_rng(self.options.seed)
        self._noise: np.ndarray | None = None
        self._path: np.ndarray | None = None
        self._paths: np.ndarray | None = None  # of all candidates, where ranking has needed them
        self._age = 0
        self._planned_s: float | None = None
        self._plan: Plan | None = None
        self._next_noise: np.ndarray | None = None
        self._without = 0  # cycles in a row without a valid candidate

    def prepare(self) -> None:
        """Draw the next cycle's noise ahead. Optional: call it after the command went out, to save time."""
        if self._next_noise is None:
            self._next_noise = self._draw()

    def step(self, inputs: Inputs, now_s: float | None = None) -> Decision:
        """One control cycle. Raises InputError on a missing, misshapen or non-finite input.

        ``now_s``: any steady clock. Where cycles are late or fall out it tells how old the last plan is;
        without it every call counts as one cycle.
        """
        check_inputs(self.spec, inputs)
        if now_s is not None and self._plan is not None and self._planned_s is not None:
            self._age = max(1, round((now_s - self._planned_s) * self.spec.rate_hz))
        if self._plan is not None and self._age < self.options.chunk * self.spec.stride:
            return self._continue(inputs)
        state, context = self.task.encode(inputs)
        self._paths = None
        noise, self._next_noise = self._next_noise, None
        plan = select(
            self.source,
            state,
            context,
            self._draw() if noise is None else noise,
            None if self.options.ranking == "learned" else lambda windows: self._cost(windows, inputs),
            0.0 if self.options.ranking == "task" else self.options.learned_weight,
        )
        if plan.index < 0:
            self._plan = self._path = None
            action, reason = self._without_plan(plan, inputs)
            return Decision(self._limit(action), True, reason, plan, None, True)
        self._without = 0
        window = plan.windows[plan.index]
        self._noise = plan.noise[plan.index]
        paths = self._paths
        self._path = self.task.paths(window[None], inputs)[0] if paths is None else paths[plan.index]
        self._plan, self._age, self._planned_s = plan, 1, now_s
        return Decision(self._limit(self._execute(window, 0)), False, "", plan, self._path, True)

    def _without_plan(self, plan: Plan, inputs: Inputs) -> tuple[np.ndarray, str]:
        """What to do where no candidate is valid, and why, in words.

        A task may know a way back to where plans begin (``recovery_action``). It is not for a cycle or two in
        the middle of a task, nor for a planner that is broken: of windows that are not finite nothing can be
        learnt about the state.
        """
        recover = getattr(self.task, "recovery_action", None)
        self._without += 1
        if recover is None or self._without <= RECOVER_AFTER or not np.isfinite(plan.windows).all():
            return self.task.safe_action(inputs), "no valid candidate"
        return recover(inputs), "no valid candidate: moving to where plans begin"

    def paths(self, plan: Plan, inputs: Inputs) -> np.ndarray:
        """All candidates as paths in the world frame, (K, H, 3) m, for markers."""
        return self.task.paths(plan.windows, inputs)

    def _continue(self, inputs: Inputs) -> Decision:
        assert self._plan is not None
        row = min(self._age // self.spec.stride, self.spec.horizon - 1)
        self._age += 1
        window = self._plan.windows[self._plan.index]
        return Decision(self._limit(self._execute(window, row)), False, "", self._plan, self._path, False)

    def _execute(self, window: np.ndarray, row: int) -> np.ndarray:
        if self.options.execute == "action":
            return window[row, self.spec.d_state :].astype(np.float64)
        return self.task.track(window, row)

    def _limit(self, action: np.ndarray) -> np.ndarray:
        if not np.isfinite(action).all():
            action = np.nan_to_num(action, nan=0.0)
        limited: np.ndarray = np.minimum(np.maximum(action, self._low), self._high)
        return limited

    def _draw(self) -> np.ndarray:
        """Noise (K, d_z): a share of the candidates continues the last chosen one.

        The first candidate keeps it exactly.
        """
        options = self.options
        noise = self._rng.standard_normal((options.candidates, self.source.d_noise), dtype=np.float32)
        if self._noise is not None and self._warm_start > 0:
            kept = max(1, int(self._warm_start * options.candidates))
            rho = options.warm_correlation
            noise[:kept] = rho * self._noise + np.sqrt(1.0 - rho * rho) * noise[:kept]
            if options.candidates > 1:
                noise[0] = self._noise
        return noise

    def _cost(self, windows: np.ndarray, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        progress_weight = 1.0 if self.options.ranking == "task" else self.options.progress_weight
        if self.options.stay == 0 or self._path is None or self.spec.horizon == 1:
            return self.task.costs(windows, inputs, progress_weight)
        self._paths = paths = self.task.paths(windows, inputs)
        cost, valid = self.task.costs(windows, inputs, progress_weight, paths)
        left = paths[:, :-1] - self._advanced(self._path)
        left *= left
        distance = np.sqrt(left[..., 0] + left[..., 1] + left[..., 2])
        return cost + self.options.stay / distance.shape[1] * np.add.reduce(distance, axis=1), valid

    def _advanced(self, path: np.ndarray) -> np.ndarray:
        """The last path (H, 3) as it should look now, (H - 1, 3): moved on by the time since it was planned.

        Without this, staying would reward whoever lags behind.
        """
        share = self._age / self.spec.stride
        row = min(int(share), self.spec.horizon - 2)
        here = np.minimum(np.arange(self.spec.horizon - 1) + row, self.spec.horizon - 2)
        return path[here] + (share - row) * (path[here + 1] - path[here])
