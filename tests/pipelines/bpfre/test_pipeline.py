"""BPFRePipeline: what stays to the bit, masks, strength, tiles, batches, inpainting, saving."""

import weakref
from itertools import pairwise

import numpy as np
import pytest
import tiny_bpfre
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from frr import hub
from frr.pipelines.bpfre.findings import find, opening, planes_of, run_tiled, tiles
from frr.pipelines.bpfre.memory import bytes_for_picture
from frr.pipelines.bpfre.pipeline import BPFRePipeline
from frr.pipelines.bpfre.retouching import Way, fill
from frr.pipelines.repository.code import code_files
from frr.pipelines.room import OPEN


@pytest.fixture(scope="module")
def pipe() -> BPFRePipeline:
    return tiny_bpfre.pipeline()


@pytest.fixture
def photos() -> torch.Tensor:
    """Two photos of 8-bit values, 48 x 40."""
    levels = torch.randint(0, 256, (2, 3, 48, 40), generator=torch.Generator().manual_seed(3))
    return levels / 255


def test_only_what_the_maps_find_changes(pipe, photos):
    output = pipe(photos, output_type="pt")
    found = output.blemish_maps.sum(1, keepdim=True)
    closed = (found <= pipe.config["threshold"]).expand_as(photos)
    assert 0.02 < closed.float().mean() < 0.98
    assert torch.equal(output.images[closed], photos[closed])
    assert not torch.equal(output.images, photos)
    closed = (output.blemish_maps[:, :1] <= pipe.config["threshold"]).expand_as(photos)
    assert torch.equal(output.coarse_images[closed], photos[closed])


def test_reduced_photos_keep_their_own_texture_where_nothing_is_found(pipe):
    photo = torch.rand(1, 3, 96, 130, generator=torch.Generator().manual_seed(4))
    output = pipe(photo, working_size=64, output_type="pt")
    closed = (output.blemish_maps.sum(1, keepdim=True) <= 0.012).expand_as(photo)
    assert closed.any() and torch.equal(output.images[closed], photo[closed])


def test_mask_and_preserve_bound_the_edit(pipe, photos):
    free = pipe(photos, output_type="pt").images
    mask = torch.zeros(48, 40)
    mask[:24] = 1
    inside = pipe(photos, mask=mask, output_type="pt").images
    assert torch.equal(inside[:, :, :24], free[:, :, :24])
    assert torch.equal(inside[:, :, 24:], photos[:, :, 24:])
    kept = pipe(photos, preserve=mask, output_type="pt").images
    assert torch.equal(kept[:, :, :24], photos[:, :, :24])
    assert torch.equal(kept[:, :, 24:], free[:, :, 24:])


def test_strength_scales_the_edit(pipe, photos):
    photos = photos * 0.5 + 0.25
    assert torch.equal(pipe(photos, strength=0, output_type="pt").images, photos)
    full = pipe(photos, output_type="pt").images
    half = pipe(photos, strength=0.5, output_type="pt").images
    unclipped = (full > 0) & (full < 1)
    expected = (photos + full) / 2
    torch.testing.assert_close(half[unclipped], expected[unclipped], atol=1e-6, rtol=0)


def test_a_batch_gives_what_single_photos_give(pipe, photos):
    together = pipe(photos, output_type="pt")
    for i, photo in enumerate(photos):
        alone = pipe(photo, output_type="pt")
        torch.testing.assert_close(alone.images[0], together.images[i], atol=1e-4, rtol=0)


def test_kinds_of_photos_come_back_in_kind(pipe):
    rgba = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8), "RGBA")
    grey = Image.new("L", (33, 35), 90)
    output = pipe([rgba, grey])
    assert [image.size for image in output.images] == [(50, 40), (33, 35)]
    assert np.array_equal(np.array(output.images[0])[..., 3], np.array(rgba)[..., 3])
    assert [tuple(m.shape) for m in output.blemish_maps] == [(2, 40, 50), (2, 35, 33)]
    images, coarse, maps = pipe([rgba, rgba], output_type="np", return_dict=False)
    assert images.shape == coarse.shape == (2, 40, 50, 4) and maps.shape == (2, 2, 40, 50)


def test_inpainting_fills_the_hole_without_looking_under_it(pipe, photos):
    mask = torch.zeros(48, 40)
    mask[10:20, 12:30] = 1
    hole = mask.bool().expand_as(photos)
    filled = pipe.inpaint(photos, mask, output_type="pt").images
    assert torch.equal(filled[~hole], photos[~hole])
    other = torch.where(hole, torch.rand_like(photos), photos)
    refilled = pipe.inpaint(other, mask, output_type="pt").images
    torch.testing.assert_close(refilled, filled, atol=1e-5, rtol=0)


def test_a_filled_hole_has_no_rim_where_the_photo_was_reduced():
    """A network that knows the colour fills it up to the hole's edge."""
    photo = torch.full((1, 3, 200, 260), 0.8)
    hole = torch.zeros(1, 1, 200, 260)
    hole[..., 51:121, 33:180] = 1

    def knows(planes):
        edit = (0.6 - planes[:, :3]) * planes[:, 3:]
        return torch.cat((edit, edit, planes[:, 3:], planes[:, 3:]), dim=1)

    for size in (None, 64, 100):
        filled = fill(Way("inpainter", knows, size, 512), photo, hole, OPEN)
        torch.testing.assert_close(filled.images, photo, atol=1e-5, rtol=0)
        torch.testing.assert_close(filled.coarse, photo, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_finds_and_edits_the_same(photos, dtype):
    whole = tiny_bpfre.pipeline()
    half = tiny_bpfre.pipeline().to(dtype)
    hole = torch.eye(48)[:, :40]
    retouched = [each(photos, output_type="pt") for each in (whole, half)]
    filled = [each.inpaint(photos, hole, output_type="pt") for each in (whole, half)]
    for first, second in (retouched, filled):
        change = (first.images - photos).abs().mean()
        assert (first.images - second.images).abs().mean() < 0.05 * change
        kept = (first.images == photos) & (second.images == photos)
        assert kept.float().mean() > 0.9 * (first.images == photos).float().mean()


class Held(TorchDispatchMode):
    """The most bytes of tensors that were alive at one time."""

    def __init__(self):
        super().__init__()
        self.now, self.most, self.seen = 0, 0, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else (result,):
            storage = value.untyped_storage() if isinstance(value, torch.Tensor) else None
            if storage is None or storage.data_ptr() in self.seen or not storage.nbytes():
                continue
            self.seen.add(storage.data_ptr())
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self.free, storage.data_ptr(), storage.nbytes())
        return result

    def free(self, place, size):
        self.seen.discard(place)
        self.now -= size


def test_memory_asked_for_is_what_is_held_and_not_far_more():
    shipped = BPFRePipeline.from_pretrained(hub.folder(hub.BPFRE)).retoucher
    for network, planes in ((shipped, 3), (tiny_bpfre.pipeline().inpainter, 4)):
        photo = torch.rand(1, planes, 128, 128)
        with torch.inference_mode(), Held() as held:
            planes_of(network)(photo)
        assert held.most < bytes_for_picture(network, 128, 128) < 2 * held.most


def test_tiles_overlap_and_cover():
    for length, tile in ((100, 64), (512, 64), (65, 64), (64, 64), (10, 64)):
        spans = [place.rows for place in tiles((length, 1), tile)]
        assert {p for span in spans for p in range(*span)} == set(range(length))
        assert all(stop - start == min(tile, length) for start, stop in spans)
        assert all(b[0] - a[0] <= tile * 3 // 4 for a, b in pairwise(spans))


def test_tiling_a_pointwise_network_changes_nothing():
    photo = torch.rand(2, 3, 150, 90)

    def pointwise(planes):
        return torch.cat((planes * 2, planes + 1), dim=1)

    torch.testing.assert_close(run_tiled(pointwise, photo, 64), pointwise(photo))


def test_tiles_are_used_for_long_sides(photos):
    seen = []

    def network(planes):
        seen.append(tuple(planes.shape))
        return planes.new_zeros(len(planes), 8, *planes.shape[-2:])

    found = find(network, torch.zeros(1, 3, 200, 64), None, 64)
    assert found.coarse.shape == (1, 3, 200, 64) and {s[-2:] for s in seen} == {(64, 64)}
    find(network, torch.zeros(1, 3, 200, 100), 64, 512)
    assert seen[-1] == (1, 3, 128, 64)


def test_opening_is_zero_up_to_the_threshold_and_one_from_its_double():
    shares = opening(torch.tensor([0.0, 0.01, 0.015, 0.02, 1.0]), 0.01)
    torch.testing.assert_close(shares, torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": 1.5}, "strength"),
        ({"mask": torch.ones(3, 3)}, "resize it"),
        ({"preserve": torch.ones(3, 1, 48, 40)}, "3 preserves came for 2 photos"),
        ({"working_size": 3}, "working_size"),
        ({"output_type": "latent"}, "output_type"),
    ],
)
def test_wrong_arguments_are_named(pipe, photos, arguments, message):
    with pytest.raises(ValueError, match=message):
        pipe(photos, **arguments)


def test_missing_and_swapped_parts_are_named(pipe, photos):
    half = tiny_bpfre.pipeline(inpainter=None)
    with pytest.raises(ValueError, match="no inpainter: load a model whose folder holds one"):
        half.inpaint(photos, torch.ones(48, 40))
    with pytest.raises(ValueError, match="swapped"):
        BPFRePipeline(pipe.inpainter, None, None)


def test_saved_and_loaded_it_gives_the_same(pipe, photos, tmp_path):
    pipe.save_pretrained(tmp_path)
    again = BPFRePipeline.from_pretrained(tmp_path)
    assert again.config["threshold"] == pipe.config["threshold"]
    first, second = (each(photos, output_type="pt").images for each in (pipe, again))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=0)
    without = BPFRePipeline.from_pretrained(tmp_path, inpainter=None)
    assert without.inpainter is None
    code = {path.name for path in tmp_path.glob("*.py")}
    assert code == {"block.py", *code_files(BPFRePipeline)}
