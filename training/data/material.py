"""What a run learns from: a folder of faces or stored pools, and where they go."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .faces import FacesConfig, FaceSet, list_images, load_faces
from .share import WHOLE, Share


@dataclass(frozen=True)
class Material:
    """Named at the start, loaded when a stage asks for it.

    Attributes:
        faces: folder of aligned face crops, with their landmarks (see `load_faces`), if any.
        pools: folders of pools, if any.
        device: where faces and items go.
        share: the part of the pools' items that this process draws from.
    """

    faces: Path | None = None
    pools: tuple[Path, ...] = ()
    device: torch.device | str = "cpu"
    share: Share = WHOLE

    def load_faces(self, config: FacesConfig) -> FaceSet:
        """The faces, as the settings want them, on the device.

        Raises:
            ValueError: there is no folder of faces, or none that can be used.
        """
        if self.faces is None:
            raise ValueError("this needs a folder of faces: name it with --faces")
        return load_faces(self.faces, config.size, config.limit or None).to(self.device)


def faces_note(folder: Path) -> dict[str, Any]:
    """How config.json knows a folder of faces again: the number of files and a digest of names.

    Raises:
        ValueError: it is no folder, or holds no image.
    """
    names = "\n".join(path.name for path in list_images(folder))
    digest = hashlib.sha256(names.encode()).hexdigest()[:12]
    return {"faces": names.count("\n") + 1, "names": digest}


def choose_device(name: str) -> torch.device:
    """The device of this name; for an empty name a GPU, if there is one: this process's own."""
    if not name and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(name or "cpu")
