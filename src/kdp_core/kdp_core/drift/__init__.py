"""Drift fields: where each generated window should move.

A field maps samples x and data y to a displacement V of the shape of x, without gradient. The generator is
then trained on ``field_loss(x, V)``, whose target ``stopgrad(x + V)`` is the drifted sample.

=========  =====================================================================  ========================
field      what it does                                                           source
=========  =====================================================================  ========================
kdp        softmax attraction and repulsion by key distances inside the batch     arXiv 2603.14056, Eq. 9-13
joint      joint softmax over data neighbours and samples of the same condition   after arXiv 2602.04770
energy     descent of the energy score of each condition's samples                Gneiting & Raftery 2007
mean       regression to the weighted mean of the neighbours                      least squares
=========  =====================================================================  ========================
"""

from kdp_core.drift.common import field_loss, loss_weight, raw_magnitude
from kdp_core.drift.energy import energy_field, energy_loss
from kdp_core.drift.joint import joint_field
from kdp_core.drift.kdp import KdpOptions, kdp_field
from kdp_core.drift.mean import mean_field

__all__ = [
    "KdpOptions",
    "energy_field",
    "energy_loss",
    "field_loss",
    "joint_field",
    "kdp_field",
    "loss_weight",
    "mean_field",
    "raw_magnitude",
]
