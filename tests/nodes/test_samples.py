"""The pictures that the example graphs open: put into the input folder, never over a file."""

import asyncio
import logging
from pathlib import Path

import numpy as np
import pytest
import sample_pictures
from PIL import Image

from frr import MoFRRPipeline, hub
from frr.pipelines.photos.quality import psnr

SAMPLES = sample_pictures.SAMPLES


@pytest.fixture
def offer(nodes, monkeypatch, tmp_path):
    """`offer(input folder)`: what the pack does when it is loaded."""
    from frr.nodes import extension, host

    def load(folder: Path) -> Path:
        monkeypatch.setattr(host.folder_paths, "get_input_directory", lambda: str(folder))
        monkeypatch.setattr(extension, "SAMPLES", SAMPLES)  # the checkout's: no wheel holds them
        asyncio.run(extension.FRRExtension().on_load())
        return folder

    return load


def test_samples_are_copied_into_the_input_folder(offer, tmp_path):
    folder = offer(tmp_path / "new" / "input")
    files = [path for path in SAMPLES.rglob("*.*") if path.name != "README.md"]
    shipped = {path.relative_to(SAMPLES) for path in files}
    assert {path.relative_to(folder) for path in folder.rglob("*.*")} == shipped
    assert {path.name for path in shipped} >= set(sample_pictures.pictures())
    assert all((folder / name).read_bytes() == (SAMPLES / name).read_bytes() for name in shipped)


def test_a_file_of_the_users_stays(offer, tmp_path):
    (tmp_path / "frr_portrait.png").write_bytes(b"mine")
    folder = offer(tmp_path)
    assert (folder / "frr_portrait.png").read_bytes() == b"mine"
    assert (folder / "frr_group.png").exists()


def test_an_input_folder_that_cannot_be_written_stops_nothing(offer, tmp_path, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        offer(tmp_path / "file" / "input")
    assert "frr_portrait.png" in caplog.text


@pytest.mark.parametrize("name", ["frr_portrait.png", "frr_retouched.png", "frr_blemished.png"])
def test_samples_are_what_the_simulator_makes(name):
    made = np.asarray(sample_pictures.pictures()[name], dtype=float)
    assert np.abs(np.asarray(Image.open(SAMPLES / name), dtype=float) - made).mean() < 1


def test_the_retouched_sample_is_found_and_undone():
    """What the first graph shows: left to the router, and with the degrees set by hand."""
    pipe = MoFRRPipeline.from_pretrained(hub.folder())
    pipe.set_progress_bar_config(disable=True)
    retouched, before = (Image.open(SAMPLES / f"frr_{n}.png") for n in ("retouched", "portrait"))
    true = sample_pictures.tensor(before)
    start = float(psnr(sample_pictures.tensor(retouched), true))
    found = pipe(retouched, output_type="pt")
    assert found.active.any()
    assert float(psnr(found.images * 2 - 1, true)) > start
    names = {step.operation: 1.0 for step in sample_pictures.STRONG.steps}
    given = pipe(retouched, operations=set(names), degrees=names, output_type="pt")
    assert float(psnr(given.images * 2 - 1, true)) > start + 6
