"""Parts of enlargements are those of the whole; a change takes the detail of what it takes away."""

import pytest
import torch

from frr.models.bpfre.planes import brought, part_of, share_taken


@pytest.mark.parametrize("size", [(37, 53), (20, 31), (200, 10)])
def test_a_part_of_an_enlargement_is_that_part_of_the_whole(size):
    planes = torch.rand(2, 3, 20, 31, generator=torch.Generator().manual_seed(0))
    rows, columns = torch.arange(3, size[0] - 1), torch.arange(2, size[1])
    whole = brought(planes, size)[:, :, 3 : size[0] - 1, 2:]
    torch.testing.assert_close(part_of(planes, size, rows, columns), whole, atol=1e-5, rtol=0)


def test_what_is_taken_away_takes_its_detail_along_and_all_else_keeps_it():
    photo = torch.zeros(1, 1, 40, 40)
    photo[..., 10:20, 10:20] = 0.6
    removed = share_taken(photo, -photo, 1.5)
    assert float(removed[..., 9:11, 12:18].min()) > 0.8, "the edge goes"
    assert float(removed[..., 30:, 30:].max()) == 0
    assert float(share_taken(photo, torch.zeros_like(photo), 1.5).max()) == 0
    assert float(share_taken(photo, photo, 1.5).max()) == 0, "nothing is ever sharpened"
    texture = 0.03 * torch.randn(1, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    assert float(share_taken(texture, -texture, 1.5).max()) < 0.4, "grain mostly stays"
