# SPDX-License-Identifier: GPL-3.0-or-later
"""How the driver connects to a Crazyflie."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LinkOptions:
    """How to connect.

    Attributes:
        uri: link of the Crazyflie.
        connect_timeout_s: an attempt that takes longer is given up.
        reconnect_s: pause between attempts; 0: one attempt only.
        period_ms: of the state packets, a multiple of 10.
        firmware_params: written after connecting.
    """

    uri: str
    connect_timeout_s: float = 5.0
    reconnect_s: float = 1.0
    period_ms: int = 20
    firmware_params: dict[str, float] = field(default_factory=dict)
