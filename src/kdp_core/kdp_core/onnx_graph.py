"""A PyTorch module to an ONNX graph that tells nothing of the machine it was made on."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    # The exporter warns about torchvision, which nothing here needs, and about its own ways.
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
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


def only_windows(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A planner's graph without the scorer: what only the scores need is left out."""
    pruned = onnx.ModelProto()
    pruned.CopyFrom(graph)
    needed = {"windows"}
    nodes = []
    for node in reversed(graph.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed |= _read_by(node)
    parts: tuple[tuple[Any, list[Any]], ...] = (
        (pruned.graph.node, nodes[::-1]),
        (pruned.graph.output, [v for v in graph.graph.output if v.name == "windows"]),
        (pruned.graph.initializer, [v for v in graph.graph.initializer if v.name in needed]),
    )
    for part, kept in parts:
        del part[:]
        part.extend(kept)
    return pruned


def _read_by(node: onnx.NodeProto) -> set[str]:
    """Names that a node reads, those that its inner graphs take from outside among them."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in [attribute.g, *attribute.graphs]:
            for part in inner.node:
                names |= _read_by(part)
    return names
