"""Build hook: metadata is in setup.cfg, but kdp_core comes from this repository.

lerobot itself is not required here: it is there already, and pip would exchange its torch where the
environment has another one than lerobot's metadata ask for (see tools/setup_lerobot_env.py).
"""

from pathlib import Path

from setuptools import setup

CORE = Path(__file__).resolve().parents[2] / "src" / "kdp_core"
core = f"kdp_core @ {CORE.as_uri()}" if CORE.is_dir() else "kdp_core"
setup(install_requires=[core, "h5py", "onnx", "onnxscript", "pyarrow", "safetensors"])
