"""BPFRe judged: doing nothing, doing right, figures by hand."""

import json

import numpy as np
import pytest
import torch

from frr.pipelines.bpfre.pipeline import BPFRePipelineOutput
from frr.training.judging import report_bpfre
from frr.training.judging.conditions_bpfre import paint_condition
from frr.training.judging.evaluate_bpfre import (
    _Pixels,
    evaluate_bpfre,
    masked_psnr,
)


class Oracle:
    """A pipeline that knows the answer: `answer` maps photos in [0, 1] to results."""

    def __init__(self, answer, found) -> None:
        self.answer, self.found = answer, found

    def __call__(self, photos, output_type):
        images = self.answer(photos)
        return BPFRePipelineOutput(images, photos, self.found(photos))


def test_doing_nothing_scores_copy_input(squares):
    nothing = Oracle(lambda photos: photos, lambda photos: photos.new_zeros(len(photos), 2, 64, 64))
    result = evaluate_bpfre(nothing, squares.select(range(3)), batch_size=2, hard_cases=False)
    for row in result.rows:
        assert row.psnr == row.copy_psnr and row.mask_psnr == row.copy_mask_psnr
        assert row.improved == 0
    assert result.clean_psnr == 100 and result.mole_change == 0 and result.blemish_departure > 1
    assert result.row("acne").photos == 3
    with pytest.raises(ValueError, match="warts"):
        result.row("warts")
    assert "lift" in report_bpfre.to_text(result) and "| acne |" in report_bpfre.to_markdown(result)
    assert json.loads(report_bpfre.to_json(result))["faces"] == 3


def test_a_perfect_retoucher_scores_perfectly(squares):
    few = squares.select(range(2))
    painted = paint_condition(few, "all", 0, 0)

    def answer(photos):
        same = torch.allclose(photos * 2 - 1, painted.image, atol=1e-4)
        return (painted.target + 1) / 2 if same else photos

    def found(photos):
        return torch.cat((painted.mask, painted.mask), dim=1)

    result = evaluate_bpfre(Oracle(answer, found), few, by_kind=False, hard_cases=False)
    row = result.row("all")
    assert row.psnr == 100 and row.mask_psnr == 100 and row.improved == 1
    assert result.iou > 0.95 and result.average_precision > 0.95 and result.mole_change == 0


def test_masked_psnr_by_hand():
    a, b = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    b[..., 0, 0] = 0.2
    mask = torch.zeros(1, 1, 2, 2)
    mask[..., 0, :] = 1
    assert masked_psnr(a, b, mask).item() == pytest.approx(10 * np.log10(4 / 0.02))
    assert masked_psnr(a, b, mask * 0).isnan()


def test_average_precision_and_iou_against_scikit_learns_definition():
    found = torch.tensor([0.9, 0.8, 0.3, 0.2])
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0])
    pixels = _Pixels()
    pixels.add(found, mask)
    assert pixels.average_precision() == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert pixels.best_iou()[0] == pytest.approx(2 / 3)
    assert pixels.chance() == 0.5
