"""Point the CMake exports of the ROS wheels at this interpreter's headers.

The wheels were built on a machine with Python under ``/opt/python/cp3XY-cp3XY`` and sixteen of their
``*Export.cmake`` files name its include folders (Python's and NumPy's). CMake refuses an export whose
include folder does not exist, so a message package cannot be built against them as they come.
Run it with the interpreter of the environment that holds the wheels.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

NUMPY_FOLDER = re.compile(r"/opt/python/cp3\d+-cp3\d+t?/lib/python3\.\d+t?/site-packages/numpy/[\w/]*include")
PYTHON_FOLDER = re.compile(r"/opt/python/cp3\d+-cp3\d+t?/include/python3\.\d+t?")


def rewrite(text: str, python_include: str, numpy_include: str) -> str:
    """Return the export with the builder's two include folders replaced by this machine's."""
    text = NUMPY_FOLDER.sub(lambda _: numpy_include, text)
    return PYTHON_FOLDER.sub(lambda _: python_include, text)


def fix_exports(prefix: Path) -> list[Path]:
    """Rewrite every export below ``prefix/share`` that needs it; return the files changed."""
    changed = []
    for path in sorted((prefix / "share").glob("*/cmake/*.cmake")):
        before = path.read_text(encoding="utf-8")
        if "/opt/python/" not in before:
            continue
        after = rewrite(before, sysconfig.get_paths()["include"], numpy.get_include())
        if "/opt/python/" in after:
            raise SystemExit(f"{path}: names a folder of the wheels' builder in a form not known here")
        path.write_text(after, encoding="utf-8")
        changed.append(path)
    return changed


if __name__ == "__main__":
    print(f"rewrote {len(fix_exports(Path(sys.prefix)))} CMake exports")
