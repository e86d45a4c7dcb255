"""Let `import torchvision` succeed where its operators do not fit torch.

lerobot imports torchvision for images. PyPI's torchvision has operators built for PyPI's torch with CUDA;
beside a CPU build of torch they do not load, and the import fails with "operator torchvision::nms does not
exist". States and actions need none of them: it is enough that the two schemas which the import looks up are
declared. `setup_lerobot_env.py` copies this file into the environment, only where it is needed, and makes
Python load it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

SCHEMAS = tuple(
    f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")
)


class Declarer(MetaPathFinder):
    """Declares the schemas when torchvision is first imported, and finds nothing itself."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Look at the name only."""
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            declare()
        return None


def declare() -> None:
    """Declare the schemas for as long as the process lives."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in SCHEMAS:
        library.define(schema)
    KEPT.append(library)


KEPT: list[object] = []
sys.meta_path.insert(0, Declarer())
