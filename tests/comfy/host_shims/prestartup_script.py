"""Lets the host start beside a torchvision whose compiled part was built for another torch.

The host and its dependencies import torchvision, but nothing that these tests run calls its
compiled operators; that they have a schema is all the import asks for.
"""

import importlib.util
from pathlib import Path

import torch

found = importlib.util.find_spec("torchvision")
if found and found.origin:
    try:
        for compiled in Path(found.origin).parent.glob("_C*.so"):
            torch.ops.load_library(compiled)
    except (OSError, RuntimeError):
        pass
    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torch.library.frr_host_shims = library  # it would be undone with the object
