"""Ranges of configuration values; a value outside is one line that names the field and what was expected."""

from __future__ import annotations

import math
from typing import Any

from kdp_core.exceptions import ConfigError

EVALUATION_SEED = 500_000_000  # from here on seeds belong to worlds of evaluation, which no data set may hold
SEED_STEP = 1_000_003  # collected worlds are seeded seed * SEED_STEP + number
LARGEST_SEED = 2**63 - 1  # what PyTorch and NumPy both take


def at_least(owner: object, low: float, *names: str, prefix: str = "") -> None:
    """Raise ConfigError unless every field of ``owner`` is finite and at least ``low``."""
    for name in names:
        value = getattr(owner, name)
        if not low <= value < math.inf:
            raise ConfigError(f"{prefix}{name} must be at least {low:g}, got {value}")


def positive(owner: object, *names: str, prefix: str = "") -> None:
    """Raise ConfigError unless every field of ``owner`` is finite and greater than 0."""
    for name in names:
        value = getattr(owner, name)
        if not 0.0 < value < math.inf:
            raise ConfigError(f"{prefix}{name} must be greater than 0, got {value}")


def within(owner: object, low: float, high: float, *names: str, prefix: str = "") -> None:
    """Raise ConfigError unless every field of ``owner`` lies in [``low``, ``high``]."""
    for name in names:
        value = getattr(owner, name)
        if not low <= value <= high:
            raise ConfigError(f"{prefix}{name} must be {low:g} to {high:g}, got {value}")


def a_seed(owner: Any, prefix: str = "") -> None:
    """Raise ConfigError unless ``owner.seed`` is one that random generators take."""
    if not 0 <= owner.seed <= LARGEST_SEED:
        raise ConfigError(f"{prefix}seed must be 0 to {LARGEST_SEED}, got {owner.seed}")


def collection_seed(owner: Any, worlds: str, prefix: str = "") -> None:
    """Raise ConfigError unless a collection's worlds, as many as field ``worlds``, are none of evaluation."""
    last = EVALUATION_SEED // SEED_STEP - 1
    seed, count = owner.seed, getattr(owner, worlds)
    if not 0 <= seed <= last:
        raise ConfigError(
            f"{prefix}seed must be 0 to {last}, got {seed}: worlds are seeded seed * {SEED_STEP} + number, "
            f"and those from {EVALUATION_SEED} on are for evaluation"
        )
    if count > SEED_STEP:
        raise ConfigError(f"{prefix}{worlds} must be at most {SEED_STEP}, got {count}")
