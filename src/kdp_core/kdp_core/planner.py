"""Algorithm 2: one forward pass gives K candidate windows and their scores (onnxruntime, no torch)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime

from kdp_core.artifact import Artifact, load_artifact
from kdp_core.exceptions import ArtifactError, InputError
from kdp_core.spec import Spec

MAX_CANDIDATES = 4096
CostFunction = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Plan:
    """One planning cycle.

    Shapes: windows (K, H, D), physical units; scores (K,), higher is better, -inf invalid.
    """

    windows: np.ndarray
    scores: np.ndarray
    learned: np.ndarray
    noise: np.ndarray
    index: int
    timing_ns: dict[str, int]

    @property
    def window(self) -> np.ndarray | None:
        """The chosen window (H, D), None if no candidate is valid."""
        return None if self.index < 0 else self.windows[self.index]

    @property
    def score(self) -> float:
        """Score of the chosen window, -inf if none."""
        return float("-inf") if self.index < 0 else float(self.scores[self.index])


class WindowSource(Protocol):
    """Anything that proposes K windows for a condition: the learned planner, or a baseline."""

    spec: Spec
    d_noise: int

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """State (d_s,), context (d_c + d_goal,), noise (K, d_z) -> windows (K, H, D), learned scores (K,)."""
        ...


def open_session(
    onnx_bytes: bytes, threads: int, providers: tuple[str, ...] = ("CPUExecutionProvider",)
) -> onnxruntime.InferenceSession:
    """A session that leaves the processor alone between plans."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(onnx_bytes, options, providers=list(providers))


class Planner:
    """The exported generator and scorer behind ``propose`` and ``plan``.

    ``nfe``: network evaluations in sequence per plan, 1 but for many-step baselines.
    """

    def __init__(
        self, artifact: Artifact, *, threads: int = 1, providers: tuple[str, ...] = ("CPUExecutionProvider",)
    ) -> None:
        self.artifact = artifact
        self.spec = artifact.spec
        self.nfe = int(artifact.provenance.get("nfe", 1))
        try:
            self._session = open_session(artifact.onnx_bytes, threads, providers)
            self.d_noise = int(self._session.get_inputs()[2].shape[1])
        except Exception as error:  # onnxruntime raises classes of its own for each kind of damage
            line = " ".join(str(error).split())[:200]
            raise ArtifactError(f"{artifact.path}/planner.onnx: cannot be loaded: {line}") from None
        self._outputs = [output.name for output in self._session.get_outputs()]
        artifact.check_recorded(self.propose)

    @classmethod
    def load(
        cls, path: str | Path, *, threads: int = 1, providers: tuple[str, ...] = ("CPUExecutionProvider",)
    ) -> Planner:
        """Load and verify an artifact directory. Raises ArtifactError with one line on anything wrong."""
        return cls(load_artifact(path), threads=threads, providers=providers)

    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """One run of the graph.

        State (d_s,), context (d_c + d_goal,), noise (K, d_z) -> windows (K, H, D), scores (K,).
        """
        feeds = {
            "state": np.asarray(state, np.float32)[None],
            "context": np.asarray(context, np.float32)[None],
            "noise": np.asarray(noise, np.float32),
        }
        windows, scores = self._session.run(self._outputs, feeds)
        return windows, scores

    def plan(
        self,
        state: np.ndarray,
        context: np.ndarray | None = None,
        goal: np.ndarray | None = None,
        candidates: int = 64,
        rng: np.random.Generator | None = None,
        cost: CostFunction | None = None,
    ) -> Plan:
        """Plan from one state.

        ``goal`` (d_goal,) only where the spec clamps one. Raises InputError on bad input.
        """
        if not 1 <= candidates <= MAX_CANDIDATES:
            raise InputError(f"candidates must be in 1..{MAX_CANDIDATES}, got {candidates}")
        parts = [np.zeros(0) if context is None else context, np.zeros(0) if goal is None else goal]
        for name, value, size in (
            ("state", state, self.spec.d_state),
            ("context", parts[0], self.spec.d_context),
            ("goal", parts[1], self.spec.d_goal),
        ):
            if np.shape(value) != (size,):
                raise InputError(f"{name} must have shape ({size},), got {np.shape(value)}")
            if not np.isfinite(value).all():
                raise InputError(f"{name} must be finite, got {np.asarray(value).tolist()!s:.80}")
        rng = rng or np.random.default_rng()
        noise = rng.standard_normal((candidates, self.d_noise), dtype=np.float32)
        return select(self, np.asarray(state), np.concatenate(parts), noise, cost)


def select(
    source: WindowSource,
    state: np.ndarray,
    context: np.ndarray,
    noise: np.ndarray,
    cost: CostFunction | None = None,
    learned_weight: float = 1.0,
) -> Plan:
    """Propose windows and choose the best by ``learned_weight * learned - cost``.

    Invalid and non-finite windows are never chosen. Shapes:
    state (d_s,), context (d_c + d_goal,), noise (K, d_z);
    ``cost`` maps windows (K, H, D) to (cost (K,), valid (K,)).
    """
    start = time.monotonic_ns()
    windows, learned = source.propose(state, context, noise)
    proposed = time.monotonic_ns()
    scores = learned_weight * learned.astype(np.float64) if learned_weight else np.zeros(len(learned))
    # A sum keeps any NaN or infinity of a window, in one pass.
    valid = np.isfinite(np.add.reduce(windows.reshape(len(windows), -1), axis=1))
    if cost is not None:
        costs, allowed = cost(windows)
        scores = scores - costs
        valid &= allowed
    valid &= np.isfinite(scores)
    scores = np.where(valid, scores, -np.inf)
    index = int(scores.argmax())
    if not valid[index]:
        index = -1
    timing = {"start": start, "proposed": proposed, "end": time.monotonic_ns()}
    return Plan(windows, scores, learned, noise, index, timing)
