"""Behaviour policies from files: every variant of the format against a float64 loop, and wrong files."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from kdp_core.exceptions import DataError
from kdp_core.sim.npz_policy import NpzPolicy

RUNNING = {
    "obs_mean": np.array([0.1, -0.2, 0.3]),
    "obs_var": np.array([0.5, 2.0, 1e-9]),
    "obs_eps": np.array(1e-8),
    "obs_clip": np.array(1.5),
}
FIXED = {"obs_mean": np.array([0.1, -0.2, 0.3]), "obs_scale": np.array([0.5, 2.0, 4.0])}
OUT = {"act_shift": np.array([0.2, -0.1]), "act_scale": np.array([0.5, 3.0])}


def arrays(seed: int = 0, sizes: tuple[int, ...] = (3, 5, 4, 2), **more: np.ndarray) -> dict:
    rng = np.random.default_rng(seed)
    out = {
        "activation": np.array("relu"),
        "squash": np.array("tanh"),
        "log_std_b": rng.normal(size=sizes[-1]),
    }
    for i, (a, b) in enumerate(pairwise(sizes)):
        out[f"w{i}"] = rng.normal(size=(b, a)).astype(np.float32)
        out[f"b{i}"] = rng.normal(size=b).astype(np.float32)
    return {**out, **more}


def by_loops(a: dict, observation: np.ndarray, noise: np.ndarray | None) -> list[float]:
    """The format's sentences, number by number."""
    h = [float(v) for v in observation]
    for i in range(len(h)):
        if "obs_var" in a:
            z = (h[i] - a["obs_mean"][i]) / math.sqrt(a["obs_var"][i] + a["obs_eps"])
            h[i] = max(-float(a["obs_clip"]), min(float(a["obs_clip"]), z))
        elif "obs_scale" in a:
            h[i] = (h[i] - a["obs_mean"][i]) / a["obs_scale"][i]
    layers = sum(name.startswith("w") for name in a)
    hidden = h
    for layer in range(layers):
        hidden = h
        h = []
        for row, bias in zip(a[f"w{layer}"], a[f"b{layer}"], strict=True):
            total = float(bias) + sum(float(w) * v for w, v in zip(row, hidden, strict=True))
            if layer < layers - 1:
                total = max(0.0, total) if a["activation"] == "relu" else math.tanh(total)
            h.append(total)
    action = []
    for i, mu in enumerate(h):
        if "act_scale" in a:
            mu = mu * a["act_scale"][i] + a["act_shift"][i]
        log_std = float(a["log_std_b"][i])
        if "log_std_w" in a:
            log_std += sum(float(w) * v for w, v in zip(a["log_std_w"][i], hidden, strict=True))
            log_std = max(-20.0, min(2.0, log_std))
        u = mu + (0.0 if noise is None else math.exp(log_std) * noise[i])
        action.append(math.tanh(u) if a["squash"] == "tanh" else max(-1.0, min(1.0, u)))
    return action


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("squash", ["tanh", "clip"])
@pytest.mark.parametrize("more", [{}, RUNNING, {**FIXED, **OUT}, {"log_std_w": 3.0 * np.ones((2, 4))}])
def test_every_variant_against_a_loop(tmp_path: Path, activation: str, squash: str, more: dict) -> None:
    a = arrays(1, **more, activation=np.array(activation), squash=np.array(squash))
    np.savez(tmp_path / "policy.npz", **a)
    policy = NpzPolicy.load(tmp_path / "policy.npz")
    assert (policy.d_observation, policy.d_action) == (3, 2)
    for seed in range(5):
        observation = np.random.default_rng([9, seed]).normal(size=3)
        noise = np.random.default_rng(seed).standard_normal(2)
        drawn = policy.action(observation, np.random.default_rng(seed))
        assert drawn == pytest.approx(by_loops(a, observation, noise), abs=1e-12)
        assert policy.action(observation) == pytest.approx(by_loops(a, observation, None), abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w1": None}, "w1 is missing"),
        ({"w1": np.zeros((4, 6))}, r"w1 is float64 \(4, 6\), expected numbers of shape \(any, 5\)"),
        ({"b2": np.array([0.0, np.nan])}, "b2 must be finite"),
        ({"activation": np.array("gelu")}, "activation must be relu or tanh, got 'gelu'"),
        ({"squash": None}, "squash is missing, expected tanh or clip"),
        ({"log_std_b": None}, "log_std_b is missing"),
        ({"log_std_w": np.zeros((2, 5))}, r"log_std_w is .* expected numbers of shape \(2, 4\)"),
        ({"obs_mean": np.zeros(3)}, "obs_mean: expected all of obs_mean, obs_var"),
        ({**FIXED, "obs_scale": np.zeros(3)}, "obs_scale must be greater than 0"),
        ({"act_scale": np.ones(2)}, "act_shift is missing"),
    ],
)
def test_wrong_content_is_one_line(tmp_path: Path, change: dict, message: str) -> None:
    content = {k: v for k, v in {**arrays(), **change}.items() if v is not None}
    np.savez(tmp_path / "bad.npz", **content)
    with pytest.raises(DataError, match=message) as caught:
        NpzPolicy.load(tmp_path / "bad.npz")
    assert str(caught.value).startswith(str(tmp_path / "bad.npz")) and "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("not a zip")
    np.savez(tmp_path / "objects.npz", **{**arrays(), "activation": np.array([{"a": 1}], dtype=object)})
    np.savez(tmp_path / "whole.npz", **arrays())
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:200])
    for name, message in (
        ("one.npy", "is one array"),
        ("text.npz", "not a policy file"),
        ("objects.npz", "not a policy file"),
        ("cut.npz", "not a policy file"),
        ("none.npz", "cannot be read"),
    ):
        with pytest.raises(DataError, match=message):
            NpzPolicy.load(tmp_path / name)
