"""BPFReRetouch and BPFReInpaint against BPFRePipeline, and under the host's memory."""

import pytest
import tiny_bpfre
import torch


@pytest.fixture
def inpaint(nodes):
    """`inpaint(pictures, mask, model)`: runs BPFReInpaint."""

    def run(image, mask, model, **given):
        return nodes["BPFReInpaint"].execute(image, mask, model, **{"working_size": 0, **given})

    return run


@pytest.fixture
def photo() -> torch.Tensor:
    """1 160 200 3."""
    return torch.rand(1, 160, 200, 3, generator=torch.Generator().manual_seed(6))


@pytest.fixture
def half() -> torch.Tensor:
    """A mask for `pictures`, 24 30: 1 in the upper half."""
    mask = torch.zeros(24, 30)
    mask[:12] = 1
    return mask


BOX = {"x": 70, "y": 50, "width": 40, "height": 48}


def planes(images: torch.Tensor) -> torch.Tensor:
    return images.movedim(-1, 1)


def test_gives_what_the_pipeline_gives(retouch, retoucher, bpfre, pictures):
    node = retouch(pictures, retoucher, strength=0.7)
    expected = bpfre(planes(pictures), strength=0.7, output_type="pt")
    assert torch.equal(planes(node[0]), expected.images)
    assert torch.equal(planes(node[1]), expected.coarse_images)
    assert not torch.equal(node[0], pictures) and not torch.equal(node[0], node[1])
    for place, found in enumerate((node[2], node[3])):
        assert torch.equal(found, (expected.blemish_maps[:, place] / 0.25).clamp(0, 1))
    assert node[2].any()


def test_the_working_size_is_the_pipelines(retouch, retoucher, bpfre, photo):
    for size in (64, 120):
        node = retouch(photo, retoucher, working_size=size)
        expected = bpfre(planes(photo), working_size=size, output_type="pt")
        assert torch.equal(planes(node[0]), expected.images)
    with pytest.raises(ValueError, match="working_size is 30"):
        retouch(photo, retoucher, working_size=30)


def test_mask_and_preserve_bound_the_edit(retouch, retoucher, pictures, half):
    free = retouch(pictures, retoucher)
    inside, kept = half.bool(), ~half.bool()
    for given in ({"mask": half}, {"preserve": 1 - half}):
        node = retouch(pictures, retoucher, **given)
        for place in (0, 1):
            assert torch.equal(node[place][:, inside], free[place][:, inside])
            assert torch.equal(node[place][:, kept], pictures[:, kept])
        assert torch.equal(node[2], free[2]), "the maps tell what was found, wherever"
    both = retouch(pictures, retoucher, mask=half, preserve=half)
    assert torch.equal(both[0], pictures)


def test_strength_zero_and_alpha(retouch, retoucher, pictures):
    alpha = torch.rand(2, 24, 30, 1)
    node = retouch(torch.cat((pictures, alpha), dim=-1), retoucher, strength=0.0)
    assert torch.equal(node[0], torch.cat((pictures, alpha), dim=-1))
    assert torch.equal(node[1], node[0]) and node[2].any()


def test_faces_in_boxes_are_retouched_one_by_one(retouch, retoucher, photo):
    photos = photo.repeat(2, 1, 1, 1)
    node = retouch(photos, retoucher, boxes=[[BOX], []])
    assert torch.equal(node[0][1], photos[1]) and not node[2][1].any()
    changed = (node[0][0] != photos[0]).any(-1)
    assert changed.any() and not changed[:, :40].any() and not changed[:, 140:].any()
    assert node[2][0].any() and not node[2][0][:, :40].any()
    nothing = retouch(photos, retoucher, boxes=[[], []])
    assert torch.equal(nothing[0], photos) and not nothing[2].any()


def test_what_nothing_was_found_on_keeps_its_bits_in_a_face(retouch, photo):
    from frr.nodes.bpfre_model import BPFReModel

    blind = tiny_bpfre.pipeline()
    for attention in (blind.retoucher.e2d, blind.retoucher.d2g):
        attention.map_head.weight.data.zero_()
        attention.map_head.bias.data.fill_(-1)
    node = retouch(photo, BPFReModel(blind, "blind"), boxes=[BOX])
    assert torch.equal(node[0], photo)


def test_inpaint_gives_what_the_pipeline_gives(inpaint, retoucher, bpfre, pictures, half):
    node = inpaint(pictures, half, retoucher)
    expected = bpfre.inpaint(planes(pictures), half, output_type="pt")
    assert torch.equal(planes(node[0]), expected.images)
    assert torch.equal(node[0][:, 12:], pictures[:, 12:])
    assert not torch.equal(node[0][:, :12], pictures[:, :12])


@pytest.mark.parametrize("boxes", [None, [BOX], [BOX, {**BOX, "x": 75, "y": 54}]])
def test_what_lies_under_a_hole_is_not_looked_at(inpaint, retoucher, photo, boxes):
    mask = torch.zeros(160, 200)
    mask[60:90, 75:100] = 1
    hole = mask.bool()
    other = photo.clone()
    other[:, hole] = torch.rand(int(hole.sum()), 3)
    first, second = (inpaint(each, mask, retoucher, boxes=boxes)[0] for each in (photo, other))
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)
    assert torch.equal(first[:, ~hole], photo[:, ~hole])
    assert not torch.equal(first[:, hole], photo[:, hole])


def test_a_hole_outside_the_faces_is_refused(inpaint, retoucher, photo):
    mask = torch.zeros(160, 200)
    mask[:5, :4] = 1
    with pytest.raises(ValueError, match="20 of the mask's 20 pixels lie outside"):
        inpaint(photo, mask, retoucher, boxes=[BOX])
    assert torch.equal(inpaint(photo, mask * 0, retoucher, boxes=[BOX])[0], photo)


def test_missing_parts_are_named_with_the_way_out(inpaint, retouch, pictures, half):
    from frr.nodes.bpfre_model import BPFReModel

    without = BPFReModel(tiny_bpfre.pipeline(inpainter=None), "mine")
    assert not torch.equal(retouch(pictures, without)[0], pictures)
    with pytest.raises(ValueError, match=r"'mine' has no inpainter.*under models/bpfre"):
        inpaint(pictures, half, without)
    without = BPFReModel(tiny_bpfre.pipeline(retoucher=None), "mine")
    with pytest.raises(ValueError, match="has no retoucher, the network that retouches"):
        retouch(pictures, without)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.full((1, 64, 64, 3), float("nan"))}, "NaN"),
        ({"mask": torch.zeros(1, 64, 64)}, "empty one of 64 x 64"),
        ({"preserve": torch.ones(1, 9, 9)}, r"preserve has the shape \(1, 9, 9\)"),
        ({"boxes": [[]], "landmarks": {"frames": []}}, "disconnect one"),
        ({"boxes": [[], [], []]}, "same batch"),
    ],
)
def test_bad_inputs_are_named(retouch, retoucher, pictures, change, message):
    with pytest.raises(ValueError, match=message):
        retouch(change.pop("image", pictures), retoucher, **change)


def test_only_the_network_at_work_is_on_the_device(
    inpaint, retouch, retoucher, pictures, half, memory
):
    retouch(pictures, retoucher)
    inpaint(pictures, half, retoucher)
    parts = {patcher: part for part, patcher in retoucher.patchers.items()}
    assert [parts[patcher] for patcher, _ in memory.loads] == ["retoucher", "inpainter"]
    needs = [need for _, need in memory.loads]
    assert needs[0] == 2 * retoucher.bytes_for_picture("retoucher", 24, 30)
    memory.reset()
    memory.budget = max(patcher.model_size() for patcher in retoucher.get_models())
    retouch(pictures, retoucher)
    inpaint(pictures, half, retoucher)
    assert memory.largest <= memory.budget


def watch(monkeypatch, network, most=10**9, pixels=10**9):
    """Notes what the network sees; it runs out of memory on more, or on larger, pictures."""
    forward, seen = network.forward, []

    def limited(photo, *rest, **options):
        if len(photo) > most or photo[0, 0].numel() > pixels:
            raise torch.OutOfMemoryError("planted")
        seen.append(tuple(photo.shape))
        return forward(photo, *rest, **options)

    monkeypatch.setattr(network, "forward", limited)
    return seen


def test_large_pictures_are_seen_in_tiles(retouch, monkeypatch, photo, memory):
    from frr.nodes.bpfre_model import BPFReModel

    tiled = BPFReModel(tiny_bpfre.pipeline(tile_size=64), "tiled")
    seen = watch(monkeypatch, tiled.pipeline.retoucher)
    node = retouch(photo, tiled)
    assert {shape[2:] for shape in seen} == {(64, 64)} and sum(s[0] for s in seen) == 3 * 4
    ((_, asked),) = memory.loads
    assert asked == 8 * tiled.bytes_for_picture("retoucher", 64, 64)
    expected = tiny_bpfre.pipeline(tile_size=64)(planes(photo), output_type="pt")
    torch.testing.assert_close(planes(node[0]), expected.images, atol=1e-4, rtol=0)


def test_long_clips_are_worked_on_in_groups(retouch, retoucher, monkeypatch, pictures):
    expected = retouch(pictures.repeat(4, 1, 1, 1), retoucher)
    monkeypatch.setattr("frr.pipelines.bpfre.retouching.PIXELS_AT_ONCE", 3 * 24 * 30)
    seen = watch(monkeypatch, retoucher.pipeline.retoucher)
    node = retouch(pictures.repeat(4, 1, 1, 1), retoucher)
    assert [shape[0] for shape in seen] == [3, 3, 2]
    for first, second in zip(node.args[:4], expected.args[:4], strict=True):
        torch.testing.assert_close(first, second, atol=1e-4, rtol=0)


def test_out_of_memory_halves_the_batch_then_the_tile(retouch, monkeypatch, retoucher, photo):
    photos = photo.repeat(3, 1, 1, 1)
    expected = retouch(photos, retoucher)
    with monkeypatch.context() as limit:
        seen = watch(limit, retoucher.pipeline.retoucher, most=2)
        node = retouch(photos, retoucher)
        assert [shape[0] for shape in seen] == [2, 1]
        torch.testing.assert_close(node[0], expected[0], atol=1e-4, rtol=0)
    with monkeypatch.context() as limit:
        seen = watch(limit, retoucher.pipeline.retoucher, pixels=130 * 130)
        retouch(photos, retoucher)
        assert set(seen) == {(1, 3, 128, 128)} and len(seen) == 3 * 4
    watch(monkeypatch, retoucher.pipeline.retoucher, most=0)
    with pytest.raises(RuntimeError, match="even with one picture at a time in tiles of 128"):
        retouch(photos, retoucher)


def test_progress_shows_each_finished_group_and_interrupts(
    retouch, monkeypatch, retoucher, pictures, progress, memory, interrupted
):
    monkeypatch.setattr("frr.pipelines.bpfre.retouching.PIXELS_AT_ONCE", 24 * 30)
    retouch(pictures, retoucher)
    assert [value for value, _, _ in progress] == [1, 2, 3, 4] and progress[0][1] == 4
    shown = [preview for _, _, preview in progress]
    assert [preview is None for preview in shown] == [True, False] * 2
    assert shown[1][1].size == (240, 192)

    seen = watch(monkeypatch, retoucher.pipeline.retoucher)
    memory.interrupted = True
    with pytest.raises(interrupted):
        retouch(pictures, retoucher)
    assert not seen
