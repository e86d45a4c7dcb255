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
from kdp_core.files import atomic_file, parse_json

NAME = "checkpoint.safetensors"
ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam and AdamW keep of each parameter; other optimisers are not used here."""


def optimiser_tensors(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """All tensors of an optimiser's state by name."""
    tensors = {}
    for index, state in optimiser.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"{prefix}.{index}.{name}"] = value if isinstance(value, Tensor) else torch.tensor(value)
    return tensors


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Inverse of ``optimiser_tensors``. Raises DataError unless every parameter has what Adam keeps of it."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    missing = {f"{prefix}.{index}.{field}" for index in range(len(parameters)) for field in ADAM}
    for name, value in tensors.items():
        if not name.startswith(f"{prefix}."):
            continue
        if name not in missing:
            raise DataError(f"'{name}' does not fit the optimiser of {len(parameters)} parameters")
        missing.remove(name)
        index, field = name[len(prefix) + 1 :].split(".", 1)
        shape = torch.Size() if field == "step" else parameters[int(index)].shape
        if value.shape != shape:
            raise DataError(f"'{name}' has shape {list(value.shape)}, expected {list(shape)}")
        state.setdefault(int(index), {})[field] = value
    if missing:
        raise DataError(f"'{min(missing)}' of the optimiser is missing")
    optimiser.load_state_dict(optimiser.state_dict() | {"state": state})


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
            text = file.metadata()["header"]
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise _foreign(path, error) from None
    header = parse_json(text, f"{path}: header", DataError)
    if not isinstance(header, dict):
        raise _foreign(path, f"its header is a {type(header).__name__}")
    if type(header.get("step")) is not int or header["step"] < 0:
        raise _foreign(path, f"its header says step {header.get('step')!r}")
    return header


def _foreign(path: Path, why: object) -> DataError:
    return DataError(f"{path}: not a checkpoint of this project: {' '.join(str(why).split())[:160]}")


def load_checkpoint(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    generator: torch.Generator,
) -> dict[str, Any]:
    """Restore everything that ``save_checkpoint`` wrote and return its header.

    Raises DataError if something is missing, damaged or another model's.
    """
    header = read_header(path)
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _foreign(path, error) from None
    for name, module in modules.items():
        try:
            module.load_state_dict(
                {k[len(name) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
            )
        except RuntimeError as error:
            raise DataError(f"{path}: does not fit the model: {' '.join(str(error).split())[:160]}") from None
    for name, optimiser in optimisers.items():
        try:
            restore_optimiser(optimiser, tensors, name)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
    if "rng" not in tensors:
        raise DataError(f"{path}: 'rng', the random generator's state, is missing")
    try:
        generator.set_state(tensors["rng"])
    except (RuntimeError, TypeError) as error:
        raise DataError(f"{path}: 'rng' is no generator's state: {str(error)[:160]}") from None
    return header
