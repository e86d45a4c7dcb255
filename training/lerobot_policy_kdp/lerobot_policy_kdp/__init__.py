"""Policy type ``kdp`` for LeRobot, which imports packages called ``lerobot_policy_*``: that registers it."""

from lerobot_policy_kdp.configuration_kdp import KdpConfig

__all__ = ["KdpConfig"]
