"""Between kdp_core's artifacts and lerobot's checkpoints; the weights are the same numbers in both."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from safetensors.torch import load_file

from kdp_core import __version__
from kdp_core.artifact import load_artifact, require_replaceable
from kdp_core.exceptions import ArtifactError, ConfigError
from kdp_core.export import export_artifact
from kdp_core.files import atomic_directory, load_json
from lerobot_policy_kdp.configuration_kdp import KdpConfig
from lerobot_policy_kdp.modeling_kdp import KdpPolicy
from lerobot_policy_kdp.processor_kdp import make_kdp_pre_post_processors

PRETRAINED = "pretrained_model"
_ELSEWHERE = {"spec", "normalization_mapping", "data_id", "data_sha256", "data_episodes", "data_windows"}
_OWN = sorted({f.name for f in fields(KdpConfig)} - {f.name for f in fields(PreTrainedConfig)} - _ELSEWHERE)


def policy_from_artifact(path: str | Path, device: str = "cpu") -> KdpPolicy:
    """The policy that acts as the artifact does. Raises ArtifactError on damage or another method."""
    path = Path(path)
    artifact = load_artifact(path)
    weights = load_file(path / "weights.safetensors")
    spec, provenance = artifact.spec, artifact.provenance
    sizes = _sizes(weights, path)
    train = (provenance.get("configuration") or {}).get("train") or {}
    known = {
        name: train[name] for name in ("samples", "neighbours", "beta", "action_weight") if name in train
    }
    field = provenance.get("field", "joint")
    features = {"observation.state": PolicyFeature(FeatureType.STATE, (spec.d_state,))}
    config = KdpConfig(
        device=device,
        input_features=features,
        output_features={"action": PolicyFeature(FeatureType.ACTION, (spec.d_action,))},
        spec=spec.model_dump_json(),
        data_id=str(provenance.get("data_id", "")),
        data_sha256=str(provenance.get("data_sha256", "")),
        data_episodes=int(provenance.get("episodes", 0)),
        data_windows=int(provenance.get("windows", 0)),
        field=field,
        **known,
        **sizes,
    )
    policy = KdpPolicy(config)
    for model in (policy.model, policy.average):
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            line = " ".join(str(error).split())[:160]
            raise ArtifactError(f"{path}/weights.safetensors: does not fit the spec: {line}") from None
    return policy.to(device).eval()


def _sizes(weights: dict[str, torch.Tensor], path: Path) -> dict[str, int]:
    """Sizes of the networks, which the tensors tell."""
    if "generator.base.head.weight" in weights:
        raise ArtifactError(
            f"{path}/weights.safetensors: has a regression base (network.base_blocks), the policy none"
        )
    if "scorer.judged" in weights:
        raise ArtifactError(
            f"{path}/weights.safetensors: has a scorer of actions (network.scorer_actions), the policy none"
        )
    try:
        blocks = {name.split(".")[2] for name in weights if name.startswith("generator.blocks.")}
        return {
            "d_noise": weights["generator.noise.weight"].shape[1],
            "width": weights["generator.noise.weight"].shape[0],
            "blocks": len(blocks),
            "scorer_width": weights["scorer.window.weight"].shape[0],
            "components": weights["basis"].shape[0],
        }
    except KeyError as error:
        raise ArtifactError(
            f"{path}/weights.safetensors: tensor {error} is missing; only method kdp can be loaded"
        ) from None


def write_checkpoint(policy: KdpPolicy, path: str | Path, overwrite: bool = False) -> Path:
    """Write what lerobot's --policy.path takes: configuration, weights and processors."""
    path = Path(path)
    with atomic_directory(path, overwrite, ConfigError) as temporary:
        policy.save_pretrained(temporary)
        for processor in make_kdp_pre_post_processors(policy.config):
            processor.save_pretrained(temporary)
    return path


def load_checkpoint(path: str | Path) -> tuple[KdpPolicy, dict[str, Any]]:
    """A policy from a folder that lerobot-train wrote, and what its train_config.json says (or nothing).

    Raises ConfigError if there is no checkpoint of policy kdp.
    """
    path = Path(path)
    folder = path / PRETRAINED if (path / PRETRAINED).is_dir() else path
    if not (folder / "config.json").is_file() or not (folder / "model.safetensors").is_file():
        raise ConfigError(f"{folder}: no checkpoint of lerobot, expected config.json and model.safetensors")
    kind = load_json(folder / "config.json").get("type")
    if kind != "kdp":
        raise ConfigError(f"{folder}/config.json: type is {kind!r}, expected 'kdp'")
    training = folder / "train_config.json"
    return KdpPolicy.from_pretrained(folder, strict=True), load_json(training) if training.is_file() else {}


def export_policy(policy: KdpPolicy, path: str | Path, provenance: dict[str, Any] | None = None) -> Path:
    """Write the artifact that kdp_core's planner and the ROS node load. Raises ArtifactError."""
    require_replaceable(Path(path))
    config = policy.config
    settings = {name: getattr(config, name) for name in _OWN}
    content = {
        "method": "kdp",
        "field": config.field,
        "nfe": 1,
        "seed": config.seed,
        "data_id": config.data_id,
        "data_sha256": config.data_sha256,
        "episodes": config.data_episodes,
        "windows": config.data_windows,
        "updates": int(policy.updates),
        "configuration": {"lerobot_policy_kdp": settings},
        "code_version": __version__,
        "torch": torch.__version__,
        **(provenance or {}),
    }
    return export_artifact(policy.average, path, content)


def export_checkpoint(checkpoint: str | Path, path: str | Path) -> Path:
    """Artifact of a checkpoint, with the run's seed and steps in its provenance."""
    policy, training = load_checkpoint(checkpoint)
    known = {
        name: training[name] for name in ("seed", "steps", "batch_size") if training.get(name) is not None
    }
    return export_policy(policy, path, known)
