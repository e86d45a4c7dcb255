"""Checkpoints: everything comes back, damage is one line, and a failure while writing leaves the old one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from kdp_core import checkpoint
from kdp_core.exceptions import DataError


def parts(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer, torch.Generator]:
    torch.manual_seed(seed)
    model = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        model(torch.randn(4, 3)).square().sum().backward()
        optimiser.step()
    return model, optimiser, torch.Generator().manual_seed(seed)


def save(path: Path, seed: int = 0) -> tuple[torch.nn.Module, torch.optim.Optimizer, torch.Generator]:
    model, optimiser, generator = parts(seed)
    checkpoint.save_checkpoint(
        path, {"m": model}, {"o": optimiser}, generator, {"step": 3, "config": [1, "a"]}
    )
    return model, optimiser, generator


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    model, optimiser, generator = save(path)
    other, its_optimiser, its_generator = parts(1)
    header = checkpoint.load_checkpoint(path, {"m": other}, {"o": its_optimiser}, its_generator)
    assert header == {"step": 3, "config": [1, "a"]} == checkpoint.read_header(path)
    assert torch.equal(model.weight, other.weight)
    assert torch.equal(torch.randn(5, generator=generator), torch.randn(5, generator=its_generator))
    for m, o in ((model, optimiser), (other, its_optimiser)):  # one more step is the same for both
        o.zero_grad()
        m(torch.ones(1, 3)).sum().backward()
        o.step()
    assert torch.equal(model.weight, other.weight)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_file(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "c.safetensors"
    save(path)
    path.write_bytes(path.read_bytes()[:keep])
    model, optimiser, generator = parts(1)
    with pytest.raises(DataError, match="not a checkpoint of this project") as caught:
        checkpoint.load_checkpoint(path, {"m": model}, {"o": optimiser}, generator)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_another_models_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save(path)
    with pytest.raises(DataError, match="does not fit the model") as caught:
        checkpoint.load_checkpoint(path, {"m": torch.nn.Linear(4, 2)}, {}, torch.Generator())
    assert "\n" not in str(caught.value)


def edited(path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, str]], object]) -> None:
    """Save a checkpoint, then change its tensors and its metadata."""
    save(path)
    with safe_open(path, "pt") as file:
        tensors, metadata = {n: file.get_tensor(n) for n in file.keys()}, dict(file.metadata())  # noqa: SIM118
    change(tensors, metadata)
    save_file(tensors, path, metadata=metadata)


DAMAGED: dict[str, tuple[Callable[[dict, dict], object], str]] = {
    "no rng": (lambda t, m: t.pop("rng"), "'rng', the random generator's state, is missing"),
    "short rng": (lambda t, m: t.update(rng=t["rng"][:9].clone()), "'rng' is no generator's state"),
    "rng of floats": (lambda t, m: t.update(rng=torch.zeros(5056)), "'rng' is no generator's state"),
    "header is a list": (lambda t, m: m.update(header="[1]"), "its header is a list"),
    "deep header": (lambda t, m: m.update(header="[" * 100_000), "nested too deeply"),
    "broken header": (lambda t, m: m.update(header="{"), "header:1:2: not JSON"),
    "no header": (lambda t, m: m.update(x=m.pop("header")), "not a checkpoint"),
    "no step": (lambda t, m: m.update(header="{}"), "its header says step None"),
    "negative step": (lambda t, m: m.update(header='{"step": -1}'), "its header says step -1"),
    "odd index": (lambda t, m: t.update({"o.zz.step": t.pop("o.0.step")}), "'o.zz.step' does not fit"),
    "far index": (lambda t, m: t.update({"o.7.step": t.pop("o.0.step")}), "'o.7.step' does not fit"),
    "no exp_avg": (lambda t, m: t.pop("o.1.exp_avg"), "'o.1.exp_avg' of the optimiser is missing"),
    "no optimiser": (lambda t, m: [t.pop(n) for n in list(t) if n[0] == "o"], "of the optimiser is missing"),
    "other shape": (lambda t, m: t.update({"o.1.exp_avg": torch.zeros(3)}), "has shape .3., expected .2."),
    "no weight": (lambda t, m: t.pop("m.weight"), "does not fit the model"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_line_that_names_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "c.safetensors"
    change, words = DAMAGED[name]
    edited(path, change)
    model, optimiser, generator = parts(1)
    with pytest.raises(DataError, match=words) as caught:
        checkpoint.load_checkpoint(path, {"m": model}, {"o": optimiser}, generator)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_failure_while_writing_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.safetensors"
    save(path)
    before = path.read_bytes()

    def fail(tensors: object, target: Path, metadata: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save(path, seed=2)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]
