"""What is collected in Maze2D."""

from __future__ import annotations

from dataclasses import dataclass

from kdp_core.ranges import at_least


@dataclass(frozen=True)
class MazeCollectOptions:
    """A stream of the waypoint controller's steps, as D4RL's data sets are, or as many steps of journeys."""

    steps: int = 1_000_000
    """Steps of 0.01 s."""
    seed: int = 0
    """Seed of starts, goals and waypoints."""

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", prefix="mazes.")
        at_least(self, 0, "seed", prefix="mazes.")
