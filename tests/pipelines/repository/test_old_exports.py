"""Folders that version 0.1.0 exported in its first layout load, and give the same pictures.

`tests/data/old_exports` holds two of them, zipped, of small untrained networks, with a photo and
what their pipelines made of it then. They are never renewed: files in users' hands are not either.
"""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

OLD = Path(__file__).resolve().parents[2] / "data" / "old_exports"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Both exports, unpacked."""
    home = tmp_path_factory.mktemp("old")
    for name in ("mofrr", "bpfre"):
        with zipfile.ZipFile(OLD / f"{name}.zip") as packed:
            packed.extractall(home / name)
    return home


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    return dict(np.load(OLD / "pictures.npz"))


def check(made: np.ndarray | torch.Tensor, stored: dict, name: str) -> None:
    expected = torch.from_numpy(stored[name].astype(np.float32) / 65535)
    assert (expected - torch.from_numpy(stored["photo"]) / 255).abs().mean() > 0.01
    torch.testing.assert_close(torch.as_tensor(made), expected, atol=1e-4, rtol=0)


def test_the_package_loads_them(folder, stored):
    from diffusers import DiffusionPipeline

    from frr import BPFRePipeline, MoFRRPipeline

    photo = torch.from_numpy(stored["photo"]) / 255
    noise, hole = (torch.from_numpy(stored[name]).float() for name in ("noise", "hole"))
    restore = MoFRRPipeline.from_pretrained(folder / "mofrr")
    restore.set_progress_bar_config(disable=True)
    result = restore(photo, latents=noise, num_inference_steps=2, output_type="pt")
    check(result.images, stored, "restored")
    assert result.active.tolist() == [[True, False, False, True]]
    retouch = DiffusionPipeline.from_pretrained(folder / "bpfre")  # by the package's class
    assert type(retouch) is BPFRePipeline
    check(retouch(photo, output_type="pt").images, stored, "retouched")
    check(retouch.inpaint(photo, hole, output_type="pt").images, stored, "filled")
