"""BPFRe against the retoucher: figures of a pipeline that does what it does, and of one idle."""

import json
from types import SimpleNamespace

import pytest
import torch

from frr.models.bpfre.healing import SkinMaps
from frr.pipelines.simulate.landmarks import canonical_mesh
from frr.pipelines.simulate.natural.retoucher import retouch_naturally, survey
from frr.training.data.native_capture import Face
from frr.training.judging.evaluate_natural import judge_face, summary, to_json, to_text


@pytest.fixture(scope="module")
def face() -> Face:
    generator = torch.Generator().manual_seed(0)
    photo = torch.tensor([190.0, 140, 120])[:, None, None] + 3 * torch.randn(
        1, 256, 256, generator=generator
    )
    photo[1:, 150:154, 88:92] -= 50
    photo += 8 * torch.sin(torch.arange(256.0) / 3)
    return Face(photo.clamp(0, 255).to(torch.uint8), canonical_mesh(), "a.png")


class Pipe:
    """A pipeline that copies, or retouches as the retoucher does."""

    def __init__(self, points=None):
        self.points = points
        self.healer = Healer(points)

    def __call__(self, image, strength, output_type):
        made = image
        if self.points is not None:
            made = (retouch_naturally(image * 2 - 1, self.points, torch.ones(5)) + 1) / 2
        return SimpleNamespace(images=made)


class Healer:
    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, points):
        self.points = points

    def __call__(self, photo, amounts):
        shares = torch.zeros_like(photo[:, :1]), torch.ones_like(photo[:, :1])
        known = shares[self.points is not None]
        skin = known if self.points is None else survey(photo, self.points).skin
        return SkinMaps(skin, known, known)


def test_a_perfect_and_an_idle_pipeline_get_what_they_deserve(face):
    perfect = judge_face(Pipe(face.points[None]), face, 1.0)
    idle = judge_face(Pipe(), face, 1.0)
    assert perfect.psnr > 90 and perfect.mask_psnr > 90 and perfect.spots_iou > 0.6
    assert idle.psnr == pytest.approx(idle.copy_psnr, abs=1e-3) and idle.clean_psnr > 90
    assert idle.copy_mask_psnr < idle.copy_psnr < 60
    assert idle.spots_iou == 0
    figures = summary([perfect, idle])
    assert figures["improved"] >= 0.5 and figures["harmed"] == 0 and figures["faces"] == 2
    record = json.loads(to_json([idle], "abc"))
    assert record["weights"] == "abc" and record["rows"][0]["name"] == "a.png"
    assert "mask_lift" in to_text([idle])
