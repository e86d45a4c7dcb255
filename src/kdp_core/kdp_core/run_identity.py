"""What makes a checkpoint that of a run: the settings that its weights depend on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from kdp_core.baselines import consistency_config, diffuser_config
from kdp_core.train_config import TrainConfig

COMPARED = {
    "config": "another config",
    "contract": "another contract",
    "windows": "another number of windows",
    "data_sha256": "other data (data_sha256 differs)",
}
"""What of a checkpoint's header must agree to go on, and how a difference is called."""


def settings_of_weights(config: TrainConfig) -> dict[str, Any]:
    """What a checkpoint's weights depend on: a run with other values of these is another run."""
    settings = {k: v for k, v in asdict(config).items() if k not in ("checkpoint_every", "scorer")}
    if not config.network.base_blocks:  # as checkpoints were before there was a base
        del settings["base_share"], settings["base_learning_rate"], settings["network"]["base_blocks"]
    if config.first_action_weight == 1.0 or config.method != "kdp":
        del settings["first_action_weight"]
    if not config.network.scorer_actions:
        del settings["network"]["scorer_actions"]
    if not (config.final_temperatures and config.method == "kdp" and config.field == "joint"):
        del settings["final_temperatures"], settings["final_share"]
    if not config.q_learning.weight:
        del settings["q_learning"]
    if config.method == "kdp":  # as checkpoints were before there was another method
        del settings["method"]
    sampling = {"diffuser": diffuser_config.SAMPLING, "consistency": consistency_config.SAMPLING}
    for method, unimportant in sampling.items():
        of_method = settings.pop(method)
        if method == config.method:
            # Critics learn from samples, so how they are drawn matters then.
            kept = of_method if config.q_learning.weight else set(of_method) - set(unimportant)
            settings[method] = {k: v for k, v in of_method.items() if k in kept}
    return settings


def plain(value: Any) -> Any:
    """As JSON gives it back: tuples become lists."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, tuple | list) else value
