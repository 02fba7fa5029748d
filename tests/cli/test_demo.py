import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from frr import hub
from frr.commands.demo import RECIPE, SIZE, aligned_corners, portrait
from frr.pipelines.photos.drawings import LABEL_HEIGHT
from frr.pipelines.simulate import bank
from frr.pipelines.simulate.landmarks import IRISES, canonical_mesh
from frr.pipelines.simulate.recipe import OPERATIONS


def test_writes_the_panel_and_prints_the_table(frr, model):
    shown = frr("demo", "-o", "out", "--model", model, "--steps", 1)
    with Image.open("out/panel.png") as panel:
        assert panel.height == SIZE + LABEL_HEIGHT and panel.width > 5 * SIZE
    before, retouched, restored, given = (
        np.asarray(Image.open(f"out/{name}.png")).astype(float)
        for name in ("before", "retouched", "restored", "given")
    )
    report = json.loads(Path("out/demo.json").read_text())
    for picture, name in ((retouched, "photo"), (restored, "restored"), (given, "given")):
        psnr = 10 * np.log10(255**2 / ((picture - before) ** 2).mean())
        assert report["psnr"][name] == pytest.approx(psnr, abs=1e-3)
        assert f"{psnr:.2f} dB" in shown.stdout
    assert 15 < report["psnr"]["photo"] < 35
    assert [row["operation"] for row in report["operations"]] == list(OPERATIONS)
    assert all(f"{operation} " in shown.stdout for operation in OPERATIONS)


def test_the_portrait_is_aligned_as_the_mean_face():
    """The eyes lie where the canonical mesh has the irises, within 2 % of the crop."""
    left_top, left_bottom, _, right_top = (np.array(c) for c in aligned_corners())
    frame = np.stack([right_top - left_top, left_bottom - left_top], axis=1)
    from frr.commands.demo import EYES

    places = np.linalg.solve(frame, (np.array(EYES) - left_top).T).T
    assert np.abs(places - canonical_mesh()[list(IRISES)].numpy()).max() < 0.02
    assert abs(frame[:, 0] @ frame[:, 1]) < 1e-6


def test_the_portrait_shows_the_picture_upright():
    face = np.asarray(portrait(64)).astype(float)
    (x0, y0), _, (x1, y1), _ = aligned_corners()
    rows, columns = slice(round(y0), round(y1)), slice(round(x0), round(x1))
    rough = Image.fromarray(data.astronaut()[rows, columns]).resize((64, 64))
    assert np.corrcoef(face.ravel(), np.asarray(rough).ravel())[0, 1] > 0.8


def test_the_recipe_uses_algorithms_known_from_training():
    """And operations that the embedded model undoes."""
    router = json.loads((hub.folder("mofrr-tiny") / "router" / "config.json").read_text())
    assert [operation for operation, _, _ in RECIPE] == router["operations"]
    assert all(algorithm in bank.seen(operation) for operation, algorithm, _ in RECIPE)
