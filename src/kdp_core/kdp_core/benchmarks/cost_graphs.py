"""The graphs whose cost is measured: of artifacts, or of untrained networks of the real sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
import torch

from kdp_core.artifact import load_artifact
from kdp_core.baselines.diffuser import DiffuserModel
from kdp_core.baselines.diffuser_config import DiffuserConfig
from kdp_core.exceptions import ConfigError
from kdp_core.export import export_onnx
from kdp_core.generator import NetworkSize
from kdp_core.model import KdpModel
from kdp_core.onnx_graph import only_windows
from kdp_core.planner import Planner
from kdp_core.ranges import at_least
from kdp_core.spec import Spec
from kdp_core.tasks import make_task
from kdp_core.windows import Normaliser

METHODS = ("bc", "kdp", "diffuser_same_network", "diffuser")


@dataclass(frozen=True)
class Sizes:
    """Sizes of untrained networks; defaults as in the table routes."""

    network: NetworkSize = field(default_factory=lambda: NetworkSize(width=256))
    """Generator (and Diffuser's with the same network) and scorer."""
    components: int = 96
    """Components of the decoder; behaviour cloning and the U-Net have none."""
    diffuser: DiffuserConfig = field(default_factory=DiffuserConfig)
    """Diffuser's steps and U-Net; default: as published."""

    def __post_init__(self) -> None:
        at_least(self, 0, "components", prefix="sizes.")


@dataclass(frozen=True)
class Graph:
    """One method's graph: state, context, noise -> windows and, if ranked, scores."""

    method: str
    spec: Spec
    onnx_bytes: bytes
    nfe: int
    ranked: bool
    parameters: int
    trained: bool


def graphs(task: str, sizes: Sizes, artifacts: Mapping[str, Path]) -> Iterator[Graph]:
    """All methods' graphs, each ranked and unranked (behaviour cloning has nothing to rank)."""
    for name in METHODS:
        whole = _of_artifact(name, artifacts[name]) if name in artifacts else _untrained(name, task, sizes)
        bare = only_windows(onnx.load_model_from_string(whole.onnx_bytes)).SerializeToString()
        if name == "bc":
            yield replace(whole, onnx_bytes=bare, ranked=False)
        else:
            yield replace(whole, method=f"{name}_ranked")
            yield replace(whole, method=f"{name}_unranked", onnx_bytes=bare, ranked=False)


def _of_artifact(name: str, path: Path) -> Graph:
    artifact = load_artifact(path)
    nfe = Planner(artifact).nfe
    method = artifact.provenance.get("method", "kdp")
    if (method == "diffuser") != name.startswith("diffuser") or (artifact.spec.horizon == 1) != (
        name == "bc"
    ):
        raise ConfigError(
            f"--{name.replace('_', '-')}: {path} is of method "
            f"'{method}' with {nfe} evaluation(s) per plan and windows of "
            f"{artifact.spec.horizon} row(s)"
        )
    weights = onnx.load_model_from_string(artifact.onnx_bytes)
    return Graph(name, artifact.spec, artifact.onnx_bytes, nfe, True, _count(weights.graph), True)


def _count(graph: onnx.GraphProto) -> int:
    """Numbers in a graph's constants, those of inner graphs among them."""
    total = sum(torch.Size(tensor.dims).numel() for tensor in graph.initializer)
    inner = (a.g for node in graph.node for a in node.attribute if a.HasField("g"))
    return total + sum(_count(part) for part in inner)


def _untrained(name: str, task: str, sizes: Sizes) -> Graph:
    model = untrained_model(name, task, sizes)
    parameters = sum(p.numel() for p in model.parameters())
    return Graph(name, model.spec, export_onnx(model), model.nfe, True, parameters, False)


def untrained_model(name: str, task: str, sizes: Sizes) -> KdpModel:
    """The network of one of ``METHODS`` with random weights, as large as a trained one."""
    spec = make_task(task, 1 if name == "bc" else None).spec
    spec = spec.model_copy(update={"normaliser": _unit_normaliser(spec)})
    torch.manual_seed(0)
    model: KdpModel
    if name == "diffuser":
        model = DiffuserModel(spec, sizes.network, 0, replace(sizes.diffuser, network="unet"))
    elif name == "diffuser_same_network":
        config = replace(sizes.diffuser, network="mlp")
        model = DiffuserModel(spec, sizes.network, sizes.components, config)
    else:
        model = KdpModel(spec, sizes.network, 0 if name == "bc" else sizes.components)
    _pretend_fitted(model)
    return model


@torch.no_grad()
def _pretend_fitted(model: KdpModel) -> None:
    """A decoder, and weights without zeros, as a trained model has them."""
    model.basis.copy_(torch.eye(model.d_free)[: model.d_coordinates])
    model.decoder.copy_(model.basis @ torch.eye(model.clamped.numel())[(~model.clamped).flatten()])
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.5 / parameter[0].numel() ** 0.5)
    if isinstance(model, DiffuserModel):
        model.generator.low.fill_(-3.0)
        model.generator.high.fill_(3.0)


def _unit_normaliser(spec: Spec) -> Normaliser:
    sizes = {"state": spec.d_state, "action": spec.d_action, "context": spec.d_context}
    values = {f"{group}_mean": (0.0,) * n for group, n in sizes.items()}
    return Normaliser(**values, **{f"{group}_std": (1.0,) * n for group, n in sizes.items()})
