"""What is computed once, or not at all, and that nothing changes by it."""

import pickle
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from frr.models.retouching_traces import local_log_energy
from frr.models.sizes import SizeRequirements
from frr.pipelines.mofrr import by_expert
from frr.pipelines.mofrr import output as mofrr_result
from frr.pipelines.mofrr.edits import ExpertEdit, put, take
from frr.pipelines.mofrr.experts import WorkingPhotos
from frr.pipelines.operations import OPERATIONS
from frr.pipelines.photos.arrays import reduce_to, to_shape
from frr.pipelines.photos.tiles import Window
from frr.pipelines.placement import dtype_of, is_hooked


def test_experts_share_the_traces_of_a_photo(pipe, photos, monkeypatch, seeded):
    names = ("whitening", "smoothing", "face_slimming", "eye_enlarging")
    counted = []
    for name in names:
        expert = getattr(pipe, f"{name}_expert")

        def raw(photo, _raw=expert.raw_traces):
            counted.append(photo.shape)
            return _raw(photo)

        monkeypatch.setattr(expert, "raw_traces", raw)
    together = pipe(photos, operations=set(names), generator=seeded(), output_type="pt")
    assert len(counted) == 1
    alone = pipe(photos, operations={"face_slimming"}, generator=seeded(), output_type="pt")
    for one, other in zip(
        alone.expert_images["face_slimming"], together.expert_images["face_slimming"], strict=True
    ):
        assert torch.equal(one, other)


def test_traces_are_shared_by_the_photos_that_are_worked_on(pipe):
    batch = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    photos, expert = WorkingPhotos(batch, torch.tensor([0, 2])), pipe.whitening_expert
    rows = torch.tensor([2])
    assert torch.equal(photos.of(rows), batch[2:])
    expected = expert.raw_traces(batch[2:])
    assert torch.allclose(photos.raw_traces(expert, rows), expected, atol=1e-6)
    padded = WorkingPhotos(batch[..., :24], torch.tensor([0, 2]))
    expert_of_more_levels = SimpleNamespace(size_requirements=SizeRequirements(1, 16))
    assert padded.raw_traces(expert_of_more_levels, rows) is None


def test_the_merger_sees_large_photos_at_working_size(pipe, monkeypatch):
    shapes, gains = [], pipe.merger.gains

    def watched(photo, residuals, gates):
        shapes.append((tuple(photo.shape), tuple(residuals.shape)))
        return gains(photo, residuals, gates)

    monkeypatch.setattr(pipe.merger, "gains", watched)
    photo = torch.rand(2, 3, 64, 96)
    merged = pipe(photo, operations={"whitening"}, output_type="pt")
    pipe(photo, operations={"whitening"}, working_size=None)
    sizes, experts = [(3, 32, 48), (3, 64, 96)], len(OPERATIONS) + 1
    assert shapes == [((2, *size), (2, experts, *size)) for size in sizes]
    assert merged.images.shape == photo.shape and not torch.equal(merged.images, photo)


def test_an_untouched_photo_is_the_callers_but_not_their_tensor(pipe):
    photo = torch.rand(1, 3, 24, 24)
    images = pipe(photo, operations=set(), output_type="pt").images
    assert torch.equal(images, photo)
    images.zero_()
    assert photo.any()


def test_a_call_in_which_nothing_acts_draws_no_noise_but_checks_what_it_is_given(
    pipe, photos, seeded
):
    generator, fresh = seeded(), seeded()
    output = pipe(photos, operations=set(), generator=generator, output_type="pt")
    assert torch.equal(generator.get_state(), fresh.get_state())
    assert torch.equal(output.images, photos) and not output.active.any()
    assert not output.degrees.any() and output.flows["shared"] == [None, None]
    with pytest.raises(ValueError, match="latents of shape"):
        pipe(photos, operations=set(), latents=torch.zeros(1))
    latents = pipe(photos, operations=set(), generator=generator, output_type="latent").images
    assert torch.equal(latents, pipe.prepare_latents(photos, fresh))


def test_an_edit_that_moves_nothing_is_as_one_of_a_flow_of_zeros(pipe):
    photo = torch.rand(1, 3, 16, 16)
    residual, rows, degree = torch.rand(1, 3, 8, 8), torch.tensor([0]), torch.ones(1)
    zeros = torch.zeros(1, 2, 8, 8)
    still, moved = (
        pipe.apply(photo, ExpertEdit(rows, flow, residual, degree), 0.5) for flow in (None, zeros)
    )
    assert still.flow is None and torch.equal(still.shown_flow, moved.shown_flow)
    for field in ("image", "residual", "warped"):
        assert torch.equal(getattr(still, field), getattr(moved, field))
    assert torch.allclose(still.change(photo), moved.change(photo), atol=1e-6)
    gates = torch.ones(1, len(OPERATIONS))
    merged = (pipe.merge(photo, {"whitening": x}, gates) for x in (still, moved))
    assert torch.allclose(*merged, atol=1e-6)


def test_the_merger_sees_an_edit_as_the_expert_made_it(pipe):
    flow, rows = torch.rand(1, 2, 8, 8) * 2, torch.tensor([0])
    photo, residual = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 8, 8)
    small = F.avg_pool2d(photo, 2)
    for each in (None, flow):
        edit = ExpertEdit(rows, each, residual, torch.ones(1)).scaled(0.5)
        applied = pipe.apply(photo, edit)
        seen = applied.small_change(applied.change(photo), small)
        assert torch.equal(seen, edit.on(small).change(small))
        part = applied.cut(Window((4, 12), (0, 8)))  # as in tiles: what is there is reduced
        change = part.change(photo[..., 4:12, :8])
        seen = part.small_change(change, small[..., 2:6, :4])
        assert torch.allclose(seen, F.avg_pool2d(change, 2), atol=1e-6)


def test_experts_images_are_made_when_they_are_looked_at(pipe, photos, monkeypatch):
    made = []
    write = mofrr_result.write_images

    def count(*given):
        made.append(len(given[0]))
        return write(*given)

    for module in (mofrr_result, by_expert):
        monkeypatch.setattr(module, "write_images", count)
    output = pipe(photos, operations={"whitening", "smoothing"})
    assert made == [2] and list(output.expert_images) == list(pipe.expert_names)
    assert "whitening" in repr(output) and made == [2]
    first = output.expert_images["whitening"]
    assert output.expert_images["whitening"] is first and made == [2, 2]
    assert output.expert_images["eye_enlarging"] == [None, None]
    copied = pickle.loads(pickle.dumps(output))
    assert copied.expert_images["smoothing"][0].size == first[0].size


@pytest.mark.parametrize("rows", [[0, 1, 2], [0, 2], [1]])
def test_rows_are_taken_and_put_back(rows):
    batch, rows = torch.rand(3, 2, 4), torch.tensor(rows)
    assert torch.equal(take(batch, rows), batch[rows])
    written = torch.zeros_like(batch)
    put(written, rows, take(batch, rows) + 1)
    assert torch.equal(written[rows], batch[rows] + 1)
    assert written.any(dim=2).any(dim=1).sum() == len(rows)


@pytest.mark.parametrize("shape", [(32, 48), (16, 24), (8, 12), (16, 48), (13, 20)])
def test_every_way_of_reducing_is_the_mean_over_the_area(shape):
    planes = torch.rand(2, 5, 32, 48)
    assert torch.allclose(
        reduce_to(planes, shape), F.interpolate(planes, shape, mode="area"), atol=1e-6
    )


def test_enlarging_is_bilinear():
    planes = torch.rand(2, 3, 8, 6)
    expected = F.interpolate(planes, (20, 12), mode="bilinear", align_corners=False)
    assert torch.allclose(to_shape(planes, (20, 12)), expected, atol=1e-6)


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_local_energy_is_the_log_of_the_mean_over_what_lies_inside(radius):
    band = torch.randn(2, 4, 9, 7)
    window = 2 * radius + 1
    energy = F.avg_pool2d(band.square(), window, 1, radius, count_include_pad=False)
    expected = (energy + 3e-5).log() / 2 + 3
    assert torch.allclose(local_log_energy(band, radius), expected, atol=1e-5)


def test_dtype_and_hooks_are_found(make_pipeline):
    network = make_pipeline().whitening_expert
    assert not is_hooked(network) and dtype_of(network) is torch.float32
    assert dtype_of(network.to(torch.bfloat16)) is torch.bfloat16
    network.enable_layerwise_casting(storage_dtype=torch.float16, compute_dtype=torch.float32)
    assert is_hooked(network) and dtype_of(network) is network.dtype
