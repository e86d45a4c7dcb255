"""Training state in one safetensors file: weights, averages, optimiser, random generator, step. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kdp_core.exceptions import DataError
from kdp_core.files import atomic_file

NAME = "checkpoint.safetensors"


def optimiser_tensors(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """All tensors of an optimiser's state by name."""
    tensors = {}
    for index, state in optimiser.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"{prefix}.{index}.{name}"] = value if isinstance(value, Tensor) else torch.tensor(value)
    return tensors


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Inverse of ``optimiser_tensors``."""
    content = optimiser.state_dict()
    content["state"] = {}
    for name, value in tensors.items():
        if name.startswith(f"{prefix}."):
            index, field = name[len(prefix) + 1 :].split(".", 1)
            content["state"].setdefault(int(index), {})[field] = value
    optimiser.load_state_dict(content)


def save_checkpoint(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    generator: torch.Generator,
    header: dict[str, Any],
) -> None:
    """Write atomically. ``header`` is what must agree, or be known, at resume (configuration, step)."""
    tensors: dict[str, Tensor] = {"rng": generator.get_state()}
    for name, module in modules.items():
        tensors |= {f"{name}.{key}": value.contiguous().clone() for key, value in module.state_dict().items()}
    for name, optimiser in optimisers.items():
        tensors |= optimiser_tensors(optimiser, name)
    with atomic_file(path) as temporary:
        save_file(tensors, temporary, metadata={"header": json.dumps(header, sort_keys=True)})


def read_header(path: Path) -> dict[str, Any]:
    """The header of a checkpoint. Raises DataError if the file is damaged."""
    try:
        with safe_open(path, "pt") as file:
            header: dict[str, Any] = json.loads(file.metadata()["header"])
            return header
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a checkpoint of this project: {' '.join(str(error).split())}") from None


def load_checkpoint(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    generator: torch.Generator,
) -> dict[str, Any]:
    """Restore everything that ``save_checkpoint`` wrote and return its header."""
    header = read_header(path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, module in modules.items():
        try:
            module.load_state_dict(
                {k[len(name) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
            )
        except RuntimeError as error:
            raise DataError(f"{path}: does not fit the model: {' '.join(str(error).split())[:160]}") from None
    for name, optimiser in optimisers.items():
        restore_optimiser(optimiser, tensors, name)
    generator.set_state(tensors["rng"])
    return header
