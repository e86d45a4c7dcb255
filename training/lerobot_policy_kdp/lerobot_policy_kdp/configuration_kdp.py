"""Configuration of policy type ``kdp``: kdp_core's options under lerobot's roof (``--policy.FIELD=…``)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from dataclasses import field as setting
from typing import Any

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import NormalizationMode
from lerobot.optim.optimizers import AdamWConfig
from lerobot.optim.schedulers import CosineDecayWithWarmupSchedulerConfig

from kdp_core.controller import ControllerOptions
from kdp_core.exceptions import ConfigError
from kdp_core.generator import NetworkSize
from kdp_core.scorer import ScorerConfig
from kdp_core.train_config import TrainConfig


@PreTrainedConfig.register_subclass("kdp")
@dataclass
class KdpConfig(PreTrainedConfig):
    """A keyed drifting policy.

    Training: lerobot's batch says which frames are anchors; their windows, and the neighbours that the drift
    field compares with, come from a bank that the policy builds from the same data set (``bank.py``).

    Args:
        task: ``generic`` (observation.state is the state, all other numbers observed are context) or a task
            of kdp_core by name, for example ``pick_place`` or ``stack``.
        horizon: rows of a window (task generic; other tasks bring their own).
        chunk: rows of a plan executed before the next plan (0: plan in every control step).
        candidates: windows per plan, K.
        ranking: what chooses among them: ``learned``, ``task`` (costs) or ``both``.
        bank_episodes: episodes that the bank holds; give what --dataset.episodes gives. None: all.
        spec: the contract, JSON; filled in when training starts, or from an artifact.
        data_id, data_sha256, data_episodes, data_windows: where the weights come from; filled in likewise.
        Others: as in kdp_core's TrainConfig, NetworkSize and ScorerConfig.
    """

    task: str = "generic"
    horizon: int = 16
    chunk: int = 0
    candidates: int = 64
    ranking: str = "both"
    seed: int = 0

    field: str = "joint"
    samples: int = 8
    neighbours: int = 8
    temperatures: list[float] = setting(default_factory=lambda: [0.05, 0.2, 0.5])
    key_temperature: float = 0.5
    beta: float = 0.0
    action_weight: float = 1.0
    condition_noise: float = 0.02
    components: int = 64
    ema: float = 0.999
    d_noise: int = 32
    width: int = 192
    blocks: int = 3
    scorer_width: int = 128
    scorer_input_noise: float = 0.1
    bank_episodes: list[int] | None = None

    optimizer_lr: float = 5e-4
    optimizer_weight_decay: float = 1e-4
    optimizer_grad_clip_norm: float = 1.0
    scheduler_warmup_steps: int = 200
    scheduler_decay_steps: int = 8000

    spec: str = ""
    data_id: str = ""
    data_sha256: str = ""
    data_episodes: int = 0
    data_windows: int = 0

    # The model normalises by itself, by the statistics of its windows: the processors leave numbers alone.
    normalization_mapping: dict[str, NormalizationMode] = setting(
        default_factory=lambda: {
            "STATE": NormalizationMode.IDENTITY,
            "ENV": NormalizationMode.IDENTITY,
            "ACTION": NormalizationMode.IDENTITY,
            "VISUAL": NormalizationMode.IDENTITY,
        }
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.horizon < 1:
            raise ConfigError(f"policy.horizon must be at least 1, got {self.horizon}")
        self.train_config()  # raises a line of its own for what is out of range
        self.controller_options()

    def train_config(self) -> TrainConfig:
        """The options of the drift step in kdp_core's form. Raises ConfigError."""
        return TrainConfig(
            field=self.field,  # type: ignore[arg-type]
            samples=self.samples,
            neighbours=self.neighbours,
            temperatures=tuple(self.temperatures),
            key_temperature=self.key_temperature,
            beta=self.beta,
            action_weight=self.action_weight,
            condition_noise=self.condition_noise,
            components=self.components,
            ema=self.ema,
            network=NetworkSize(self.d_noise, self.width, self.blocks, self.scorer_width),
            seed=self.seed,
        )

    def scorer_config(self, conditions: int) -> ScorerConfig:
        """The options of the scorer's step for a batch of ``conditions``."""
        return ScorerConfig(conditions=conditions, samples=self.samples, input_noise=self.scorer_input_noise)

    def controller_options(self, number: int = 0) -> ControllerOptions:
        """The options of the control cycle of environment ``number``. Raises ConfigError."""
        if self.ranking not in ("learned", "task", "both"):
            raise ConfigError(f"policy.ranking must be learned, task or both, got {self.ranking!r}")
        return ControllerOptions(
            candidates=self.candidates,
            chunk=self.chunk,
            ranking=self.ranking,  # type: ignore[arg-type]
            seed=self.seed + number,
        )

    def validate_features(self) -> None:
        """Check that there is a state and an action, raise ConfigError if not; warn of images left out."""
        if self.robot_state_feature is None or self.action_feature is None:
            raise ConfigError(
                f"policy kdp needs observation.state and action, got {sorted(self.input_features or {})} and "
                f"{sorted(self.output_features or {})}"
            )
        if self.image_features:
            logging.warning("policy kdp sees numbers only and ignores %s", ", ".join(self.image_features))

    def get_optimizer_preset(self) -> AdamWConfig:
        """AdamW as in kdp_core's trainer."""
        return AdamWConfig(
            lr=self.optimizer_lr,
            weight_decay=self.optimizer_weight_decay,
            grad_clip_norm=self.optimizer_grad_clip_norm,
        )

    def get_scheduler_preset(self) -> CosineDecayWithWarmupSchedulerConfig:
        """Linear warm-up, then half a cosine; lerobot shortens it where --steps is smaller."""
        return CosineDecayWithWarmupSchedulerConfig(
            num_warmup_steps=self.scheduler_warmup_steps,
            num_decay_steps=self.scheduler_decay_steps,
            peak_lr=self.optimizer_lr,
            decay_lr=1e-3 * self.optimizer_lr,
        )

    @property
    def drop_n_last_frames(self) -> int:
        """Frames at an episode's end where no whole window begins, which lerobot's sampler leaves out."""
        return self.horizon - 1 if self.task == "generic" else 0

    @property
    def observation_delta_indices(self) -> None:
        """One frame: windows come from the bank."""

    @property
    def action_delta_indices(self) -> None:
        """One frame: windows come from the bank."""

    @property
    def reward_delta_indices(self) -> None:
        """One frame: windows come from the bank."""

    def describe(self, **values: Any) -> None:
        """Fill in spec and origin of the data."""
        for name, value in values.items():
            setattr(self, name, value)
