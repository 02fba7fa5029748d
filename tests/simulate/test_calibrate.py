"""The calibration table and the contact sheet."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from frr.pipelines.simulate import bank
from frr.pipelines.simulate.calibrate import calibrate, psnr, widening
from frr.pipelines.simulate.landmarks import EYE_CORNERS, canonical_mesh
from frr.pipelines.simulate.recipe import OPERATIONS, Recipe, Step
from frr.pipelines.simulate.sheet import DEGREES, contact_sheet
from frr.pipelines.simulate.simulator import retouch

SIZE = 64


def photos(count=2):
    coarse = torch.rand(count, 3, 16, 16) * 1.2 - 0.6
    grain = 0.08 * torch.randn(count, 1, SIZE, SIZE)  # there must be texture to smooth
    return F.interpolate(coarse, (SIZE, SIZE), mode="bilinear") + grain


@pytest.fixture(scope="module")
def table():
    torch.manual_seed(0)
    return calibrate(photos())


def test_every_algorithm_has_its_row(table):
    for operation in OPERATIONS:
        for algorithm in bank.algorithms(operation):
            row = table.find(operation, algorithm)
            assert row.held_out == (algorithm in bank.HELD_OUT[operation])
            assert 15 < row.psnr < 75  # an app's weakest settings change next to nothing
    for split in ("seen", "unseen"):
        assert table.find("all_together", split).psnr < table.find("smoothing", split).psnr
    with pytest.raises(KeyError, match="No row"):
        table.find("whitening", "sunburn")


def test_each_operation_is_measured_in_its_own_units(table):
    units = {
        "whitening": {"lightness", "colour"},
        "smoothing": {"texture_loss"},
        "face_slimming": {"jaw"},
        "eye_enlarging": {"eyes"},
    }
    for row in table.rows:
        measured = {
            unit
            for unit in ("lightness", "colour", "texture_loss", "jaw", "eyes")
            if getattr(row, unit) is not None
        }
        assert measured == units.get(row.operation, set())  # others: PSNR alone
        assert all(getattr(row, unit) > 0 for unit in measured)


def test_means_are_over_the_algorithms_of_a_split(table):
    rows = [table.find("whitening", name) for name in bank.seen("whitening")]
    mean = table.find("whitening", "seen")
    assert mean.psnr == pytest.approx(sum(row.psnr for row in rows) / len(rows))
    assert mean.lightness == pytest.approx(sum(row.lightness for row in rows) / len(rows))


def test_text_names_everything(table):
    text = table.as_text()
    assert "2 faces of 64 px per algorithm, degrees 0.15 to 1" in text
    for operation in OPERATIONS:
        for algorithm in bank.algorithms(operation):
            mark = "*" if algorithm in bank.HELD_OUT[operation] else " "
            assert f"{algorithm}{mark}" in text
    assert "35.59" in text


def test_bytes_and_floats_give_the_same_table():
    pixels = ((photos() + 1) * 127.5).round().to(torch.uint8)
    options = {"operations": ("whitening",), "seed": 3}
    told = []
    one = calibrate(pixels, progress=told.append, **options)
    assert one == calibrate(pixels.float() / 127.5 - 1, **options)
    assert told[0] == "whitening / log_curve"
    assert told[-1] == "all_together / unseen"


def test_stronger_degrees_measure_stronger():
    images = photos()
    weak = calibrate(images, degrees=(0.2, 0.2))
    strong = calibrate(images, degrees=(0.9, 0.9))
    for one, other in zip(weak.rows, strong.rows, strict=True):
        assert other.psnr < one.psnr - 1
    assert weak.find("face_slimming", "seen").jaw < strong.find("face_slimming", "seen").jaw
    assert weak.find("eye_enlarging", "seen").eyes < strong.find("eye_enlarging", "seen").eyes


def test_no_faces_are_refused():
    with pytest.raises(ValueError, match="N >= 1"):
        calibrate(torch.zeros(0, 3, 8, 8))


def test_psnr_by_hand():
    black = -torch.ones(2, 3, 4, 4)
    other = black.clone()
    other[1] += 0.2
    assert psnr(black, other).tolist() == pytest.approx([100.0, 20.0], abs=1e-3)


def test_widening_of_a_known_stretch():
    """Content moves away from the middle column by a tenth of its distance."""
    points = canonical_mesh()[None]
    x = torch.arange(SIZE).float() + 0.5 - SIZE / 2
    flow = torch.zeros(1, 2, SIZE, SIZE)
    flow[:, 0] = 0.1 * x
    corners = points[0, EYE_CORNERS[0], :] * SIZE
    before = (corners[1] - corners[0]) * torch.tensor([1.0, 1.0])
    after = before * torch.tensor([1.1, 1.0])
    expected = 100 * (after.norm() / before.norm() - 1)
    found = widening(points, flow, EYE_CORNERS[:1])
    assert found.item() == pytest.approx(expected.item(), abs=0.05)
    assert math.isclose(expected.item(), 10, abs_tol=0.5)


def test_contact_sheet_shows_the_retouched_face():
    image = photos(1)[0]
    sheet = contact_sheet(image, canonical_mesh(), "whitening")
    rows = bank.algorithms("whitening")
    band = sheet.height // len(rows) - SIZE
    assert sheet.size == (SIZE * len(DEGREES), (SIZE + band) * len(rows))

    recipe = Recipe((Step("whitening", rows[1], DEGREES[3]),))
    expected = retouch(image[None], [recipe]).image[0]
    top, left = (SIZE + band) + band, 3 * SIZE
    tile = sheet.crop((left, top, left + SIZE, top + SIZE))
    found = torch.from_numpy(np.array(tile)).float().permute(2, 0, 1)
    assert torch.allclose(found / 127.5 - 1, expected, atol=0.01)


def test_contact_sheet_of_everything_marks_the_held_out():
    sheet = contact_sheet(photos(1)[0])
    count = sum(len(bank.algorithms(operation)) for operation in bank.ALGORITHMS)
    band = sheet.height // count - SIZE
    for index, name in enumerate(bank.algorithms("whitening")):
        top = index * (SIZE + band)
        label = np.array(sheet.crop((0, top, SIZE, top + band))).astype(int)
        reddish = (label[..., 0] > label[..., 1] + 60).any()
        assert reddish == (name in bank.HELD_OUT["whitening"])


def test_contact_sheet_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match="3 H W"):
        contact_sheet(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="Unknown operation 'tan'"):
        contact_sheet(photos(1)[0], None, "tan")
