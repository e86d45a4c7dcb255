"""Ranges of configuration values; a value outside is one line that names the field and what was expected."""

from __future__ import annotations

import math

from kdp_core.exceptions import ConfigError


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
