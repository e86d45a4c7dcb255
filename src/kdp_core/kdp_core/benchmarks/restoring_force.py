"""How strongly a drift field brings the spread of its samples back to that of the data, by dimension.

    python -m kdp_core.benchmarks.restoring_force

Data are N(0, I) in n dimensions, samples N(0, r^2 I), 16 of each per condition. The growth of a field V,
scaled to a root mean square of 1 as training scales it, is sum V.x / sum x.x: above 0 samples move outwards.
It should be positive below r = 1 and negative above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor

from kdp_core.drift import energy_field, joint_field

SAMPLES = 16
Field = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Arguments:
    """What is compared."""

    dimensions: tuple[int, ...] = (2, 20, 100)
    """n."""
    ratios: tuple[float, ...] = (0.05, 0.2, 0.5, 0.8, 1.0, 1.3, 2.0)
    """Spread of the samples over that of the data, r."""
    conditions: int = 400
    """Draws that are averaged."""
    seed: int = 0
    """Seed."""


def joint(temperatures: Sequence[float]) -> Field:
    """The joint field with equal weights of its neighbours."""
    return lambda x, y: joint_field(x, y, torch.zeros(y.shape[:2]), temperatures)


def energy(x: Tensor, y: Tensor) -> Tensor:
    """The energy field with equal weights of its neighbours."""
    return energy_field(x, y, torch.full(y.shape[:2], 1.0 / y.shape[1]))


FIELDS: dict[str, Field] = {
    "joint, tau 0.05, 0.2, 0.5": joint((0.05, 0.2, 0.5)),
    "joint, tau 0.05": joint((0.05,)),
    "joint, tau 2": joint((2.0,)),
    "energy": energy,
}


def growth(field: Field, dimensions: int, ratio: float, conditions: int, seed: int) -> float:
    """Radial growth of the samples under the field, see the module."""
    rng = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(conditions, SAMPLES, dimensions, generator=rng) for _ in range(2))
    x = ratio * x
    V = field(x, y)
    V = V / V.square().mean().sqrt()
    return float((V * x).sum() / (x * x).sum())


def main() -> None:
    """Print the table."""
    arguments = tyro.cli(Arguments, description=__doc__)
    table = Table(title="growth of the samples' spread by r")
    for column in ("field", "n", *(f"{ratio:g}" for ratio in arguments.ratios)):
        table.add_column(column)
    for name, field in FIELDS.items():
        for n in arguments.dimensions:
            values = [growth(field, n, r, arguments.conditions, arguments.seed) for r in arguments.ratios]
            table.add_row(name, str(n), *(f"{value:+.2f}" for value in values))
    Console().print(table)


if __name__ == "__main__":
    main()
