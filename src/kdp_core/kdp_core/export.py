"""A trained model to an artifact: one fused ONNX graph, checked against PyTorch before it is written."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import save as save_tensors

from kdp_core.artifact import write_artifact
from kdp_core.exceptions import ArtifactError
from kdp_core.model import KdpModel

PARITY_TOLERANCE = 1e-3
CHECK_CANDIDATES = 4


def export_onnx(model: KdpModel) -> bytes:
    """The model as one ONNX graph.

    State (1, d_s), context (1, d_c + d_goal), noise (K, d_z) -> windows (K, H, D), scores (K,).
    """
    state, context, noise = _example(model, 8)
    # The exporter warns about torchvision, which nothing here needs, and about its own deprecations.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "planner.onnx"
        program = torch.onnx.export(
            model.eval(),
            (state, context, noise),
            input_names=["state", "context", "noise"],
            output_names=["windows", "scores"],
            dynamic_shapes={
                "state": None,
                "context": None,
                "noise": {0: torch.export.Dim("candidates", min=1, max=4096)},
            },
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=False)
        return without_traces(path.read_bytes())


def without_traces(onnx_bytes: bytes) -> bytes:
    """The same graph without the exporter's notes, which hold stack traces with paths of this machine."""
    graph = onnx.load_model_from_string(onnx_bytes)
    for holder in (graph, graph.graph, *graph.graph.node, *graph.graph.value_info, *graph.functions):
        del holder.metadata_props[:]
        holder.ClearField("doc_string")
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def check_parity(model: KdpModel, onnx_bytes: bytes, candidates: tuple[int, ...] = (1, 3, 16, 64)) -> float:
    """Largest difference between PyTorch and onnxruntime, in units of the data's spread.

    Raises ArtifactError.
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
        worst = max(worst, float(np.abs((windows - expected[0].numpy()) / model.row_std.numpy()).max()))
        worst = max(worst, float(np.abs(scores - expected[1].numpy()).max() / float(model.scorer.value_std)))
    if not worst < PARITY_TOLERANCE:
        raise ArtifactError(
            f"export: ONNX and PyTorch differ by {worst:.2e}, expected less than {PARITY_TOLERANCE}"
        )
    return worst


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
    return state[None], context[None], torch.randn(candidates, model.size.d_noise, generator=rng)


def _model_card(model: KdpModel, provenance: dict[str, Any]) -> str:
    spec = model.spec
    parameters = sum(p.numel() for p in model.parameters())
    lines = [
        f"# {spec.name}",
        "",
        f"One-step planner for the task `{spec.task}`: {spec.horizon} rows of {spec.step_s:g} s, "
        f"{spec.d_state} state and {spec.d_action} action numbers, {spec.d_context} of context.",
        f"{parameters} parameters. Drift field: `{provenance.get('field')}`. Seed {provenance.get('seed')}.",
        f"Data: `{provenance.get('data_id')}`, {provenance.get('episodes')} episodes, "
        f"{provenance.get('windows')} windows.",
        "",
        "Trained on simulated data only. See provenance.json for configuration, data hash and metrics.",
        "",
    ]
    return "\n".join(lines)
