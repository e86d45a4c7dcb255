"""A many-step sampler as one ONNX graph: the network once, inside a Scan over the steps.

Unrolled, a U-Net of T = 20 takes minutes to export and T = 100 much longer; a Scan costs the same for any T.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import ModelProto, compose, helper, numpy_helper
from torch import Tensor, nn

from kdp_core.baselines.sampler import ManyStepSampler, SampledModel
from kdp_core.onnx_graph import to_onnx

EXAMPLE_CANDIDATES = 8


class Beginning(nn.Module):
    """Condition and noise to what the loop starts from: encoded (1, E), x (K, C), each step's noise."""

    def __init__(self, model: SampledModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, state: Tensor, context: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        """State (1, d_s), context (1, d_c), noise (K, d_noise) -> encoded, x, fresh (S, K, C) if any."""
        generator = self.model.generator
        encoded = generator.encoder(self.model.condition(state, context))
        start = generator.sampling.temperature * noise[:, : generator.n]
        if generator.steps.draws == 1:
            return encoded, start
        # The last step takes no noise; the first noise fills its place and is multiplied by 0.
        fresh = torch.cat([noise[:, generator.n :], noise[:, : generator.n]], dim=1)
        return encoded, start, fresh.unflatten(1, (-1, generator.n)).transpose(0, 1).contiguous()


class Step(nn.Module):
    """One step of the sampler; what differs between steps comes in as a row."""

    def __init__(self, generator: ManyStepSampler) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self, x: Tensor, told: Tensor, row: Tensor, encoded: Tensor, fresh: Tensor | None = None
    ) -> Tensor:
        """X (K, C), embedded time (1, W), row (5,), encoded (1, E), noise (K, C) -> x one step cleaner."""
        signal, noise, start_factor, noisy_factor, sigma = row
        start = self.generator.predict_start(x, told, encoded, signal, noise)
        x = start_factor * start + noisy_factor * x
        return x if fresh is None else x + sigma * fresh


class End(nn.Module):
    """Clean x to clamped windows and scores."""

    def __init__(self, model: SampledModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, state: Tensor, context: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """State (1, d_s), context (1, d_c), x (K, C) -> windows (K, H, D), scores (K,)."""
        generator = self.model.generator
        scorer = self.model.scorer
        coordinates = x * generator.spread + generator.shift
        windows = self.model.decode(coordinates, state[0], context[0])
        return windows, scorer.score(coordinates, scorer.encoder(self.model.condition(state, context)))


def step_rows(generator: ManyStepSampler) -> np.ndarray:
    """What the steps differ in besides time, (S, 5): signal, noise, factors of x_0 and x, sigma."""
    table = generator.steps
    sigma = table.sigma * generator.sampling.temperature
    return np.stack([table.signal, table.noise, table.start, table.noisy, sigma], 1).astype(np.float32)


@torch.no_grad()
def export_sampler(model: SampledModel) -> ModelProto:
    """State (1, d_s), context (1, d_c + d_goal), noise (K, d_noise) -> windows (K, H, D), scores (K,)."""
    generator, k = model.generator, EXAMPLE_CANDIDATES
    state = torch.zeros(1, model.spec.d_state)
    context = torch.zeros(1, model.spec.d_context + model.spec.d_goal)
    noisy = generator.steps.draws > 1
    told = generator.network.time(torch.from_numpy(generator.steps.time))
    encoded = generator.encoder(model.condition(state, context))
    x = torch.zeros(k, generator.n)
    rows = step_rows(generator)

    first = {"state": state, "context": context, "noise": torch.zeros(k, generator.d_noise)}
    loop = {"x": x, "told": told[:1], "row": torch.from_numpy(rows[0]), "encoded": encoded}
    names, dynamic = ["encoded", "start"], {"x": 0}
    if noisy:
        loop["fresh"], dynamic["fresh"] = torch.zeros(k, generator.n), 0
        names.append("fresh")
    begin = to_onnx(Beginning(model), first, names, {"noise": 0})
    body = to_onnx(Step(generator), loop, ["next"], dynamic)
    end = to_onnx(End(model), {"state": state, "context": context, "x": x}, ["windows", "scores"], {"x": 0})
    return _assemble(begin, body, end, told.numpy()[:, None, :], rows, noisy)


def _assemble(
    begin: ModelProto, body: ModelProto, end: ModelProto, told: np.ndarray, rows: np.ndarray, noisy: bool
) -> ModelProto:
    """Join the three graphs: the body becomes the Scan's, and reads ``encoded`` from outside."""
    begin, body, end = (
        compose.add_prefix(part, prefix) for part, prefix in ((begin, "b/"), (body, "s/"), (end, "e/"))
    )
    inner = body.graph
    order = ["s/x", "s/told", "s/row", *(["s/fresh"] if noisy else [])]
    inputs = {value.name: value for value in inner.input}
    del inner.input[:]
    inner.input.extend(inputs[name] for name in order)
    del inner.value_info[:]
    _rename(inner, {"s/encoded": "b/encoded"})
    scan = helper.make_node(
        "Scan",
        ["b/start", "told", "rows", *(["b/fresh"] if noisy else [])],
        ["e/x"],
        body=inner,
        num_scan_inputs=len(order) - 1,
    )
    _rename(begin.graph, {"b/state": "state", "b/context": "context", "b/noise": "noise"})
    _rename(end.graph, {"e/state": "state", "e/context": "context"})
    _rename(end.graph, {"e/windows": "windows", "e/scores": "scores"})
    tables = [numpy_helper.from_array(told, "told"), numpy_helper.from_array(rows, "rows")]
    graph = helper.make_graph(
        [*begin.graph.node, scan, *end.graph.node],
        "planner",
        list(begin.graph.input),
        list(end.graph.output),
        [*begin.graph.initializer, *tables, *end.graph.initializer],
    )
    imports = {entry.domain: entry for part in (begin, body, end) for entry in part.opset_import}
    functions = {(f.domain, f.name): f for part in (begin, body, end) for f in part.functions}
    model = helper.make_model(graph, opset_imports=list(imports.values()), functions=list(functions.values()))
    model.ir_version = begin.ir_version
    onnx.checker.check_model(model)
    return model


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for edges in (node.input, node.output):
            edges[:] = [names.get(name, name) for name in edges]
