"""The paper's way beside ours: what is compared is what its name says."""

import pytest
import torch

from frr.models.mofrr.expert import WaveFRRExpert
from frr.models.presets import PRESETS

SMALL = {"denoiser_channels": (16, 16), "attention_levels": (), "coarse_channels": (16, 16)}


def saved(folder, preset):
    torch.manual_seed(0)
    expert = WaveFRRExpert(**{**PRESETS[preset]["tonal_expert"], **SMALL})
    expert.save_pretrained(folder)
    return folder


def test_the_presets_differ_in_what_the_paper_does():
    ours, theirs = (PRESETS[name]["tonal_expert"] for name in ("tiny", "paper_tiny"))
    assert ours["has_tone_head"] and "prediction_type" not in ours
    assert theirs == {"prediction_type": "epsilon"}
    assert "has_warp_head" not in PRESETS["paper"]["geometric_expert"]
    assert PRESETS["paper"]["shared"]["prediction_type"] == "epsilon"


def test_every_way_restores_in_the_steps_of_its_name(tmp_path):
    from benchmarks.paper import AS_PUBLISHED, measure, ways

    theirs, ours = saved(tmp_path / "paper", "paper_tiny"), saved(tmp_path / "ours", "tiny")
    photo = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    found = {(way.name, way.steps): way for way in ways(theirs, ours, "whitening")}
    assert set(found) >= {("paper", 1), ("paper", 10), ("ours", 1), ("shipped", 1)}
    published = found[f"paper, {AS_PUBLISHED}", 10]
    one, other = published.restore(photo, 0), published.restore(photo, 1)
    assert one.shape == photo.shape and not torch.equal(one, other)
    row = measure(found["ours", 1], photo, photo)
    assert row.psnr == float("inf") or row.psnr > 60
    assert row.improved == 0


def test_another_expert_is_not_taken_for_the_papers(tmp_path):
    from benchmarks.paper import ways

    ours = saved(tmp_path / "ours", "tiny")
    with pytest.raises(SystemExit, match="does not predict the noise"):
        next(ways(ours, ours, "whitening"))
