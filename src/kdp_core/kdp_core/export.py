"""A trained model to an artifact: one fused ONNX graph, checked against PyTorch before it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save as save_tensors

from kdp_core.artifact import diverged, write_artifact
from kdp_core.baselines.sampler import SampledModel
from kdp_core.baselines.sampler_graph import export_sampler
from kdp_core.exceptions import ArtifactError
from kdp_core.generator import folded
from kdp_core.model import KdpModel
from kdp_core.onnx_graph import to_onnx

PARITY_TOLERANCE = 1e-3
CHECK_CANDIDATES = 4


def export_onnx(model: KdpModel) -> bytes:
    """The model as one ONNX graph.

    State (1, d_s), context (1, d_c + d_goal), noise (K, d_z) -> windows (K, H, D), scores (K,).
    """
    model = folded(model)
    if isinstance(model, SampledModel):
        graph = export_sampler(model)
    else:
        inputs = dict(zip(("state", "context", "noise"), _example(model, 8), strict=True))
        graph = to_onnx(model, inputs, ("windows", "scores"), {"noise": 0})
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def check_parity(model: KdpModel, onnx_bytes: bytes, candidates: tuple[int, ...] = (1, 3, 16, 64)) -> float:
    """Largest difference between PyTorch and onnxruntime, in units of the data's spread.

    Where numbers are larger than that spread it is in units of the largest, and of ten times that where the
    training has diverged. Raises ArtifactError.
    """
    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    worst = 0.0
    for k in candidates:
        inputs = _example(model, k, seed=k)
        with torch.no_grad():
            expected = model(*inputs)
        feeds = {
            name: value.numpy() for name, value in zip(("state", "context", "noise"), inputs, strict=True)
        }
        windows, scores = session.run(["windows", "scores"], feeds)
        row, value = (model.row_mean.numpy(), model.row_std.numpy()), _moments(model)
        parts = [
            _difference((found - mean) / std, (wanted.numpy() - mean) / std)
            for found, wanted, (mean, std) in zip((windows, scores), expected, (row, value), strict=True)
        ]
        if not np.isfinite(parts).all():
            raise ArtifactError("export: the network gives numbers that are not finite")
        allowed = 10.0 if diverged(expected[0].numpy(), model.spec) else 1.0
        worst = max(worst, *(part / allowed for part in parts))
    if not worst < PARITY_TOLERANCE:
        raise ArtifactError(
            f"export: ONNX and PyTorch differ by {worst:.2e}, expected less than {PARITY_TOLERANCE}"
        )
    return worst


def _moments(model: KdpModel) -> tuple[float, float]:
    return float(model.scorer.value_mean), float(model.scorer.value_std)


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


def export_artifact(model: KdpModel, path: str | Path, provenance: dict[str, Any]) -> Path:
    """Export, check and write the artifact directory ``path`` (see ``kdp_core.artifact``)."""
    model = model.cpu().eval()
    onnx_bytes = export_onnx(model)
    parity = check_parity(model, onnx_bytes)
    inputs = _example(model, CHECK_CANDIDATES, seed=1)
    with torch.no_grad():
        windows, scores = model(*inputs)
    check = {
        "state": inputs[0][0].tolist(),
        "context": inputs[1][0].tolist(),
        "noise": inputs[2].tolist(),
        "windows": windows.tolist(),
        "scores": scores.tolist(),
    }
    provenance = {**provenance, "onnx_parity": parity}
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    files = {
        "spec.json": json.dumps(model.spec.model_dump(mode="json"), indent=1).encode(),
        "planner.onnx": onnx_bytes,
        "weights.safetensors": save_tensors(weights),
        "provenance.json": json.dumps(provenance, indent=1, default=str).encode(),
        "check.json": json.dumps(check).encode(),
        "MODEL_CARD.md": _model_card(model, provenance).encode(),
    }
    return write_artifact(path, files)


def _example(
    model: KdpModel, candidates: int, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    drawn = torch.randn(len(model.condition_mean), generator=rng) * model.condition_std + model.condition_mean
    state, context = drawn[: model.spec.d_state], drawn[model.spec.d_state :]
    return state[None], context[None], torch.randn(candidates, model.d_noise, generator=rng)


def _model_card(model: KdpModel, provenance: dict[str, Any]) -> str:
    spec = model.spec
    parameters = sum(p.numel() for p in model.parameters())
    lines = [
        f"# {spec.name}",
        "",
        f"{_title(provenance)} for the task `{spec.task}`: {spec.horizon} rows of {spec.step_s:g} s, "
        f"{spec.d_state} state and {spec.d_action} action numbers, {spec.d_context} of context.",
        f"{parameters} parameters. Seed {provenance.get('seed')}.",
        f"Data: `{provenance.get('data_id')}`, {provenance.get('episodes')} episodes, "
        f"{provenance.get('windows')} windows.",
        "",
        "Trained on simulated data only. See provenance.json for configuration, data hash and metrics.",
        "",
    ]
    return "\n".join(lines)


def _title(provenance: dict[str, Any]) -> str:
    if provenance.get("method") == "consistency":
        return f"Consistency policy ({provenance['nfe']} network evaluations per plan)"
    if provenance.get("method") == "diffuser":
        return (
            f"Diffuser (network `{provenance['network']}`, sampler `{provenance['sampler']}`, "
            f"{provenance['nfe']} network evaluations per plan)"
        )
    return f"One-step planner (drift field `{provenance.get('field')}`)"
