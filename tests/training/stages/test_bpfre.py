"""BPFRe's training: what batches hold, the losses' signs, feature losses, resuming, evaluation."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from frr.models.bpfre.critic import PixelCritic
from frr.models.bpfre.retoucher import BlemishRetoucher, RetouchOutput
from frr.pipelines.bpfre.pipeline import BPFRePipeline, BPFRePipelineOutput
from frr.training.data.blemishes import BlemishSource
from frr.training.data.faces import FaceSet
from frr.training.judging import report_bpfre
from frr.training.judging.evaluate_bpfre import (
    _Pixels,
    evaluate_bpfre,
    masked_psnr,
    paint_condition,
    select_large_pose,
)
from frr.training.loop import LoopConfig, Run, train
from frr.training.losses import edit_weight
from frr.training.perceptual import VGGFeatures, feature_loss, haar_features
from frr.training.publishing.assemble_bpfre import assemble_bpfre
from frr.training.run_folder import RunFolder
from frr.training.stages.bpfre import BPFReStage, detection
from frr.training.stages.bpfre_inpaint import InpaintStage, draw_holes

SMALL = {"channels": (8, 8), "attention_width": 8, "style_width": 8}


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Ten plain skin-coloured squares of 64 px, each of its own brightness."""
    colours = torch.tensor([200, 150, 130])[None, :, None, None] - 5 * torch.arange(10).view(
        -1, 1, 1, 1
    )
    noise = torch.randint(-4, 5, (10, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    images = (colours + noise).to(torch.uint8)
    return FaceSet(images, None, tuple(f"{i}.png" for i in range(10)))


def stage(faces, **more) -> BPFReStage:
    share = more.pop("pair_share", 1.0)
    torch.manual_seed(0)
    source = BlemishSource(faces, share, crop=more.pop("crop", 0))
    return BPFReStage(BlemishRetoucher(**SMALL), PixelCritic(channels=(8, 8)), source, **more)


def test_faces_are_divided_into_pairs_blemished_and_clean_ones(faces):
    source = BlemishSource(faces, pair_share=0.2)
    groups = [
        set(group.tolist()) for group in (source.paired, source.blemished_only, source.clean_only)
    ]
    assert [len(group) for group in groups] == [2, 4, 4]
    assert set.union(*groups) == set(range(10))
    with pytest.raises(ValueError, match="share of pairs"):
        BlemishSource(faces, pair_share=0.0)


def test_photo_and_target_differ_only_in_the_mask(faces):
    source = BlemishSource(faces, zoom=1.0)
    batch = source.draw(np.random.default_rng(1), source.paired, 4)
    outside = (batch.mask == 0).expand_as(batch.photo)
    assert torch.equal(batch.photo[outside], batch.target[outside])
    assert not torch.equal(batch.photo, batch.target)
    again = source.draw(np.random.default_rng(1), source.paired, 4)
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))


def test_windows_have_the_side_asked_for(faces):
    source = BlemishSource(faces, crop=32)
    assert source.draw(np.random.default_rng(0), source.paired, 6).photo.shape == (6, 3, 32, 32)
    assert source.draw_clean(np.random.default_rng(0), source.paired, 3).shape == (3, 3, 32, 32)


def test_limited_paintings_come_back(faces):
    """With one painting a face and one face, two draws show the same blemishes."""
    source = BlemishSource(faces, pair_share=0.1, paintings=1, zoom=1.0)
    totals = {
        round(float(source.draw(np.random.default_rng(i), source.paired, 1).mask.sum()), 2)
        for i in range(4)
    }
    assert len(totals) == 1


def test_an_unpaired_batch_holds_a_quarter_of_each_kind(faces):
    draw = stage(faces, pair_share=0.2, unpaired=True, batch_size=8).draw(np.random.default_rng(0))
    assert [len(draw.pairs.photo), len(draw.blemished), len(draw.clean)] == [4, 2, 2]
    draw = stage(faces, pair_share=0.2, batch_size=8).draw(np.random.default_rng(0))
    assert [len(draw.pairs.photo), len(draw.blemished), len(draw.clean)] == [6, 0, 2]


def test_losses_of_an_untrained_network_are_those_of_doing_nothing(faces):
    made = stage(faces, adversarial_weight=0.0)
    terms = made.losses(np.random.default_rng(0))
    batch = made.draw(np.random.default_rng(0)).pairs
    weight = edit_weight(batch.mask[:, 0])
    expected = ((batch.photo - batch.target).abs() * weight).mean()
    expected = expected + 0.5 * haar_features(batch.photo, batch.target, weight)
    torch.testing.assert_close(terms["coarse"], expected)
    torch.testing.assert_close(terms["refined"], expected)
    assert terms["clean"] == 0


def test_detection_alone_teaches_encoder_and_e2d_only(faces):
    made = stage(faces, detection_only=True)
    terms = made.losses(np.random.default_rng(0))
    assert set(terms) == {"map_coarse", "detect"}
    sum(terms.values()).backward()
    learning = {
        name.split(".")[0] for name, p in made.model.named_parameters() if p.grad is not None
    }
    assert learning == {"stem", "encoder", "e2d"}


def test_a_second_phase_leaves_the_map_as_it_is(faces, tmp_path):
    made = stage(faces, keep_detection=True, adversarial_weight=0.0)
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    train(made, LoopConfig(steps=2, warmup=1, learning_rate=1e-2), tmp_path / "run")
    found = {"stem", "encoder", "e2d"}
    changed = {
        n.split(".")[0] for n, v in made.model.state_dict().items() if (v != before[n]).any()
    }
    assert changed and not changed & found


class Judge(torch.nn.Module):
    """A critic with one answer for every pixel."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = torch.nn.Parameter(torch.tensor(logit))

    def forward(self, photo):
        return self.logit.expand(len(photo), 1, *photo.shape[-2:])


def test_signs_of_the_adversarial_pair(faces):
    """Positive = clean: calling all clean pleases the retoucher and is wrong on two of three."""
    photo, ones = torch.zeros(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
    output = RetouchOutput(photo, photo, ones, ones)
    made = stage(faces, adversarial_weight=1.0)
    for logit in (-3.0, 3.0):
        made.critic = Judge(logit)
        terms = made._adversarial_terms(output, photo, photo)
        logits = torch.tensor(logit)
        torch.testing.assert_close(terms["deceive"], F.softplus(-logits))
        torch.testing.assert_close(terms["critic"], 2 * F.softplus(logits) + F.softplus(-logits))


def test_each_of_the_two_opponents_learns_only_from_its_own_terms(faces):
    made = stage(faces, adversarial_weight=1.0)
    made.losses(np.random.default_rng(0))["critic"].backward()
    assert all(p.grad is None or not p.grad.any() for p in made.model.parameters())
    assert any(p.grad is not None and p.grad.any() for p in made.critic.parameters())
    made.critic.zero_grad(set_to_none=True)
    made.losses(np.random.default_rng(0))["deceive"].backward()
    assert all(p.grad is None for p in made.critic.parameters())


def test_detection_prefers_the_right_map():
    gate = BlemishRetoucher(**SMALL).openness
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    weight = torch.ones_like(mask)
    values = [float(detection(gate, m, mask, weight)) for m in (mask, 0.5 * mask, 1 - mask)]
    assert values[0] < 0.1 and values[0] <= values[1] < values[2]


def test_haar_features_see_texture_and_not_a_constant():
    flat = torch.zeros(1, 3, 16, 16)
    assert haar_features(flat, flat + 0.5) == 0
    checks = flat.clone()
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = 1.0
    # Finest level: (a - b - c + d) = 2, the other details 0; halved, a third of the levels.
    assert haar_features(checks, flat) == pytest.approx(1 / 3)


def test_vgg_is_read_from_disk_or_asked_for(tmp_path):
    with pytest.raises(ValueError, match="download yourself"):
        feature_loss(tmp_path / "vgg19.pth")
    assert feature_loss("") is haar_features
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(ValueError, match=r"no VGG-19"):
        VGGFeatures(tmp_path / "wrong.pth")


def test_vgg_weights_are_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr("frr.training.perceptual._VGG19", (4, 4, 0, 8))
    monkeypatch.setattr("frr.training.perceptual._VGG_TAPS", (1, 6))
    shapes = {"0": (4, 3), "2": (4, 4), "5": (8, 4)}
    state = {f"features.{k}.weight": torch.randn(*s, 3, 3) for k, s in shapes.items()}
    state |= {f"features.{k}.bias": torch.randn(s[0]) for k, s in shapes.items()}
    save_file(state, tmp_path / "vgg.safetensors")
    features = VGGFeatures(tmp_path / "vgg.safetensors")
    assert torch.equal(features.features[5].weight, state["features.5.weight"])
    photo = torch.rand(1, 3, 16, 16)
    assert features(photo, photo) == 0 and features(photo, -photo) > 0


def test_a_resumed_run_is_the_run_that_was_stopped(faces, tmp_path):
    config = LoopConfig(
        steps=4, save_seconds=0.0, learning_rate=1e-3, warmup=1, log_every=1, threads=1
    )

    def run(folder, stops):
        for stop in stops:
            torch.manual_seed(5)
            made = stage(faces, batch_size=2, crop=32)
            running = Run(made, config, RunFolder(folder), {})
            for progress in running.steps():
                if progress.step == stop:
                    break
        return made

    whole, stopped = run(tmp_path / "whole", [4]), run(tmp_path / "stopped", [3, 4])
    for name in ("model", "critic"):
        for a, b in zip(
            getattr(whole, name).parameters(), getattr(stopped, name).parameters(), strict=True
        ):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").open()]
    assert {"coarse", "critic", "deceive", "map_refined"} <= set(log[-1])


def test_inpainting_learns_and_holes_are_holes(faces):
    holes = draw_holes(np.random.default_rng(0), 5, 64)
    assert set(holes.unique().tolist()) == {0.0, 1.0}
    assert (holes.flatten(1).mean(1) > 0).all() and holes.mean() < 0.6
    model = BlemishRetoucher(**SMALL, inpainting=True)
    made = InpaintStage(model, BlemishSource(faces), batch_size=2)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    totals = []
    for _ in range(12):
        loss = torch.stack(list(made.losses(np.random.default_rng(0)).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert totals[-1] < 0.8 * totals[0]


class Oracle:
    """A pipeline that knows the answer: `answer` maps photos in [0, 1] to results."""

    def __init__(self, answer, found) -> None:
        self.answer, self.found = answer, found

    def __call__(self, photos, output_type):
        images = self.answer(photos)
        return BPFRePipelineOutput(images, photos, self.found(photos))


def test_doing_nothing_scores_copy_input(faces):
    nothing = Oracle(lambda photos: photos, lambda photos: photos.new_zeros(len(photos), 2, 64, 64))
    result = evaluate_bpfre(nothing, faces.select(range(3)), batch_size=2, hard_cases=False)
    for row in result.rows:
        assert row.psnr == row.copy_psnr and row.mask_psnr == row.copy_mask_psnr
        assert row.improved == 0
    assert result.clean_psnr == 100 and result.mole_change == 0 and result.blemish_departure > 1
    assert result.row("acne").photos == 3
    with pytest.raises(ValueError, match="warts"):
        result.row("warts")
    assert "lift" in report_bpfre.to_text(result) and "| acne |" in report_bpfre.to_markdown(result)
    assert json.loads(report_bpfre.to_json(result))["faces"] == 3


def test_a_perfect_retoucher_scores_perfectly(faces):
    few = faces.select(range(2))
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


def test_large_poses_are_those_whose_nose_is_off_the_middle(faces):
    points = torch.full((10, 478, 2), 0.5)
    points[:, 234, 0], points[:, 454, 0] = 0.2, 0.8
    points[:, 4, 0] = 0.5 + torch.arange(10) * 0.01
    turned = select_large_pose(FaceSet(faces.images, points, faces.names))
    assert turned.names == ("8.png", "9.png")
    with pytest.raises(ValueError, match="landmarks"):
        select_large_pose(faces)


@pytest.mark.parametrize("condition", ["dim light", "occlusion", "acne"])
def test_conditions_keep_the_photo_equal_outside_the_mask(faces, condition):
    painted = paint_condition(faces.select(range(2)), condition, 0, 0)
    outside = (painted.mask == 0).expand_as(painted.image)
    torch.testing.assert_close(painted.image[outside], painted.target[outside], atol=0.009, rtol=0)


def test_assembling_needs_a_retoucher_and_calibrates_it(faces, tmp_path):
    with pytest.raises(ValueError, match="no trained network"):
        assemble_bpfre(tmp_path)
    BlemishRetoucher(**SMALL).save_pretrained(tmp_path / "bpfre" / "model")
    pipe = assemble_bpfre(tmp_path, faces.select(range(2)))
    assert isinstance(pipe, BPFRePipeline) and pipe.inpainter is None
    assert pipe.config["threshold"] == 0.004  # the identity leaves all faces alone
