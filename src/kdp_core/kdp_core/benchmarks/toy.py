"""Two-mode toy: does a drift field match a conditional distribution, or only its mean?

Conditions c are uniform in [-1, 1]^4. Given c the data lie in two blobs of the plane, ``o + d`` (probability
0.7) and ``o - d`` (0.3), both with noise 0.12. A small one-step generator is trained with each field on
batches of 256 samples, then judged on conditions it has not seen. Beside them the same network as a diffusion
model of 20 steps.

    python -m kdp_core.benchmarks.toy --json results/toy.json
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kdp_core.benchmarks import long_format
from kdp_core.benchmarks.toy_networks import LATENT, Generator, ToyDiffuser
from kdp_core.drift import energy_field, field_loss, joint_field, kdp_field, mean_field
from kdp_core.exceptions import ConfigError, KdpError

Field = Literal["kdp", "joint", "energy", "mean", "diffuser"]
Array = NDArray[np.float64]

MAJOR, NOISE = 0.7, 0.12
KEY_TEMPERATURE = 0.5
# (conditions per batch, samples per condition, neighbours): 256 samples each
BATCH: dict[str, tuple[int, int, int]] = {
    "kdp": (256, 1, 1),
    "joint": (16, 16, 16),
    "energy": (64, 4, 1),
    "mean": (256, 1, 16),
    "diffuser": (256, 1, 1),
}


@dataclass(frozen=True)
class Args:
    """Train each field on the two-mode toy and write variance ratio, minor-mode mass and energy distance."""

    json: Path
    """File to write (long format)."""
    fields: tuple[Field, ...] = ("kdp", "joint", "energy", "mean", "diffuser")
    """Drift fields to compare, and diffusion."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds; the data and the held-out conditions are the same for all."""
    steps: int = 4000
    """Optimiser steps."""
    bank: int = 60_000
    """Windows in the data bank."""
    conditions: int = 64
    """Held-out conditions."""
    samples: int = 800
    """Samples for each held-out condition."""
    lr: float = 2e-3
    """Peak learning rate (AdamW, warm-up, cosine); at 5e-4 this small network is not done in 4000 steps."""
    threads: int = 1
    """Threads of torch."""


def modes(c: Array) -> tuple[Array, Array]:
    """Return the centres (n, 2) of the major and the minor mode for conditions (n, 4)."""
    angle = 1.5 * c[:, 0] + c[:, 1]
    d = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (1.0 + 0.3 * c[:, 2:3])
    o = 0.5 * c[:, [3, 2]]
    return o + d, o - d


def sample_data(rng: np.random.Generator, c: Array, samples: int) -> Array:
    """Return data (n, samples, 2) for conditions (n, 4)."""
    major, minor = modes(c)
    is_major = rng.random((len(c), samples, 1)) < MAJOR
    centre = np.where(is_major, major[:, None], minor[:, None])
    return centre + NOISE * rng.standard_normal(centre.shape)


class Bank:
    """All conditions and data points, with the nearest neighbours of each in whitened key space."""

    def __init__(self, rng: np.random.Generator, size: int, neighbours: int) -> None:
        c = rng.uniform(-1.0, 1.0, (size, 4))
        key = (c - c.mean(axis=0)) / c.std(axis=0)
        distance, index = cKDTree(key).query(key, k=neighbours)
        self.condition = torch.from_numpy(c).float()
        self.point = torch.from_numpy(sample_data(rng, c, 1)[:, 0]).float()
        self.key = torch.from_numpy(key).float()
        self.index = torch.from_numpy(index.reshape(size, neighbours))
        self.log_weight = torch.log_softmax(
            torch.from_numpy(-distance.reshape(size, neighbours) / KEY_TEMPERATURE).float(), dim=1
        )


def drift(field: Field, x: Tensor, bank: Bank, anchor: Tensor) -> Tensor:
    """Return the drift (N, G, 2) of samples ``x`` (N, G, 2) of the bank's conditions ``anchor`` (N,)."""
    if field == "kdp":
        key, free = bank.key[anchor], torch.ones(1, 2, dtype=torch.bool)
        return kdp_field(x, bank.point[anchor][:, None], key, key, free)
    k = BATCH[field][2]
    y, log_weight = bank.point[bank.index[anchor, :k]], bank.log_weight[anchor, :k]
    if field == "joint":
        return joint_field(x, y, log_weight)
    return (energy_field if field == "energy" else mean_field)(x, y, log_weight.exp())


def learning_rate(step: int, steps: int) -> float:
    """Return the factor of the peak rate: 200 steps (at most a tenth) of warm-up, then a cosine to 0."""
    warm_up = min(200, max(1, steps // 10))
    progress = max(0, step - warm_up) / max(1, steps - warm_up)
    return min(1.0, (step + 1) / warm_up) * 0.5 * (1.0 + float(np.cos(np.pi * progress)))


def train(field: Field, bank: Bank, seed: int, args: Args, progress: Progress) -> nn.Module:
    """Return the averaged generator after ``args.steps`` steps with one field."""
    torch.manual_seed(seed)
    generator = ToyDiffuser(bank.point) if field == "diffuser" else Generator()
    ema = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(0.999 if args.steps >= 1000 else 0.9))
    optimiser = torch.optim.AdamW(generator.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate(step, args.steps))
    conditions, samples, _ = BATCH[field]
    bar = progress.add_task(f"{field} seed {seed}", total=args.steps)
    for _ in range(args.steps):
        anchor = torch.randint(len(bank.point), (conditions,))
        if isinstance(generator, ToyDiffuser):
            loss = generator.loss(bank.condition[anchor], bank.point[anchor])
        else:
            c = bank.condition[anchor][:, None].expand(-1, samples, -1)
            x = generator(torch.randn(conditions, samples, LATENT), c)
            loss = field_loss(x, drift(field, x.detach(), bank, anchor))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        ema.update_parameters(generator)
        progress.advance(bar)
    return ema.module


def mean_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean distance (n,) between points of ``a`` (n, s, 2) and ``b`` (n, s, 2); not to itself."""
    total = torch.stack([torch.cdist(p, q).sum() for p, q in zip(a, b, strict=True)])
    samples = a.shape[1]
    return total / (samples * (samples - 1) if a is b else samples**2)


@torch.no_grad()
def evaluate(generator: nn.Module, args: Args) -> dict[str, Array]:
    """Return each metric (conditions,) on held-out conditions, whose seed no training run uses."""
    rng = np.random.default_rng([20_000, 1])
    c = rng.uniform(-1.0, 1.0, (args.conditions, 4))
    major, minor = modes(c)
    y = sample_data(rng, c, args.samples)
    latent = getattr(generator, "latent", LATENT)
    z = torch.from_numpy(rng.standard_normal((args.conditions, args.samples, latent))).float()
    condition = torch.from_numpy(c).float()[:, None].expand(-1, args.samples, -1)
    x_t, y_t = generator(z, condition).double(), torch.from_numpy(y)
    x = x_t.numpy()
    mean = MAJOR * major + (1.0 - MAJOR) * minor
    variance = MAJOR * (1.0 - MAJOR) * np.sum((major - minor) ** 2, axis=1) + 2.0 * NOISE**2
    energy = 2.0 * mean_distance(x_t, y_t) - mean_distance(x_t, x_t) - mean_distance(y_t, y_t)
    return {
        "mean_error": np.linalg.norm(x.mean(axis=1) - mean, axis=1),
        "variance_ratio": x.var(axis=1, ddof=1).sum(axis=1) / variance,
        "minor_mode_mass": (np.linalg.norm(x - minor[:, None], axis=2) < 3.0 * NOISE).mean(axis=1),
        "energy_distance": energy.numpy(),
    }


def run(args: Args, console: Console) -> list[long_format.Row]:
    """Train and judge every field with every seed; return the rows, which are also in ``args.json``."""
    if args.steps < 1 or args.samples < 2 or args.conditions < 1:
        raise ConfigError("steps, samples, conditions: expected at least 1, 2, 1")
    neighbours = max(BATCH[field][2] for field in args.fields)
    if args.bank < neighbours:
        raise ConfigError(f"bank: {args.bank} windows, expected at least the {neighbours} neighbours of one")
    torch.set_num_threads(args.threads)
    bank = Bank(np.random.default_rng([20_000, 0]), args.bank, neighbours)
    rows: list[long_format.Row] = []
    table = Table("field", "seed", "mean error", "variance ratio", "minor-mode mass", "energy distance")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        for field in args.fields:
            for seed in args.seeds:
                metrics = evaluate(train(field, bank, seed, args, progress), args)
                for metric, values in metrics.items():
                    stderr = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else None
                    rows.append(
                        long_format.row("toy", field, metric, values.mean(), stderr, seed, steps=args.steps)
                    )
                table.add_row(field, str(seed), *(f"{values.mean():.4f}" for values in metrics.values()))
    data = (
        f"two-mode toy: bank of {args.bank} points, {args.steps} steps at rate {args.lr:g},"
        f" {args.conditions} held-out conditions x {args.samples} samples;"
        " stderr over conditions; right values 0, 1, 0.30, 0"
    )
    long_format.write(args.json, data, rows)
    console.print(table)
    return rows


def main() -> int:
    """Command line; errors of users are one line and exit code 2."""
    try:
        run(tyro.cli(Args, description=__doc__), Console(stderr=True))
    except KdpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
