"""`frr retouch` and `frr inpaint`: results, reports, masks, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frr.models.bpfre.retoucher import BlemishRetoucher
from frr.pipelines.bpfre.pipeline import BPFRePipeline

SMALL = {"channels": (8, 8), "attention_width": 8, "style_width": 8}


@pytest.fixture(scope="module")
def bpfre_model(tmp_path_factory) -> str:
    """A folder with an untrained pipeline, whose edits are not zero."""
    networks = [BlemishRetoucher(**SMALL, inpainting=inpainting) for inpainting in (False, True)]
    for network in networks:
        network.coarse_head.weight.data.normal_(0, 0.1)
        network.coarse_head.bias.data.fill_(0.2)
    folder = tmp_path_factory.mktemp("bpfre") / "untrained"
    BPFRePipeline(*networks, None, working_size=None).save_pretrained(folder)
    return str(folder)


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_retouch_writes_photo_report_and_stages(frr, photo, bpfre_model):
    result = frr("retouch", photo, "-o", "out", "--model", bpfre_model, "--stages")
    report = json.loads((photo.parents[1] / "out" / "one.json").read_text())
    changed = (pixels(photo) != pixels("out/one.png")).any(-1).mean()
    assert report["changed"] == pytest.approx(changed, abs=1e-5) and changed > 0.5
    assert "% of the pixels changed" in result.output
    sizes = {Image.open(f"out/one_{n}.png").size for n in ("coarse", "e2d", "d2g")}
    assert sizes == {Image.open(photo).size}


def test_strength_zero_and_preserve_keep_the_photo(frr, photo, bpfre_model):
    frr("retouch", photo, "-o", "out", "--model", bpfre_model, "--strength", "0")
    assert np.array_equal(pixels("out/one.png"), pixels(photo))
    Image.new("L", Image.open(photo).size, 255).save("white.png")
    frr("retouch", photo, "-o", "kept", "--model", bpfre_model, "--preserve", "white.png")
    assert np.array_equal(pixels("kept/one.png"), pixels(photo))


def test_inpaint_fills_the_mask_only_and_finds_masks_by_name(frr, photo, bpfre_model, tmp_path):
    mask = np.zeros(Image.open(photo).size[::-1], np.uint8)
    mask[10:20, 10:20] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "one.png")
    frr("inpaint", photo, "-o", "out", "--mask", tmp_path / "masks", "--model", bpfre_model)
    changed = (pixels(photo) != pixels("out/one.png")).any(-1)
    assert changed[10:20, 10:20].mean() > 0.5 and not changed[mask == 0].any()
    Image.fromarray(mask).save(tmp_path / "masks" / "one.jpg")
    refused = frr(
        *("inpaint", photo, "-o", "two", "--mask", tmp_path / "masks", "--model", bpfre_model),
        status=1,
    )
    assert "2 masks named one" in refused.stderr


def test_results_are_not_replaced_unasked(frr, photo, bpfre_model):
    frr("retouch", photo, "-o", "out", "--model", bpfre_model)
    refused = frr("retouch", photo, "-o", "out", "--model", bpfre_model, status=1)
    assert "--overwrite" in refused.stderr
    frr("retouch", photo, "-o", "out", "--model", bpfre_model, "--overwrite")


def test_evaluate_bpfre_writes_tables_and_panel(frr, faces, bpfre_model):
    arguments = ("--pipeline", "bpfre", "--size", "64", "--model", bpfre_model)
    for name in faces.iterdir():  # poses need landmarks: the mean face for each
        assert name.suffix == ".png"
    names = sorted(path.name for path in faces.iterdir())
    points = np.full((len(names), 478, 2), 32.0)
    points[:, 234, 0], points[:, 454, 0] = 16, 48
    np.savez(faces / "landmarks.npz", names=names, points=points)
    result = frr("evaluate", "--faces", faces, "-o", "out", *arguments)
    assert "mask lift" in result.output and "large pose" in result.output
    assert json.loads(Path("out/bpfre.json").read_text())["faces"] == 2
    assert Image.open("out/panel.png").width > 6 * 64


def test_a_folder_of_the_other_pipeline_is_refused(frr, photo, model):
    refused = frr("retouch", photo, "-o", "out", "--model", model, status=1)
    assert "describes a MoFRRPipeline" in refused.stderr
