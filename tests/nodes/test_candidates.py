"""MoFRRCandidates: a batch of what one picture may have been, and the one that is chosen."""

import pytest
import torch
from by_operation import values

from frr.nodes.mofrr_model import MoFRRModel

ON = {"whitening": "on", "smoothing": "off", "face_slimming": "on", "eye_enlarging": "off"}


@pytest.fixture
def model():
    from frr_tiny_pipeline import build_native

    return MoFRRModel(build_native(), "tiny")


@pytest.fixture
def picture():
    return torch.rand(1, 60, 75, 4, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def run(nodes, decisions, model):
    def run(image, choice=1, candidates=3, **given):
        settings = {"steps": 1, "seed": 4, "strength": 1.0, **decisions(**{**ON, **given})}
        out = nodes["MoFRRCandidates"].execute(image, model, candidates, choice, **settings)
        return out[0], out[1], out[2]

    return run


def test_gives_what_the_pipeline_gives(run, model, picture):
    batch, chosen, report = run(picture, choice=2)
    output = model.pipeline(
        picture[..., :3].movedim(-1, 1),
        operations={"whitening", "face_slimming"},
        num_samples=3,
        generator=torch.Generator().manual_seed(4),
        output_type="pt",
    )
    expected = torch.stack([each.image for each in output.candidates[0]])
    assert batch.shape == (3, 60, 75, 4)
    assert torch.equal(batch[..., :3], expected.movedim(1, -1))
    assert torch.equal(batch[..., 3], picture[..., 3].expand(3, -1, -1))
    assert torch.equal(chosen, batch[1:2])
    lines = report.splitlines()
    assert len(lines) == 4 and " / " in lines[0]
    assert all("likelihood" in line for line in lines[1:])


def test_one_where_nothing_is_open(run, model, picture):
    told = {"whitening_degree": 0.5, "face_slimming_degree": 0.5}
    batch, chosen, report = run(picture, choice=3, **told)
    assert len(batch) == 1 and torch.equal(chosen, batch) and "nothing is left open" in report
    model.pipeline.router.register_to_config(thresholds=values(2.0))
    batch, _, _ = run(picture, whitening="auto", face_slimming="auto")
    assert torch.equal(batch, picture)


def test_a_batch_and_a_choice_beyond_the_last_are_named(run, picture):
    with pytest.raises(ValueError, match="2 pictures; expected one"):
        run(picture.repeat(2, 1, 1, 1))
    with pytest.raises(ValueError, match="choice is 9, but there are 3"):
        run(picture, choice=9)
