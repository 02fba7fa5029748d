"""What BPFRe is judged on: hard cases leave the photo equal outside the mask."""

import pytest
import torch

from frr.training.data.faces import FaceSet
from frr.training.judging.conditions_bpfre import paint_condition, select_large_pose


def test_large_poses_are_those_whose_nose_is_off_the_middle(squares):
    points = torch.full((10, 478, 2), 0.5)
    points[:, 234, 0], points[:, 454, 0] = 0.2, 0.8
    points[:, 4, 0] = 0.5 + torch.arange(10) * 0.01
    turned = select_large_pose(FaceSet(squares.images, points, squares.names))
    assert turned.names == ("8.png", "9.png")
    with pytest.raises(ValueError, match="landmarks"):
        select_large_pose(squares)


@pytest.mark.parametrize("condition", ["dim light", "occlusion", "acne"])
def test_conditions_keep_the_photo_equal_outside_the_mask(squares, condition):
    painted = paint_condition(squares.select(range(2)), condition, 0, 0)
    outside = (painted.mask == 0).expand_as(painted.image)
    torch.testing.assert_close(painted.image[outside], painted.target[outside], atol=0.009, rtol=0)
