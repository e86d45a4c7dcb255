"""Which route a path takes around a maze's blocks: its homotopy class.

Two paths between the same points are of one class if one can be bent into the other without crossing a
block. A ray goes from the centre of each block to the outside. The class is the sequence of rays that a path
crosses, with the sense of each crossing, after crossings that undo the one before are struck out (a reduced
word of the free group of the rays).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kdp_core.sim.maze2d_layout import CENTRE_OFFSET_M, Layout

RAY = (-1.0, 0.13)
"""Direction of the rays: oblique, so that none meets another block's centre."""

RouteClass = tuple[int, ...]
"""Number of the ray plus 1 for each crossing, negative against the sense of x -> y."""


def block_centres(layout: Layout) -> NDArray[np.float64]:
    """Centres (B, 2) in m of the blocks: connected walls that do not reach the edge of the layout."""
    labels, count = ndimage.label(~layout.free)
    edge = {*labels[0], *labels[-1], *labels[:, 0], *labels[:, -1]}
    centres = [np.argwhere(labels == n).mean(axis=0) for n in range(1, count + 1) if n not in edge]
    return np.array(centres).reshape(-1, 2) + CENTRE_OFFSET_M


def route_class(path: NDArray[np.floating], centres: NDArray[np.float64]) -> RouteClass:
    """Class of a path (T, 2) m around blocks with ``centres`` (B, 2) m."""
    along = np.array(RAY) / np.hypot(*RAY)
    across = np.array([-along[1], along[0]])
    relative = np.asarray(path, np.float64)[:, None] - centres
    side, ahead = relative @ across, relative @ along  # (T, B)
    crossed = (side[:-1] >= 0.0) != (side[1:] >= 0.0)
    share = np.where(crossed, side[:-1] / np.where(crossed, side[:-1] - side[1:], 1.0), 0.0)
    crossed &= ahead[:-1] + share * (ahead[1:] - ahead[:-1]) > 0.0
    steps, rays = np.nonzero(crossed)
    word: list[int] = []
    for n in np.argsort(steps + share[steps, rays]):
        step, ray = int(steps[n]), int(rays[n])
        letter = (ray + 1) if side[step + 1, ray] > side[step, ray] else -(ray + 1)
        if word and word[-1] == -letter:
            word.pop()
        else:
            word.append(letter)
    return tuple(word)
