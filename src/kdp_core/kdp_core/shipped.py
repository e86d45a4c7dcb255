"""The artifacts that come with the package."""

from __future__ import annotations

from pathlib import Path

from kdp_core.exceptions import ArtifactError


def shipped_artifact(name: str) -> Path:
    """Directory of the artifact ``name``: in the installed package's share, else in the source tree."""
    candidates = []
    try:
        from ament_index_python.packages import get_package_share_directory

        candidates.append(Path(get_package_share_directory("kdp_core")) / "artifacts" / name)
    except (ImportError, LookupError, OSError):
        pass
    candidates.append(Path(__file__).resolve().parents[1] / "artifacts" / name)
    for path in candidates:
        if path.is_dir():
            return path
    raise ArtifactError(f"{candidates[-1]}: the package ships no artifact '{name}'")
