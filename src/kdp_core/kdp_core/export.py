"""A trained model to an artifact: one fused ONNX graph, checked against PyTorch before it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save as save_tensors

from kdp_core.artifact import write_artifact
from kdp_core.baselines.diffuser import DiffuserModel
from kdp_core.baselines.sampler_graph import export_sampler
from kdp_core.exceptions import ArtifactError
from kdp_core.generator import folded
from kdp_core.model import KdpModel
from kdp_core.onnx_graph import to_onnx

PARITY_TOLERANCE = 1e-3
DIVERGED = 30.0
"""Standard deviations of the data, beyond which a training has diverged and 1 % is parity."""
CHECK_CANDIDATES = 4


def export_onnx(model: KdpModel) -> bytes:
    """The model as one ONNX graph.

    State (1, d_s), context (1, d_c + d_goal), noise (K, d_z) -> windows (K, H, D), scores (K,).
    """
    model = folded(model)
    if isinstance(model, DiffuserModel):
        graph = export_sampler(model)
    else:
        inputs = dict(zip(("state", "context", "noise"), _example(model, 8), strict=True))
        graph = to_onnx(model, inputs, ("windows", "scores"), {"noise": 0})
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def check_parity(model: KdpModel, onnx_bytes: bytes, candidates: tuple[int, ...] = (1, 3, 16, 64)) -> float:
    """Largest difference between PyTorch and onnxruntime, in units of the data's spread.

    Where numbers are larger than that spread it is in units of the largest. Raises ArtifactError.
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
        mean, std, value_std = model.row_mean.numpy(), model.row_std.numpy(), float(model.scorer.value_std)
        worst = max(
            worst,
            _difference((windows - mean) / std, (expected[0].numpy() - mean) / std),
            _difference(scores / value_std, expected[1].numpy() / value_std),
        )
    if not worst < PARITY_TOLERANCE:
        raise ArtifactError(
            f"export: ONNX and PyTorch differ by {worst:.2e}, expected less than {PARITY_TOLERANCE}"
        )
    return worst


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    size = float(np.abs(expected).max())
    unit = max(1.0, size) if size < DIVERGED else 10.0 * size
    return float(np.abs(found - expected).max() / unit)


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
    if provenance.get("method") == "diffuser":
        return (
            f"Diffuser (network `{provenance['network']}`, sampler `{provenance['sampler']}`, "
            f"{provenance['nfe']} network evaluations per plan)"
        )
    return f"One-step planner (drift field `{provenance.get('field')}`)"
