"""The exported planner: a directory that is written whole or not at all, and verified when it is loaded.

``spec.json``, ``planner.onnx`` (state, context, noise -> windows, scores), ``weights.safetensors`` (to
fine-tune), ``provenance.json``, ``check.json`` (one recorded input and output), ``MODEL_CARD.md`` and
``SHA256SUMS``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdp_core.exceptions import ArtifactError, SpecError
from kdp_core.files import atomic_directory, parse_json
from kdp_core.spec import Spec

SUMS = "SHA256SUMS"
FILES = ("spec.json", "planner.onnx", "weights.safetensors", "provenance.json", "check.json", "MODEL_CARD.md")
CHECK_TOLERANCE = 2e-3
DIVERGED = 30.0
"""Standard deviations of the data beyond which a training has diverged, and 1 % tells planners apart."""
Propose = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Artifact:
    """A verified artifact in memory."""

    path: Path
    spec: Spec
    onnx_bytes: bytes
    provenance: dict[str, Any]
    check: dict[str, Any]

    def check_recorded(self, propose: Propose) -> None:
        """Run the recorded input and compare with the recorded output.

        Raises ArtifactError if they differ.
        """
        try:
            arrays = {name: np.asarray(value, np.float32) for name, value in self.check.items()}
            windows, scores = propose(arrays["state"], arrays["context"], arrays["noise"])
            expected = (len(arrays["noise"]), self.spec.horizon, self.spec.d_window)
        except Exception as error:
            raise ArtifactError(
                f"{self.path}/planner.onnx: does not run on the recorded input: {_line(error)}"
            ) from None
        if windows.shape != expected or scores.shape != expected[:1]:
            raise ArtifactError(
                f"{self.path}/planner.onnx: gives windows {windows.shape} and scores {scores.shape}, "
                f"expected {expected} and {expected[:1]} from spec.json"
            )
        gone = diverged(arrays["windows"], self.spec)
        for name, got in (("windows", windows), ("scores", scores)):
            size = float(np.abs(arrays[name]).max())
            tolerance = 0.01 * size if gone else CHECK_TOLERANCE
            if got.shape != arrays[name].shape or not np.allclose(
                got, arrays[name], atol=tolerance, rtol=1e-3
            ):
                raise ArtifactError(
                    f"{self.path}/planner.onnx: '{name}' of the recorded input differ from check.json"
                )


def require_not_diverged(artifact: Artifact) -> None:
    """Raise ArtifactError if the planner's training has diverged: tables may have it, no robot."""
    if diverged(np.asarray(artifact.check["windows"], np.float32), artifact.spec):
        raise ArtifactError(
            f"{artifact.path}/check.json: windows lie over {DIVERGED:g} standard deviations from the data; "
            "the training has diverged, and no robot is to follow it"
        )


def diverged(windows: np.ndarray, spec: Spec) -> bool:
    """Whether windows (…, H, D), physical units, lie so far from the data that the training has diverged."""
    n = spec.normaliser
    if n is None:
        return False
    if spec.reference.any():
        windows = windows - windows[..., :1, : spec.d_state] @ spec.reference.astype(np.float32)
    mean, std = np.array(n.state_mean + n.action_mean), np.array(n.state_std + n.action_std)
    return bool(np.abs((windows - mean) / std).max() > DIVERGED)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _object(path: Path, name: str, data: bytes) -> dict[str, Any]:
    content = parse_json(data, f"{path}/{name}", ArtifactError)
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}/{name}: holds a {type(content).__name__}, expected an object")
    return content


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def require_replaceable(path: Path) -> None:
    """Raise ArtifactError if ``path`` holds something that is no artifact and writing one would lose."""
    if path.exists() and not (path / SUMS).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise ArtifactError(f"{path}: exists and is not an artifact (no {SUMS}); not overwritten")


def write_artifact(path: str | Path, files: Mapping[str, bytes]) -> Path:
    """Write all FILES and their sums to a temporary directory beside ``path``, then rename it into place.

    An existing artifact at ``path`` is replaced only when the new one is complete. Raises ArtifactError if
    ``path`` exists and is not an artifact.
    """
    path = Path(path)
    if set(files) != set(FILES):
        raise ArtifactError(
            f"{path}: an artifact holds exactly {', '.join(FILES)}, got {', '.join(sorted(files))}"
        )
    require_replaceable(path)
    with atomic_directory(path, overwrite=True, error=ArtifactError) as temporary:
        for name, data in files.items():
            (temporary / name).write_bytes(data)
        sums = "".join(f"{_sha256(data)}  {name}\n" for name, data in sorted(files.items()))
        (temporary / SUMS).write_text(sums)
    return path


def load_artifact(path: str | Path) -> Artifact:
    """Read a directory written by ``write_artifact`` and verify sums and spec.

    Raises ArtifactError, SpecError.
    """
    path = Path(path)
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such directory; expected an artifact with {SUMS} and planner.onnx")
    try:
        sums = (path / SUMS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}/{SUMS}: cannot be read: {_line(error)}") from None
    expected = {}
    for line in sums.splitlines():
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or name not in FILES:
            raise ArtifactError(f"{path}/{SUMS}: unexpected line {line[:80]!r}")
        expected[name] = digest
    data = {}
    for name in FILES:
        if name not in expected:
            raise ArtifactError(f"{path}/{SUMS}: no sum for {name}")
        try:
            data[name] = (path / name).read_bytes()
        except OSError as error:
            raise ArtifactError(f"{path}/{name}: cannot be read: {error.strerror}") from None
        if _sha256(data[name]) != expected[name]:
            raise ArtifactError(
                f"{path}/{name}: SHA-256 differs from {SUMS}; the file is damaged or was changed"
            )
    provenance, check = (_object(path, name, data[name]) for name in ("provenance.json", "check.json"))
    spec = Spec.load(path / "spec.json")
    if spec.normaliser is None:
        raise SpecError(f"{path}/spec.json: field 'normaliser' is missing; an artifact's spec has one")
    return Artifact(path, spec, data["planner.onnx"], provenance, check)
