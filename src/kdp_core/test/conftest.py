"""What several tests need: a small spec that clamps its goal, windows for it, the shipped artifact."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kdp_core.spec import Channel, Goal, KeyPart, Spec
from kdp_core.windows import WindowBatch, fit_normaliser

SHIPPED = Path(__file__).resolve().parents[1] / "artifacts" / "crazyflie"


@pytest.fixture
def small_spec() -> Spec:
    """H = 5, state = position (2) and speed, action = push (2), context = wind, goal = last position."""
    return Spec(
        name="small",
        task="generic",
        rate_hz=10.0,
        stride=2,
        horizon=5,
        state=(Channel(name="position", unit="m", size=2), Channel(name="speed", unit="m/s")),
        action=(Channel(name="push", unit="N", size=2, limits=(-1.0, 1.0)),),
        context=(Channel(name="wind", unit="m/s"),),
        goal=Goal(mode="clamp", channels=("position",), step=-1),
        key=(KeyPart(channel="position", scale=2.0), KeyPart(channel="wind")),
    )


def random_batch(spec: Spec, n: int, seed: int = 0) -> WindowBatch:
    """Windows of correlated noise that fit the spec; the condition agrees with the window."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, spec.horizon, spec.d_window)).cumsum(axis=1)
    windows = (rows * rng.uniform(0.5, 3.0, spec.d_window) + rng.normal(size=spec.d_window)).astype(
        np.float32
    )
    context = rng.normal(2.0, 0.5, size=(n, spec.d_context)).astype(np.float32)
    goal = windows[:, -1, :2] if spec.d_goal else np.zeros((n, 0), np.float32)
    return WindowBatch(
        windows=windows,
        state=windows[:, 0, : spec.d_state].copy(),
        context=np.concatenate([context, goal], axis=1),
        group=np.arange(n) // 4,
        scene=np.full(n, -1),
        value=windows[:, -1, 0].copy(),
        extras=np.zeros((n, 0), np.float32),
    )


@pytest.fixture
def make_batch() -> Callable[..., WindowBatch]:
    return random_batch


@pytest.fixture
def small_batch(small_spec: Spec) -> WindowBatch:
    return random_batch(small_spec, 40)


@pytest.fixture
def fitted_spec(small_spec: Spec, small_batch: WindowBatch) -> Spec:
    return small_spec.model_copy(update={"normaliser": fit_normaliser(small_batch, small_spec)})


@pytest.fixture
def artifact_copy(tmp_path: Path) -> Path:
    """A writable copy of the artifact that the package ships."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "shipped"))


@pytest.fixture(scope="session")
def shipped() -> Path:
    """The artifact that the package ships; not to be written to."""
    return SHIPPED


def policy_file(path: Path, seed: int, observation: int = 11, action: int = 3) -> Path:
    """A small random policy file, Hopper's sizes by default."""
    rng = np.random.default_rng(seed)
    np.savez(
        path, w0=rng.normal(size=(8, observation)), b0=np.zeros(8), w1=rng.normal(size=(action, 8)),
        b1=np.zeros(action), log_std_b=np.full(action, -1.0), activation="tanh", squash="tanh",
    )  # fmt: skip
    return path


@pytest.fixture
def write_policy() -> Callable[..., Path]:
    return policy_file
