"""Policy ``kdp``: kdp_core's model, drift step, scorer and control cycle in the form that lerobot calls."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from torch import Tensor, nn

from kdp_core.controller import Controller, Decision
from kdp_core.drift import field_loss
from kdp_core.drift_step import coordinate_weight, drift, move_average
from kdp_core.exceptions import ConfigError
from kdp_core.model import KdpModel
from kdp_core.scorer import scorer_loss, set_scale
from kdp_core.spec import Spec
from lerobot_policy_kdp.bank import Bank, task_of
from lerobot_policy_kdp.configuration_kdp import KdpConfig
from lerobot_policy_kdp.observations import inputs_of, to_numpy


class TorchSource:
    """A model as kdp_core's window source."""

    def __init__(self, model: KdpModel) -> None:
        self.model, self.spec, self.d_noise = model, model.spec, model.size.d_noise

    @torch.no_grad()
    def propose(
        self, state: np.ndarray, context: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """State (d_s,), context (d_c + d_goal,), noise (K, d_z) -> windows (K, H, D), scores (K,)."""
        device = self.model.basis.device
        arrays = (np.atleast_2d(np.asarray(a, np.float32)) for a in (state, context, noise))
        windows, scores = self.model(*(torch.from_numpy(a).to(device) for a in arrays))
        return windows.cpu().numpy(), scores.cpu().numpy()


class KdpPolicy(PreTrainedPolicy):
    """A keyed drifting policy.

    ``model`` is what the optimiser moves; ``average`` holds its averaged generator and the scorer, and is
    what acts, what is evaluated and what is exported.
    """

    config_class = KdpConfig
    name = "kdp"

    def __init__(
        self,
        config: KdpConfig,
        dataset_stats: Mapping[str, Any] | None = None,
        dataset_meta: Any = None,
        **kwargs: Any,
    ) -> None:
        """Build the policy.

        Args:
            config: the configuration; with an empty ``spec`` the data set gives it.
            dataset_stats: not needed, the model has its own normaliser.
            dataset_meta: lerobot's metadata of the training data set.
            kwargs: what other versions of lerobot hand over.
        """
        super().__init__(config)
        self._root = None if dataset_meta is None else Path(dataset_meta.root)
        self._bank: Bank | None = None
        fresh = not config.spec
        if fresh:
            if self._root is None:
                raise ConfigError(
                    "policy kdp: its spec comes from a data set or a checkpoint; train it with lerobot-train "
                    "or make a checkpoint of an artifact with lerobot-kdp import"
                )
            bank = self._bank = Bank(self._root, config)
            config.describe(spec=bank.spec.model_dump_json(), **bank.origin)
        spec = Spec.model_validate_json(config.spec)
        config.task, config.horizon = spec.task, spec.horizon
        train = config.train_config()
        self.model = KdpModel(spec, train.network, train.components)
        self.rng = torch.Generator().manual_seed(config.seed)
        if fresh:
            self.model.fit(bank.batch, train.components, seed=config.seed)
        self.average = copy.deepcopy(self.model)
        self.average.requires_grad_(False)
        self.average.scorer.requires_grad_(True)
        self.model.scorer.requires_grad_(False)
        if fresh:
            set_scale(self.average, bank.batch, config.scorer_config(96), bank.labeller, self.rng)
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self._encoded: tuple[Tensor, Tensor, Tensor] | None = None
        self.reset()

    def get_optim_params(self) -> Iterator[nn.Parameter]:
        """The generator and the scorer; the average is moved by ``update``."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

    def forward(self, batch: Mapping[str, Tensor], **kwargs: Any) -> tuple[Tensor, dict[str, float]]:
        """Loss of one batch (drift and scorer; they share no weights) and its parts for the log.

        Needs ``index`` and ``episode_index`` (B,), which lerobot's loader gives.
        """
        bank = self._training_bank()
        if "index" not in batch or "episode_index" not in batch:
            raise ConfigError(
                "policy kdp: the batch has no index and episode_index, expected lerobot's own loader"
            )
        anchors = bank.anchors(batch["index"], batch["episode_index"], self.rng)
        condition, data, weight = self._on_device(bank)
        train = self.config.train_config()
        x, V, magnitude = drift(self.model, train, condition, data, bank.neighbourhood, anchors, self.rng)
        loss = field_loss(x, V, weight)
        settings = self.config.scorer_config(len(anchors))
        judged = scorer_loss(self.average, bank.batch, settings, bank.labeller, self.rng)[0]
        spread = x.detach().std(dim=1).square().mean().sqrt().item() if x.shape[1] > 1 else 0.0
        parts = {
            "drift_loss": loss.item(),
            "raw_drift": magnitude,
            "spread": spread,
            "scorer_loss": judged.item(),
        }
        return loss + judged, parts

    def update(self) -> None:
        """Move the averaged generator; lerobot calls this after every optimiser step."""
        move_average(self.average.generator, self.model.generator, self.config.ema, int(self.updates))
        self.updates += 1

    def reset(self) -> None:
        """Forget plans: a new episode begins."""
        self._controllers: list[Controller] = []

    @torch.no_grad()
    def select_action(self, batch: Mapping[str, Tensor], **kwargs: Any) -> Tensor:
        """One control cycle for each element of the batch: actions (B, d_a), within the spec's limits."""
        actions = [decision.action for decision in self._decide(batch)]
        return torch.from_numpy(np.stack(actions).astype(np.float32)).to(self._device)

    @torch.no_grad()
    def predict_action_chunk(self, batch: Mapping[str, Tensor], **kwargs: Any) -> Tensor:
        """Actions of the chosen windows at the control rate, (B, H * stride, d_a)."""
        spec, chunks = self.model.spec, []
        for decision in self._decide(batch):
            window = None if decision.plan is None else decision.plan.window
            rows = (
                np.tile(decision.action, (spec.horizon, 1))
                if window is None
                else np.clip(window[:, spec.d_state :], *spec.limits("action"))
            )
            chunks.append(rows.repeat(spec.stride, axis=0))
        return torch.from_numpy(np.stack(chunks).astype(np.float32)).to(self._device)

    @property
    def _device(self) -> torch.device:
        return self.model.basis.device

    def _decide(self, batch: Mapping[str, Tensor]) -> list[Decision]:
        numbers = to_numpy(batch)
        spec = self.model.spec
        count = len(numbers["observation.state"])
        if len(self._controllers) != count:
            source = TorchSource(self.average)
            self._controllers = [
                Controller(source, task_of(spec), self.config.controller_options(n)) for n in range(count)
            ]
        return [c.step(inputs_of(spec, numbers, row)) for row, c in enumerate(self._controllers)]

    def _training_bank(self) -> Bank:
        """Built on first use: a policy that only acts needs no data, and when recording there are none."""
        if self._bank is None:
            if self._root is None:
                raise ConfigError(
                    "policy kdp: training needs lerobot's dataset_meta, which lerobot-train hands over"
                )
            self._bank = Bank(self._root, self.config)
        return self._bank

    @torch.no_grad()
    def _on_device(self, bank: Bank) -> tuple[Tensor, Tensor, Tensor]:
        """The bank's conditions (W, d) and coordinates (W, C), and the loss weight (C,), on the device."""
        if self._encoded is None or self._encoded[0].device != self._device:
            arrays = (bank.batch.state, bank.batch.context)
            state, context = (torch.from_numpy(a).to(self._device) for a in arrays)
            parts = np.array_split(bank.batch.windows, max(1, len(bank.batch) // 8192))
            data = torch.cat([self.model.encode(torch.from_numpy(p).to(self._device)) for p in parts])
            weight = coordinate_weight(self.model, self.config.action_weight)
            self._encoded = (self.model.condition(state, context), data, weight)
        return self._encoded
