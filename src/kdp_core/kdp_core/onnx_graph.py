"""A PyTorch module to an ONNX graph that tells nothing of the machine it was made on."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

MAX_CANDIDATES = 4096


def to_onnx(
    module: nn.Module,
    inputs: dict[str, Tensor],
    outputs: Sequence[str],
    dynamic: dict[str, int],
) -> onnx.ModelProto:
    """Export ``module(*inputs.values())``; ``dynamic`` names inputs and their dimension that is K, from 1 on.

    The example's K must be larger than 1, or the exporter takes it for a constant.
    """
    candidates = torch.export.Dim("candidates", min=1, max=MAX_CANDIDATES)
    shapes = tuple({dynamic[name]: candidates} if name in dynamic else None for name in inputs)
    # The exporter warns about torchvision, which nothing here needs, and about its own deprecations.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "planner.onnx"
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=False)
        graph: onnx.ModelProto = onnx.load(path)
        return without_traces(graph)


def without_traces(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without the exporter's notes, which hold stack traces with paths of this machine."""
    for holder in (graph, graph.graph, *graph.graph.node, *graph.graph.value_info, *graph.functions):
        del holder.metadata_props[:]
        holder.ClearField("doc_string")
    return graph
