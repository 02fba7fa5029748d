"""One rule for masks, whatever their type; and arguments that are no masks or numbers at all."""

import numpy as np
import pytest
import tiny_bpfre
import torch
from PIL import Image

from frr.pipelines.bpfre.masks import read_masks
from frr.pipelines.photos.arrays import read_photos


def photos_of(count: int):
    return read_photos(torch.zeros(count, 3, 6, 5))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("as_numpy", [False, True])
def test_three_dimensions_are_always_a_batch(count, as_numpy):
    mask = torch.rand(count, 6, 5, generator=torch.Generator().manual_seed(0))
    read = read_masks(mask.numpy() if as_numpy else mask, photos_of(count), "mask")
    assert torch.equal(torch.cat(read), mask)


@pytest.mark.parametrize("shape", [(6, 5), (1, 6, 5), (2, 6, 5), (2, 1, 6, 5)])
def test_booleans_are_masks(shape):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) > 0.5
    expected = mask.float().reshape(-1, 1, 6, 5).expand(2, 1, 6, 5)
    assert torch.equal(torch.stack(read_masks(mask, photos_of(2), "mask")), expected)
    if len(shape) < 4:
        read = read_masks(mask.numpy(), photos_of(2), "mask")
        assert torch.equal(torch.stack(read), expected)


def test_lists_pictures_and_colours():
    grey, levels = Image.new("L", (5, 6), 51), np.full((6, 5), 255, np.uint8)
    read = read_masks([grey, levels], photos_of(2), "mask")
    assert [float(plane.mean()) for plane in read] == pytest.approx([0.2, 1])
    coloured = torch.tensor([0.0, 0.5, 1.0])[None, :, None, None].expand(2, 3, 6, 5)
    assert float(torch.stack(read_masks(coloured, photos_of(2), "mask")).mean()) == 0.5
    one_bit = Image.new("1", (5, 6), 1)
    assert float(read_masks(one_bit, photos_of(1), "mask")[0].min()) == 1


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((6, 5), np.uint8), "levels 0 and 1 of 255"),
        (torch.ones(6, 5, dtype=torch.uint8), "levels 0 and 1 of 255"),
        (Image.new("L", (5, 6), 1), "levels 0 and 1 of 255"),
        (torch.ones(6, 5, dtype=torch.int64), "mask: image of torch.int64"),
        (torch.full((6, 5), torch.nan), "mask: image holds 30 NaN"),
        (torch.ones(3, 6, 5), "3 masks came for 2 photos"),
        (np.ones((6, 5, 3)), "B H W"),
        (torch.zeros(0, 6, 5), "no pixels"),
        ("white", "mask: image is of type str"),
    ],
)
def test_what_is_no_mask_is_named(mask, message):
    with pytest.raises(ValueError, match=message):
        read_masks(mask, photos_of(2), "mask")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": "1"}, "strength is '1'; expected a number"),
        ({"strength": float("nan")}, "strength is nan"),
        ({"strength": True}, "strength is True"),
        ({"working_size": True}, "working_size is True"),
        ({"working_size": -5}, "working_size is -5"),
        ({"working_size": 99.5}, "working_size is 99.5"),
        ({"working_size": torch.ones(2)}, "working_size is tensor"),
        ({"output_type": ["pil"]}, "output_type is"),
        ({"image": torch.zeros(0, 3, 64, 64)}, "no pixels"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    pipe = tiny_bpfre.pipeline()
    with pytest.raises(ValueError, match=message):
        pipe(**{"image": torch.zeros(1, 3, 64, 64), **arguments})


def test_a_pipeline_is_not_made_with_a_working_size_below_the_least():
    with pytest.raises(ValueError, match="working_size is -5"):
        tiny_bpfre.pipeline(working_size=-5)
