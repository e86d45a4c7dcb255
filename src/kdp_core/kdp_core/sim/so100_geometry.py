"""The SO-100 arm in numbers: joint names, limits, link lengths, and where the gripper holds a cube.

Lengths are those of the published CAD of the SO-ARM100 (version 1.3). Frames follow REP-103. The base frame
(``base_link``, equal to ``world`` here) lies on the table below the pan axis: x forward, y left, z up. With
all joints at 0 every link points forward; lift, elbow and wrist_flex turn downwards when positive, pan to the
left, roll about the backward axis, and the jaw opens when positive.
"""

from __future__ import annotations

import numpy as np

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
LOW_RAD = np.array([-2.2, -3.14, 0.0, -2.0, -3.14, -0.2])
HIGH_RAD = np.array([2.2, 0.2, 3.14, 1.8, 3.14, 2.0])

PAN_HEIGHT_M = 0.0165
"""Pan joint above the table."""
SHOULDER_M = (0.0306, 0.1025)
"""Lift joint from the pan joint: forward, up."""
UPPER_ARM_M = (0.11257, -0.028)
"""Elbow from the lift joint at joint zero: forward, up."""
LOWER_ARM_M = (0.1349, 0.0052)
"""Wrist flex from the elbow at joint zero: forward, up."""
WRIST_M = 0.0601
"""Wrist roll from wrist flex, forward."""
JAW_PIVOT_M = (0.0244, 0.0202)
"""Pivot of the moving jaw from the roll joint: along the hand, and away from the fixed finger."""
FINGER_M = 0.1014
"""Tip of both fingers from the roll joint, forward."""

CUBE_M = 0.03
"""Edge of a cube."""
FIXED_PAD_M = 0.0115
"""Inner face of the fixed finger from the roll axis."""
GRASP_JAW_RAD = 0.2
"""Jaw angle at which the pads are parallel and one cube apart."""
GRASP_M = (0.0915, 0.5 * CUBE_M - FIXED_PAD_M)
"""Grasp point, the centre of a held cube, from the roll joint: along the hand, away from the fixed finger."""
CUBE_MASS_KG = 0.02
