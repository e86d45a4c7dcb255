"""How a planner is trained, as plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from dataclasses import field as setting
from typing import Literal

from kdp_core.baselines.consistency_config import ConsistencyConfig
from kdp_core.baselines.diffuser_config import DiffuserConfig
from kdp_core.baselines.q_learning_config import QLearningConfig
from kdp_core.drift import KdpOptions
from kdp_core.exceptions import ConfigError
from kdp_core.generator import NetworkSize
from kdp_core.ranges import a_seed, at_least, positive, within
from kdp_core.scorer import ScorerConfig

FieldName = Literal["joint", "kdp", "energy", "mean"]


@dataclass(frozen=True)
class TrainConfig:
    """How a planner is trained (defaults: section 5 of the method notes)."""

    method: Literal["kdp", "diffuser", "consistency"] = "kdp"
    """`kdp`: one-step planner by a drift field; `diffuser`, `consistency`: baselines on the same windows."""
    field: FieldName = "joint"
    """Drift field (kdp)."""
    steps: int = 8000
    """Gradient steps of the generator."""
    conditions: int = 96
    """Anchor conditions per step, N (kdp: B = conditions x samples windows)."""
    samples: int = 8
    """Generated windows per condition, G."""
    neighbours: int = 8
    """Data windows per condition, k."""
    temperatures: tuple[float, ...] = (0.05, 0.2, 0.5)
    """Softmax temperatures of the fields kdp and joint."""
    final_temperatures: tuple[float, ...] = ()
    """Of the field joint in the last `final_share` of its steps; none given: `temperatures` to the end. High
    ones tell far modes of each other; later, without them, samples come to lie closer to the data."""
    final_share: float = 0.9
    """Share of the steps that have `final_temperatures`."""
    key_temperature: float = 0.5
    """tau_kappa: how fast a neighbour's weight falls with its key distance."""
    beta: float = 0.0
    """Extra pull of the samples' mean onto the neighbours' mean (field joint)."""
    kdp: KdpOptions = setting(default_factory=KdpOptions)
    """Switches of the paper's field (Table IV)."""
    diffuser: DiffuserConfig = setting(default_factory=DiffuserConfig)
    """The baseline's settings (method diffuser; its batch is conditions x samples windows)."""
    consistency: ConsistencyConfig = setting(default_factory=ConsistencyConfig)
    """The baseline's settings (method consistency; its batch is conditions x samples windows)."""
    q_learning: QLearningConfig = setting(default_factory=QLearningConfig)
    """Critics beside a baseline's policy (methods diffuser and consistency, windows of one row)."""
    action_weight: float = 1.0
    """lambda_a, applied in the window before the decoder's coordinates are taken (1: equal to states)."""
    first_action_weight: float = 1.0
    """Of the first action over the others (kdp; Diffuser has its own), as it is the one that is executed."""
    learning_rate: float = 5e-4
    """Peak of the cosine schedule (AdamW)."""
    base_share: float = 0.3
    """Share of the steps that learn the regression base, where the network has one (network.base_blocks)."""
    base_learning_rate: float = 2e-3
    """Peak of the base's own cosine schedule."""
    weight_decay: float = 1e-4
    """AdamW's."""
    warmup: int = 200
    """Steps of linear warm-up."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the averaged weights, which are what is exported."""
    components: int = 64
    """Components of the fixed PCA decoder; 0: none."""
    condition_noise: float = 0.02
    """Standard deviation of noise on the whitened condition, against state noise."""
    network: NetworkSize = setting(default_factory=NetworkSize)
    """Sizes of the networks."""
    scorer: ScorerConfig = setting(default_factory=ScorerConfig)
    """Training of the scorer."""
    seed: int = 0
    """Seed of initialisation and sampling."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""

    @property
    def base_steps(self) -> int:
        """Of ``steps``, those that learn the regression base."""
        if not self.network.base_blocks:
            return 0
        return min(max(1, round(self.base_share * self.steps)), self.steps - 1)

    def temperatures_at(self, step: int) -> tuple[float, ...]:
        """Temperatures of the joint field in one of the ``steps``."""
        drifting = self.steps - self.base_steps
        late = step - self.base_steps >= (1.0 - self.final_share) * drifting
        return self.final_temperatures if self.final_temperatures and late else self.temperatures

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", "conditions", "samples", "checkpoint_every", prefix="train.")
        within(self, 1, 4096, "neighbours", prefix="train.")
        at_least(self, 0, "warmup", "components", "beta", "weight_decay", prefix="train.")
        at_least(self, 0, "condition_noise", prefix="train.")
        a_seed(self, prefix="train.")
        positive(self, "base_learning_rate", "first_action_weight", prefix="train.")
        positive(self, "learning_rate", "key_temperature", "action_weight", "clip", prefix="train.")
        if self.method == "kdp" and self.field in ("joint", "energy") and self.samples < 2:
            raise ConfigError(
                f"train.samples must be at least 2 for field '{self.field}', got {self.samples}"
            )
        if not 0.0 < self.base_share < 1.0:
            raise ConfigError(f"train.base_share must be between 0 and 1, got {self.base_share}")
        if self.network.base_blocks and self.steps < 2:
            raise ConfigError(f"train.steps must be at least 2 with network.base_blocks, got {self.steps}")
        if self.network.base_blocks and (self.method != "kdp" or self.field == "kdp"):
            raise ConfigError(
                "train.network.base_blocks must be 0 for methods 'diffuser' and 'consistency' and field "
                f"'kdp', got {self.network.base_blocks}"
            )
        if self.q_learning.weight and (self.method == "kdp" or self.network.scorer_actions):
            raise ConfigError(
                "train.q_learning.weight must be 0 for method 'kdp' and with network.scorer_actions, "
                f"got {self.q_learning.weight}"
            )
        if not 0.0 < self.final_share < 1.0:
            raise ConfigError(f"train.final_share must be between 0 and 1, got {self.final_share}")
        if not 0.0 <= self.ema < 1.0:
            raise ConfigError(f"train.ema must be in [0, 1), got {self.ema}")
        for name, values in (
            ("temperatures", self.temperatures),
            ("kdp.temperatures", self.kdp.temperatures),
        ):
            if not values or not all(0.0 < value < math.inf for value in values):
                raise ConfigError(
                    f"train.{name} must be one or more numbers greater than 0, got {list(values)}"
                )
        if not all(0.0 < value < math.inf for value in self.final_temperatures):
            raise ConfigError(
                "train.final_temperatures must be numbers greater than 0, or none, "
                f"got {list(self.final_temperatures)}"
            )
