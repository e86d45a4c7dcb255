"""Checkpoints: everything comes back, damage is one line, and a failure while writing leaves the old one."""

from pathlib import Path

import pytest
import torch

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
