import numpy as np
import pytest
import torch
from PIL import Image

from frr.pipelines.photos.drawings import (
    LABEL_HEIGHT,
    error_picture,
    flow_picture,
    panel,
    residual_picture,
    to_picture,
    to_tensor,
)


def test_bytes_survive_the_way_to_a_tensor_and_back():
    levels = np.arange(256 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    tensor = to_tensor(Image.fromarray(levels))
    assert tensor.shape == (1, 3, 16, 16)
    assert tensor.min() == -1 and tensor.max() == 1
    assert (np.asarray(to_picture(tensor[0])) == levels).all()


def test_values_outside_the_range_are_clipped():
    picture = to_picture(torch.tensor([-3.0, 0.0, 3.0]).view(3, 1, 1))
    assert picture.getpixel((0, 0)) == (0, 128, 255)


def test_no_residual_is_grey_and_gain_amplifies():
    assert residual_picture(torch.zeros(3, 2, 2)).getpixel((1, 1)) == (128, 128, 128)
    assert residual_picture(torch.full((3, 2, 2), 0.05), gain=4).getpixel((0, 0)) == (153,) * 3


def test_flow_colours_tell_direction_and_length():
    flow = torch.zeros(2, 1, 4)
    flow[0, 0, 1], flow[0, 0, 2], flow[1, 0, 3] = 2.0, -2.0, 1.0
    picture = flow_picture(flow)
    still, right, left, down = (picture.getpixel((x, 0)) for x in range(4))
    assert still == (0, 0, 0)
    assert right == (255, 0, 0)
    assert left[0] == 0 and min(left[1:]) >= 250
    assert max(down) in (127, 128)


def test_flow_pictures_share_a_scale_when_given_one():
    flow = torch.zeros(2, 1, 1)
    flow[0] = 1.0
    assert max(flow_picture(flow, longest=4.0).getpixel((0, 0))) == 64
    assert flow_picture(torch.zeros(2, 1, 1)).getpixel((0, 0)) == (0, 0, 0)


def test_error_picture_is_black_where_equal_and_white_at_the_limit():
    black, grey = (Image.new("RGB", (2, 1), (level,) * 3) for level in (0, 32))
    assert error_picture(black, black).getpixel((0, 0)) == (0, 0, 0)
    assert error_picture(grey, black, white=32).getpixel((0, 0)) == (255, 255, 255)
    assert error_picture(grey, black, white=96).getpixel((0, 0)) == (255, 0, 0)


def test_error_picture_refuses_two_sizes():
    with pytest.raises(ValueError, match=r"\(2, 1\) and \(3, 1\)"):
        error_picture(Image.new("RGB", (2, 1)), Image.new("RGB", (3, 1)))


def test_panel_sets_pictures_under_their_labels():
    red, blue = Image.new("RGB", (40, 20), "red"), Image.new("RGB", (20, 10), "blue")
    sheet = panel([("first", red), ("second", blue)])
    assert sheet.size == (40 + 4 + 40, 20 + LABEL_HEIGHT)
    assert sheet.getpixel((20, LABEL_HEIGHT + 10)) == (255, 0, 0)
    assert sheet.getpixel((64, LABEL_HEIGHT + 10)) == (0, 0, 255)
    label = np.asarray(sheet.crop((0, 0, 40, LABEL_HEIGHT)))
    assert (label < 128).any() and (label == 255).any()
