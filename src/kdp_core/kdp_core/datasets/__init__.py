"""Readers, one per format, that all give the same episodes; and writers of Minari and LeRobot data sets."""

from kdp_core.datasets.episodes import Episode, Episodes
from kdp_core.datasets.lerobot_writer import write_lerobot
from kdp_core.datasets.minari_writer import write_minari
from kdp_core.datasets.open import minari_root, open_episodes

__all__ = ["Episode", "Episodes", "minari_root", "open_episodes", "write_lerobot", "write_minari"]
