"""Algorithm 1: draw conditions, generate windows, drift them, regress onto the drifted windows."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdp_core import checkpoint
from kdp_core.drift import energy_field, field_loss, joint_field, kdp_field, mean_field
from kdp_core.exceptions import DataError
from kdp_core.model import KdpModel
from kdp_core.neighbourhood import Neighbourhood
from kdp_core.schedule import learning_rate_scale
from kdp_core.spec import Spec
from kdp_core.train_config import TrainConfig
from kdp_core.windows import WindowBatch


@dataclass(frozen=True)
class Progress:
    """What the progress bar and TensorBoard show; ``magnitude`` is the log of the raw drift's size."""

    phase: str
    step: int
    steps: int
    loss: float
    magnitude: float
    spread: float
    steps_per_s: float


Report = Callable[[Progress], None]


class Trainer:
    """One training run; ``run`` may be interrupted at any time and resumed from ``out``'s checkpoint."""

    def __init__(
        self, batch: WindowBatch, spec: Spec, config: TrainConfig, out: Path, neighbourhood: Neighbourhood
    ) -> None:
        self.config, self.spec, self.out = config, spec, out
        self.path = out / checkpoint.NAME
        torch.manual_seed(config.seed)
        self.rng = torch.Generator().manual_seed(config.seed)
        self.model = KdpModel(spec, config.network, config.components)
        self.model.fit(batch, config.components, seed=config.seed)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        with torch.no_grad():
            self.condition = self.model.condition(_tensor(batch.state), _tensor(batch.context))
            self.data = torch.cat(
                [
                    self.model.encode(_tensor(part))
                    for part in np.array_split(batch.windows, max(1, len(batch) // 8192))
                ]
            )
        self.neighbourhood = neighbourhood
        self.weight = self._coordinate_weight()
        self.optimiser = torch.optim.AdamW(
            self.model.generator.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.step = 0

    def _coordinate_weight(self) -> Tensor:
        """lambda_s and lambda_a in coordinates: the diagonal of the projected weight."""
        row = torch.ones(self.spec.d_window)
        row[self.spec.d_state :] = self.config.action_weight
        free = row.repeat(self.spec.horizon).view(self.spec.horizon, -1)[~self.model.clamped]
        return (self.model.basis.square() @ free).clone()

    def resume(self) -> bool:
        """Continue from the checkpoint in ``out`` if there is one.

        Raises DataError if it belongs to another run.
        """
        if not self.path.exists():
            return False
        header = checkpoint.read_header(self.path)
        mine = self._header()
        for name in ("config", "contract", "windows"):
            if header.get(name) != mine[name]:
                raise DataError(
                    f"{self.path}: was written with another {name}; choose another --out or delete it"
                )
        modules = {"model": self.model, "average": self.average}
        self.step = int(
            checkpoint.load_checkpoint(self.path, modules, {"generator_optimiser": self.optimiser}, self.rng)[
                "step"
            ]
        )
        return True

    def _header(self) -> dict[str, Any]:
        config = {k: v for k, v in asdict(self.config).items() if k not in ("checkpoint_every", "scorer")}
        return {
            "config": _plain(config),
            "contract": self.spec.contract_hash(),
            "windows": len(self.data),
            "step": self.step,
        }

    def save(self) -> None:
        """Write the checkpoint atomically."""
        modules = {"model": self.model, "average": self.average}
        checkpoint.save_checkpoint(
            self.path, modules, {"generator_optimiser": self.optimiser}, self.rng, self._header()
        )

    def run(self, report: Report | None = None, until: int | None = None) -> KdpModel:
        """Train the generator up to ``until`` (default: all) steps and return the averaged model."""
        last, shown, since = min(until or self.config.steps, self.config.steps), self.step, time.monotonic()
        while self.step < last:
            loss, magnitude, spread = self._train_step()
            self.step += 1
            if self.step % self.config.checkpoint_every == 0 or self.step == last:
                self.save()
            if report is not None and (self.step % 20 == 0 or self.step == last):
                now = time.monotonic()
                rate = (self.step - shown) / max(now - since, 1e-9)
                shown, since = self.step, now
                report(Progress("generator", self.step, self.config.steps, loss, magnitude, spread, rate))
        return self.average

    def _train_step(self) -> tuple[float, float, float]:
        config = self.config
        scale = learning_rate_scale(self.step, config.steps, config.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate * scale
        x, V, magnitude = self._drift()
        loss = field_loss(x, V, self.weight)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.generator.parameters(), config.clip)
        self.optimiser.step()
        decay = min(config.ema, (1 + self.step) / (10 + self.step))
        own: list[Tensor] = [p.detach() for p in self.model.generator.parameters()]
        mean: list[Tensor] = list(self.average.generator.parameters())
        torch._foreach_lerp_(mean, own, 1.0 - decay)
        spread = x.detach().std(dim=1).square().mean().sqrt().item() if x.shape[1] > 1 else float("nan")
        return loss.item(), magnitude, spread

    def _drift(self) -> tuple[Tensor, Tensor, float]:
        """One batch: samples x (N, G, C) with gradient and their field V."""
        config = self.config
        paper = config.field == "kdp"
        n, g = (config.conditions * config.samples, 1) if paper else (config.conditions, config.samples)
        anchors, neighbours, log_weights = self.neighbourhood.draw(n, self.rng)
        condition = self.condition[anchors]
        condition = condition + config.condition_noise * torch.randn(condition.shape, generator=self.rng)
        noise = torch.randn(n, g, config.network.d_noise, generator=self.rng)
        x = self.model.generator(noise, condition)
        fixed = x.detach()
        diagnostics: dict[str, Tensor] = {}
        if paper:
            keys = self.neighbourhood.keys[anchors]
            free = torch.ones(1, x.shape[-1], dtype=torch.bool)
            V = kdp_field(fixed, self.data[anchors][:, None], keys, keys, free, config.kdp, diagnostics)
        elif config.field == "joint":
            y = self.data[neighbours]
            V = joint_field(fixed, y, log_weights, config.temperatures, config.beta, diagnostics=diagnostics)
        elif config.field == "energy":
            V = energy_field(fixed, self.data[neighbours], log_weights.exp(), diagnostics)
        else:
            V = mean_field(fixed, self.data[neighbours], log_weights.exp(), diagnostics)
        return x, V, diagnostics["raw_magnitude"].item()


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _plain(value: Any) -> Any:
    """As JSON gives it back: tuples become lists."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value
