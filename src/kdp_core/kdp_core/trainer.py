"""Algorithm 1: draw conditions, generate windows, drift them, regress onto the drifted windows.

The baselines Diffuser and consistency model train in the same loop with their own losses.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdp_core import checkpoint
from kdp_core.base_step import base_loss, count_from_base
from kdp_core.baselines.consistency import Consistency, ConsistencyModel
from kdp_core.baselines.diffuser import DiffuserModel
from kdp_core.baselines.q_learning import QLearning
from kdp_core.baselines.sampler import SampledModel
from kdp_core.drift import field_loss
from kdp_core.drift_step import coordinate_weight, drift, move_average
from kdp_core.exceptions import DataError
from kdp_core.generator import Base
from kdp_core.model import KdpModel
from kdp_core.neighbourhood import Neighbourhood
from kdp_core.run_identity import COMPARED, plain, settings_of_weights
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
    """One training run; ``run`` may be interrupted at any time and resumed from ``out``'s checkpoint.

    Only drift fields need the neighbourhood.
    """

    def __init__(
        self,
        batch: WindowBatch,
        spec: Spec,
        config: TrainConfig,
        out: Path,
        neighbourhood: Neighbourhood | None,
        data_hash: str = "",
    ) -> None:
        """Start a run.

        ``data_hash`` is the SHA-256 of the data set that the provenance names: a checkpoint of other data is
        refused.
        """
        self.config, self.spec, self.out, self.data_hash = config, spec, out, data_hash
        self.path = out / checkpoint.NAME
        torch.manual_seed(config.seed)
        self.rng = torch.Generator().manual_seed(config.seed)
        self.model = make_model(spec, config)
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
        self.q_learning = (
            QLearning(config.q_learning, self.model, batch) if config.q_learning.weight else None
        )
        self._counted_from_base = False
        names = [name for name, _ in self.model.generator.named_parameters()]
        of_base = [name for name in names if name.startswith("base.")]
        self.optimisers = {"generator_optimiser": self._optimiser(set(names) - set(of_base))}
        if of_base:
            self.optimisers["base_optimiser"] = self._optimiser(set(of_base))
        self.modules: dict[str, torch.nn.Module] = {"model": self.model, "average": self.average}
        if self.q_learning is not None:
            self.modules["critics"] = self.q_learning.critics
        self.step = 0

    def _optimiser(self, names: set[str]) -> torch.optim.AdamW:
        parameters = [p for name, p in self.model.generator.named_parameters() if name in names]
        return torch.optim.AdamW(
            parameters, lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )

    def _active(self) -> tuple[str, torch.optim.AdamW, float]:
        """Name and optimiser of what is learned at this step, and its learning rate."""
        config, of_base = self.config, self.config.base_steps
        if self.step < of_base:
            name, peak, step, steps = "base_optimiser", config.base_learning_rate, self.step, of_base
        else:
            name, peak = "generator_optimiser", config.learning_rate
            step, steps = self.step - of_base, config.steps - of_base
        warmup = min(config.warmup, steps // 4) if of_base else config.warmup
        return name, self.optimisers[name], peak * learning_rate_scale(step, steps, warmup)

    def _coordinate_weight(self) -> Tensor:
        """Weights of the loss in coordinates, the first action's own among them."""
        row = torch.ones(self.spec.d_window)
        row[self.spec.d_state :] = self.config.action_weight
        if isinstance(self.model, SampledModel):
            return self.model.loss_weight(row)
        return coordinate_weight(self.model, self.config.action_weight, self.config.first_action_weight)

    def resume(self) -> bool:
        """Continue from the checkpoint in ``out`` if there is one.

        Raises DataError if it belongs to another run.
        """
        if not self.path.exists():
            return False
        header = checkpoint.read_header(self.path)
        mine = self._header()
        for name, words in COMPARED.items():
            if name == "data_sha256" and name not in header:
                continue  # written before checkpoints said what data they are of
            if header.get(name) != mine[name]:
                raise DataError(f"{self.path}: was written with {words}; choose another --out or delete it")
        self.step = header["step"]
        checkpoint.load_checkpoint(self.path, self.modules, self._saved_optimisers(), self.rng)
        return True

    def _saved_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Those that have made a step and will make another; a new one has nothing to keep."""
        name, optimiser, _ = self._active()
        begins = self.step == self.config.base_steps > 0
        saved: dict[str, torch.optim.Optimizer] = {} if begins else {name: optimiser}
        if self.q_learning is not None:
            saved["critic_optimiser"] = self.q_learning.optimiser
        return saved

    def _header(self) -> dict[str, Any]:
        return {
            "config": plain(settings_of_weights(self.config)),
            "contract": self.spec.contract_hash(),
            "windows": len(self.data),
            "data_sha256": self.data_hash,
            "step": self.step,
        }

    def save(self) -> None:
        """Write the checkpoint atomically."""
        checkpoint.save_checkpoint(
            self.path, self.modules, self._saved_optimisers(), self.rng, self._header()
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
        if self.q_learning is not None:
            self.q_learning.teach(self.average.scorer)
        return self.average

    def _train_step(self) -> tuple[float, float, float]:
        config = self.config
        _, optimiser, rate = self._active()
        for group in optimiser.param_groups:
            group["lr"] = rate
        magnitude = spread = float("nan")
        if isinstance(self.model, SampledModel):
            loss = self._denoising_loss(self.model)
        elif self.step < config.base_steps:
            loss = self._base_loss(self.model.generator.base)
        else:
            x, V, magnitude = self._drift()
            loss = field_loss(x, V, self.weight)
            if x.shape[1] > 1:
                spread = x.detach().std(dim=1).square().mean().sqrt().item()
        self.model.generator.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.generator.parameters(), config.clip)
        optimiser.step()
        begun = self.step - config.base_steps if self.step >= config.base_steps else self.step
        move_average(self.average.generator, self.model.generator, config.ema, begun)
        return loss.item(), magnitude, spread

    def _drift(self) -> tuple[Tensor, Tensor, float]:
        """One batch: samples x (N, G, C) with gradient and their field V."""
        config = self.config
        assert self.neighbourhood is not None
        if config.base_steps and not self._counted_from_base:
            self._counted_from_base, base = True, self.average.generator.base
            assert base is not None
            self.data = count_from_base(base, self.model, self.condition, self.data)
            self.average.generator.spread.copy_(self.model.generator.spread)
        n = config.conditions * config.samples if config.field == "kdp" else config.conditions
        anchors = self.neighbourhood.draw(n, self.rng)[0]
        return drift(
            self.model, config, self.condition, self.data, self.neighbourhood, anchors, self.rng, self.step
        )

    def _base_loss(self, base: Base | None) -> Tensor:
        """One batch of data windows for the regression base."""
        assert base is not None
        rows = torch.randint(
            len(self.data), (self.config.conditions * self.config.samples,), generator=self.rng
        )
        noise = self.config.condition_noise
        return base_loss(base, self.condition, self.data, self.weight, rows, noise, self.rng)

    def _denoising_loss(self, model: SampledModel) -> Tensor:
        """One batch of data windows, noised at random levels; with critics, what they think of the policy."""
        config = self.config
        n = config.conditions * config.samples
        rows = torch.randint(len(self.data), (n,), generator=self.rng)
        condition = self.condition[rows]
        told = condition + config.condition_noise * torch.randn(condition.shape, generator=self.rng)
        if isinstance(model, ConsistencyModel):
            average = self.average.generator
            assert isinstance(average, Consistency)
            loss = model.generator.loss(
                average, self.data[rows], told, self.weight, self.step / config.steps, self.rng
            )
        else:
            assert isinstance(model, DiffuserModel)
            loss = model.generator.loss(self.data[rows], told, self.weight, self.rng)
        if self.q_learning is None:
            return loss
        self.q_learning.learn(
            self.average.generator, model.d_noise, self.data, self.condition, rows, self.rng
        )
        noise = torch.randn(n, 1, model.d_noise, generator=self.rng)
        return loss + self.q_learning.policy_loss(model.generator(noise, condition), condition, self.rng)


def make_model(spec: Spec, config: TrainConfig) -> KdpModel:
    """The untrained model of the configured method."""
    if config.method == "diffuser":
        return DiffuserModel(spec, config.network, config.components, config.diffuser)
    if config.method == "consistency":
        return ConsistencyModel(spec, config.network, config.components, config.consistency)
    return KdpModel(spec, config.network, config.components)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
