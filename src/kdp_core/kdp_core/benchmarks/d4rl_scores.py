"""D4RL's reference returns (d4rl/infos.py) and its normalised score, for D4RL, Minari and own data alike.

0 is a random policy, 100 an expert; Minari's MuJoCo data sets come without such references.
"""

from __future__ import annotations

import re

from kdp_core.exceptions import ConfigError

REFERENCE_RETURNS: dict[str, tuple[float, float]] = {
    "halfcheetah": (-280.178953, 12135.0),
    "hopper": (-20.272305, 3234.3),
    "walker2d": (1.629008, 4592.3),
    "maze2d-umaze": (23.85, 161.86),
    "maze2d-medium": (13.13, 277.39),
    "maze2d-large": (6.7, 273.99),
    "antmaze": (0.0, 1.0),
    "pen": (96.262799, 3076.8331),
    "hammer": (-274.856578, 12794.1348),
    "relocate": (-6.425911, 4233.8778),
    "door": (-56.512833, 2880.5693),
}
"""Smallest and largest return by task."""


def reference(name: str) -> tuple[float, float]:
    """Reference returns of an environment or data set, by any of its names.

    Understands D4RL's (``hopper-medium-v2``, ``pen-human-v1``, ``maze2d-umaze-v1``), Gymnasium's
    (``Hopper-v4``, ``AdroitHandPen-v1``, ``AntMaze_UMaze-v4``, ``PointMaze_Medium-v3``) and Minari's
    (``mujoco/hopper/medium-v0``, ``D4RL/pen/human-v2``). Raises ConfigError for any other.
    """
    plain = re.sub(r"-v\d+$", "", name.lower()).replace("adroithand", "").removeprefix("d4rl/")
    plain = plain.removeprefix("mujoco/").replace("pointmaze", "maze2d")
    words = [word for word in re.split(r"[-_/]", plain) if word]
    for known, returns in REFERENCE_RETURNS.items():
        wanted = known.split("-")
        if words[: len(wanted)] == wanted:
            return returns
    raise ConfigError(
        f"env: '{name}' has no reference returns; known: {', '.join(REFERENCE_RETURNS)} and their data sets"
    )


def normalised_score(name: str, total: float) -> float:
    """D4RL's score of an episode's undiscounted return, 100 (R - min) / (max - min)."""
    low, high = reference(name)
    return 100.0 * (total - low) / (high - low)
