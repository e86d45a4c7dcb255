"""Keyed drifting policies: one-step trajectory planning. Train, export and run; no ROS in here."""

__version__ = "0.1.0"
