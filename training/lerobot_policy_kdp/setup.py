"""Build hook: metadata is in setup.cfg, but kdp_core comes from this repository."""

from pathlib import Path

from setuptools import setup

CORE = Path(__file__).resolve().parents[2] / "src" / "kdp_core"
core = f"kdp_core @ {CORE.as_uri()}" if CORE.is_dir() else "kdp_core"
setup(install_requires=[core, "lerobot", "h5py", "pyarrow", "onnx", "onnxscript"])
