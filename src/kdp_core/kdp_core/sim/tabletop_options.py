"""Options of tabletop demonstrations and measurements; without MuJoCo, so that configurations know them."""

from __future__ import annotations

from dataclasses import dataclass, field

from kdp_core.ranges import at_least, collection_seed, within


@dataclass(frozen=True)
class SensorNoise:
    """Standard deviations of the measurement noise, independent in each cycle."""

    joint_ticks: float = 0.5
    """Joint positions, encoder ticks (4096 a turn)."""
    cube_m: float = 0.001
    """Cube positions along each axis."""
    cube_rad: float = 0.0175
    """Cube orientations about each axis."""

    def __post_init__(self) -> None:
        at_least(self, 0, "joint_ticks", "cube_m", "cube_rad")


@dataclass(frozen=True)
class TabletopCollectOptions:
    """What is demonstrated."""

    episodes: int = 1200
    """Number of demonstrations."""
    disturbance: float = 0.025
    """Largest size of the slowly changing error of the executed targets, rad; each episode draws its own."""
    push: float = 0.25
    """Probability per second of a burst in which the error is twice as large."""
    slip: float = 0.04
    """Probability per second that the jaw is forced open for a moment."""
    move: float = 0.04
    """Probability per second that the cube to be moved is put elsewhere nearby."""
    other: float = 0.4
    """Probability of the second of the two possible grasps."""
    hold_s: float = 1.0
    """Recorded time after success."""
    limit_s: float = 12.0
    """Longest episode; one that does not succeed by then is left out."""
    noise: SensorNoise = field(default_factory=SensorNoise)
    """Measurement noise of what is recorded."""
    seed: int = 0
    """Scenes are seeded seed * 1000003 + episode."""

    def __post_init__(self) -> None:
        at_least(self, 1, "episodes", prefix="demonstrations.")
        at_least(self, 0, "disturbance", "push", "slip", "move", "hold_s", prefix="demonstrations.")
        collection_seed(self, "episodes", prefix="demonstrations.")
        within(self, 0, 1, "other", prefix="demonstrations.")
        within(self, 1, 100, "limit_s", prefix="demonstrations.")
