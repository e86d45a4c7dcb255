"""The spec (contract): what a window is, where its channels come from on a robot, and how they are scaled.

Every artifact embeds one; data set, checkpoint, planner and node read the same object and refuse another's.
Window layout is state first, then action: ``x[t] = (s_t, a_t)``, shape ``(H, d_s + d_a)`` (Eq. 6 of
arXiv 2603.14056).
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kdp_core.exceptions import SpecError
from kdp_core.files import load_yaml

SPEC_VERSION = 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RosField(_Strict):
    """Where a channel is found in ROS: relative topic, message type ``pkg/msg/Name`` and field path.

    Field paths: dots are attributes, ``name[]`` maps over a list, ``.[a,b]`` stacks sub-fields in this order,
    ``name[key]`` picks the element whose entry in ``msg.name`` is ``key``.
    """

    topic: str = Field(min_length=1)
    type: str = Field(pattern=r"^[a-zA-Z]\w*/msg/[A-Z]\w*$")
    field: str = Field(min_length=1)


class Channel(_Strict):
    """A named group of ``size`` numbers with one unit, frame and limits."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    unit: str
    size: int = Field(default=1, ge=1)
    frame: str | None = None
    limits: tuple[float, float] | tuple[tuple[float, float], ...] | None = Field(
        default=None, description="[low, high] of all numbers, or one such pair for each"
    )
    rate_limit: float | None = Field(default=None, gt=0, description="largest change, unit per second")
    relative_to: str | None = Field(
        default=None,
        description="state channel from whose present value the network counts this; windows stay absolute",
    )
    ros: RosField | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Channel:
        if self.limits is not None and isinstance(self.limits[0], tuple) and len(self.limits) != self.size:
            raise ValueError(
                f"limits of '{self.name}' must be one pair, or {self.size} pairs, got {len(self.limits)}"
            )
        for pair in self.bounds:
            if not pair[0] < pair[1]:
                raise ValueError(
                    f"limits of '{self.name}' must be [low, high] with low < high, got {list(pair)}"
                )
        return self

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Lower and upper limit of each number, infinite where none is given."""
        if self.limits is None:
            return [(-np.inf, np.inf)] * self.size
        if isinstance(self.limits[0], tuple):
            return list(self.limits)
        return [self.limits] * self.size


class Input(_Strict):
    """A physical quantity that a node reads and hands to the task's ``encode``.

    ``rows`` marks an (N, size) list.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    unit: str
    size: int = Field(ge=1)
    rows: bool = False
    frame: str | None = None
    ros: RosField | None = None


class Goal(_Strict):
    """How the goal enters: clamped into the window (Eq. 7), as part of the context, or not at all."""

    mode: Literal["clamp", "context", "none"] = "none"
    channels: tuple[str, ...] = ()
    step: int = -1


class KeyPart(_Strict):
    """One part of the key: a state or context channel (or ``goal``) and the scale its whitened value gets."""

    channel: str
    scale: float = Field(default=1.0, gt=0)


class Normaliser(_Strict):
    """Per-number affine map ``(x - mean) / std`` for state, action and context."""

    state_mean: tuple[float, ...]
    state_std: tuple[float, ...]
    action_mean: tuple[float, ...]
    action_std: tuple[float, ...]
    context_mean: tuple[float, ...] = ()
    context_std: tuple[float, ...] = ()


class Spec(_Strict):
    """One task's contract.

    Times: control ``rate_hz``; rows of a window are ``stride / rate_hz`` seconds apart.
    """

    version: Literal[1] = 1
    name: str = Field(min_length=1)
    task: str = Field(min_length=1)
    rate_hz: float = Field(gt=0)
    stride: int = Field(default=1, ge=1)
    horizon: int = Field(ge=1)
    state: tuple[Channel, ...] = Field(min_length=1)
    action: tuple[Channel, ...] = Field(min_length=1)
    context: tuple[Channel, ...] = ()
    inputs: tuple[Input, ...] = ()
    goal: Goal = Goal()
    key: tuple[KeyPart, ...] = ()
    normaliser: Normaliser | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        names = [c.name for c in (*self.state, *self.action, *self.context)]
        if len(set(names)) != len(names):
            raise ValueError(f"channel names must be unique, got {names}")
        known = {c.name for c in (*self.state, *self.context)} | {"goal"}
        states = {c.name: c.size for c in self.state if c.relative_to in (None, c.name)}
        for channel in (*self.state, *self.action, *self.context):
            reference = channel.relative_to
            if reference is not None and (states.get(reference) != channel.size or channel in self.context):
                raise ValueError(
                    f"relative_to of '{channel.name}' must name a state channel of its size, "
                    f"got '{reference}'; context cannot be relative"
                )
        for part in self.key:
            if part.channel not in known:
                raise ValueError(f"key channel '{part.channel}' is not one of {sorted(known)}")
        if self.goal.mode == "clamp":
            missing = set(self.goal.channels) - {c.name for c in self.state}
            if missing or not self.goal.channels:
                raise ValueError(f"goal.channels must be state channels, got {list(self.goal.channels)}")
            if any(c.relative_to is not None for c in self.state if c.name in self.goal.channels):
                raise ValueError(f"goal.channels cannot be relative, got {list(self.goal.channels)}")
            if not -self.horizon <= self.goal.step < self.horizon:
                raise ValueError(f"goal.step must be inside the horizon {self.horizon}, got {self.goal.step}")
        n = self.normaliser
        if n is not None:
            for field, size in (
                ("state", self.d_state),
                ("action", self.d_action),
                ("context", self.d_context),
            ):
                for stat in ("mean", "std"):
                    values = getattr(n, f"{field}_{stat}")
                    if len(values) != size:
                        raise ValueError(
                            f"normaliser.{field}_{stat} must have {size} numbers, got {len(values)}"
                        )
                    if not np.all(np.isfinite(values)):
                        raise ValueError(f"normaliser.{field}_{stat} must be finite")
                if min(getattr(n, f"{field}_std"), default=1.0) <= 0:
                    raise ValueError(f"normaliser.{field}_std must be positive")
        return self

    @property
    def d_state(self) -> int:
        """Numbers of state in a row of the window."""
        return sum(c.size for c in self.state)

    @property
    def d_action(self) -> int:
        """Numbers of action in a row of the window."""
        return sum(c.size for c in self.action)

    @property
    def d_context(self) -> int:
        """Numbers of context (condition only)."""
        return sum(c.size for c in self.context)

    @property
    def d_window(self) -> int:
        """D = d_s + d_a."""
        return self.d_state + self.d_action

    @property
    def d_goal(self) -> int:
        """Numbers of a clamped goal; 0 unless ``goal.mode`` is ``clamp``."""
        if self.goal.mode != "clamp":
            return 0
        return sum(c.size for c in self.state if c.name in self.goal.channels)

    @property
    def reference(self) -> np.ndarray:
        """Matrix (d_s, D) of 0 and 1: ``state @ reference`` is what the network subtracts from a row."""
        matrix = np.zeros((self.d_state, self.d_window))
        start = 0
        for channel in (*self.state, *self.action):
            if channel.relative_to is not None:
                columns = range(*self.slice("state", channel.relative_to).indices(self.d_state))
                matrix[columns, start + np.arange(channel.size)] = 1.0
            start += channel.size
        return matrix

    @property
    def step_s(self) -> float:
        """Seconds between two rows of a window."""
        return self.stride / self.rate_hz

    def slice(self, group: Literal["state", "action", "context"], name: str) -> slice:
        """Where channel ``name`` lies within its group. Raises SpecError if there is none."""
        start = 0
        for channel in getattr(self, group):
            if channel.name == name:
                return slice(start, start + channel.size)
            start += channel.size
        raise SpecError(f"spec '{self.name}': no {group} channel '{name}'")

    def limits(self, group: Literal["state", "action", "context"]) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limits of a group, shape (d,) each, infinite where none is given."""
        bounds = np.array([pair for channel in getattr(self, group) for pair in channel.bounds]).reshape(
            -1, 2
        )
        return bounds[:, 0].copy(), bounds[:, 1].copy()

    def contract_hash(self) -> str:
        """SHA-256 of everything that must agree between data, checkpoint and planner (not the normaliser)."""
        content = self.model_dump(mode="json", exclude={"normaliser"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def require_same(self, other: Spec, what: str) -> None:
        """Raise SpecError naming the first field in which ``other`` (called ``what``) differs."""
        mine, theirs = (s.model_dump(mode="json", exclude={"normaliser"}) for s in (self, other))
        for field, value in mine.items():
            if theirs[field] != value:
                raise SpecError(
                    f"{what}: field '{field}' is {theirs[field]!r}, "
                    f"expected {value!r} as in spec '{self.name}'"
                )

    def save(self, path: str | Path) -> None:
        """Write as JSON, atomically."""
        path = Path(path)
        temporary = path.with_name(f".{path.name}.tmp{os.getpid()}")
        temporary.write_text(json.dumps(self.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: str | Path) -> Spec:
        """Read a YAML or JSON file. Raises SpecError with one line that names file, field and expectation."""
        path = Path(path)
        content = load_yaml(path, SpecError)
        if not isinstance(content, dict):
            raise SpecError(
                f"{path}: expected a mapping with the fields of a spec, got {type(content).__name__}"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "spec"
            raise SpecError(
                f"{path}: field '{field}': {first['msg']} (got {str(first['input'])[:80]!r})"
            ) from None
