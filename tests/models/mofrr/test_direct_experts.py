"""Experts that answer at once: identities, hand-made grids, changes without light, coarse flows."""

import math
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from frr.models.mofrr.coarse_encoder import degree_planes
from frr.models.mofrr.flow_expert import FlowExpert
from frr.models.mofrr.native_view import look
from frr.models.mofrr.texture_expert import LIGHT, TextureExpert, without_light
from frr.models.mofrr.tone_expert import ToneExpert, slice_tone
from frr.pipelines.simulate.capture import blur

COARSE = {"widths": (8, 8, 8), "fine": 8}
MAKE = {
    "flow": lambda: FlowExpert(**COARSE),
    "spectral flow": lambda: FlowExpert(**COARSE, spectral_width=16),
    "tone": lambda: ToneExpert(**COARSE, depth=4, side=8),
    "texture": lambda: TextureExpert(width=8, context_width=8),
}
SIZES = [(64, 64), (75, 101), (200, 64), (3, 5)]
ENCODER = {
    "encoder.standardization.",
    "encoder.colour.#.",
    "encoder.reduce.",
    "encoder.traces.",
    "encoder.blocks.#.first.",
    "encoder.blocks.#.first_norm.",
    "encoder.blocks.#.second.",
    "encoder.blocks.#.second_norm.",
    "encoder.blocks.#.modulation.",
    "encoder.merged.#.first.",
    "encoder.merged.#.first_norm.",
    "encoder.merged.#.second.",
    "encoder.merged.#.second_norm.",
    "encoder.merged.#.modulation.",
    "encoder.down.#.",
    "encoder.up.#.",
}
BLOCK = {"block.first.", "block.first_norm.", "block.second.", "block.second_norm."}
PARTS = {
    FlowExpert: (ENCODER | BLOCK | {"up.", "block.modulation.", "head."}, 83),
    ToneExpert: (ENCODER | {"whole.#.", "whole_head.", "head."}, 75),
    TextureExpert: ({"entry.", "context.#.", "layers.#.", "condition.", "exit."}, 22),
}


def photos(*size, count=2):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(3)) * 2 - 1


def stirred(kind):
    """The expert with nothing left at zero."""
    torch.manual_seed(0)
    expert = MAKE[kind]().eval()
    for parameter in expert.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.3)
    return expert


def answer(expert, photo, degree=None):
    with torch.no_grad():
        return expert.answer(photo, look(photo), degree)


def planes(given):
    """The one field that an answer has."""
    (found,) = (field for field in given if field is not None)
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", MAKE)
def test_is_the_identity_at_initialisation(kind, size):
    given = answer(MAKE[kind]().eval(), photos(*size))
    assert not planes(given).any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", MAKE)
def test_answers_in_the_form_of_its_operation(kind, size):
    given = answer(stirred(kind), photos(*size))
    if "flow" in kind:
        assert given.residual is None and given.flow.shape == (2, 2, 64, 64)
    else:
        assert given.flow is None and given.residual.shape == (2, 3, *size)
    assert planes(given).isfinite().all() and planes(given).any()


@pytest.mark.parametrize("kind", MAKE)
def test_batch_equals_single(kind):
    expert, batch, degree = stirred(kind), photos(80, 67, count=3), torch.tensor([0.2, 0.9, 0.5])
    together = planes(answer(expert, batch, degree))
    for row in range(3):
        part = slice(row, row + 1)
        alone = planes(answer(expert, batch[part], degree[part]))
        assert (together[part] - alone).abs().max() < 1e-4 * alone.abs().max()


@pytest.mark.parametrize("kind", MAKE)
def test_it_follows_the_degree_and_none_is_nan(kind):
    expert, photo = stirred(kind), photos(64, 64)
    unknown = planes(answer(expert, photo))
    assert torch.equal(unknown, planes(answer(expert, photo, torch.full((2,), math.nan))))
    told = planes(answer(expert, photo, torch.tensor([math.nan, 0.0])))
    assert torch.allclose(told[0], unknown[0], atol=1e-5)
    assert not torch.allclose(told[1], unknown[1], atol=1e-4)  # known to be 0 is not unknown


def test_degree_planes_by_hand():
    view = look(photos(64, 64))
    assert degree_planes(None, view).tolist() == [[0, 0], [0, 0]]
    found = degree_planes(torch.tensor([0.25, math.nan]), view)
    assert found.tolist() == [[0.25, 1], [0, 0]]


@pytest.mark.parametrize("kind", MAKE)
def test_a_share_is_kept_where_the_degree_is_not_known(kind):
    expert, photo, degree = stirred(kind), photos(64, 64), torch.tensor([0.4, math.nan])
    whole = planes(answer(expert, photo, degree))
    expert.register_to_config(unknown_share=0.25)
    hedged = planes(answer(expert, photo, degree))
    assert torch.equal(hedged[0], whole[0])
    assert torch.allclose(hedged[1], 0.25 * whole[1], atol=1e-6)
    assert torch.allclose(planes(answer(expert, photo))[1], 0.25 * whole[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", MAKE)
def test_every_weight_learns(kind):
    expert, photo = stirred(kind).train(), photos(64, 72)
    planes(expert.answer(photo, look(photo), torch.tensor([0.3, 0.8]))).square().sum().backward()
    still = [name for name, p in expert.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


@pytest.mark.parametrize("kind", MAKE)
def test_saves_and_loads(kind, tmp_path):
    expert, photo = stirred(kind), photos(64, 75)
    expert.save_pretrained(tmp_path)
    loaded = type(expert).from_pretrained(tmp_path)
    assert torch.equal(planes(answer(loaded, photo)), planes(answer(expert, photo)))
    assert loaded.config.operation == expert.config.operation


@pytest.mark.parametrize("expert", PARTS)
def test_names_of_its_weights(expert):
    names = expert().state_dict()
    parts, count = PARTS[expert]
    assert {re.sub(r"\d+", "#", re.sub(r"[^.]+$", "", name)) for name in names} == parts
    assert len(names) == count


def gain(values, depth=4, side=5):
    """A grid 1 12 depth side side of one gain for red, green and blue each, and an offset each."""
    matrix = torch.zeros(3, 4)
    for row, (slope, offset) in enumerate(values):
        matrix[row, row], matrix[row, 3] = slope, offset
    return matrix.flatten().view(1, 12, 1, 1, 1).expand(-1, -1, depth, side, side).contiguous()


@pytest.mark.parametrize("size", [(16, 16), (33, 70)])
def test_a_constant_grid_gives_exactly_its_gains_and_offsets(size):
    photo = photos(*size)
    values = ((0.1, 0.0), (-0.2, 0.05), (0.0, -0.3))
    change = slice_tone(gain(values).expand(2, -1, -1, -1, -1), photo)
    for channel, (slope, offset) in enumerate(values):
        expected = slope * photo[:, channel] + offset
        assert torch.allclose(change[:, channel], expected, atol=1e-6)


def test_a_channel_may_follow_from_another():
    grid = torch.zeros(1, 3, 4, 2, 3, 3)
    grid[:, 0, 2] = 0.5  # red by half of blue
    photo = photos(12, 12, count=1)
    change = slice_tone(grid.flatten(1, 2), photo)
    assert torch.allclose(change[:, 0], 0.5 * photo[:, 2], atol=1e-6)
    assert not change[:, 1:].any()


def test_dark_and_bright_have_changes_of_their_own():
    grid = torch.zeros(1, 12, 2, 1, 1)
    grid[:, 3, 0], grid[:, 3, 1] = 0.2, 0.6  # red's offset, in the dark and in the bright
    for level, expected in ((-1.0, 0.2), (-0.5, 0.2), (0.0, 0.4), (0.25, 0.5), (0.9, 0.6)):
        change = slice_tone(grid, torch.full((1, 3, 4, 4), level))
        assert torch.allclose(change[:, 0], torch.tensor(expected), atol=1e-5)


@pytest.mark.parametrize("size", [(40, 70), (9, 5)])
def test_the_grid_is_read_as_in_three_dimensions(size):
    grid = torch.randn(2, 12, 4, 6, 5, generator=torch.Generator().manual_seed(1))
    photo = photos(*size)
    lines = [torch.linspace(-1, 1, 2 * side + 1)[1::2] for side in size]
    y, x = torch.meshgrid(*lines, indexing="ij")
    at = torch.stack((x.expand(2, -1, -1), y.expand(2, -1, -1), photo.mean(1)), dim=-1)
    read = F.grid_sample(grid, at[:, None], "bilinear", "border", align_corners=False)[:, :, 0]
    matrices = read.unflatten(1, (3, 4))
    expected = (matrices[:, :, :3] * photo[:, None]).sum(2) + matrices[:, :, 3]
    assert torch.allclose(slice_tone(grid, photo), expected, atol=1e-5)


def test_cells_lie_where_they_belong():
    grid = torch.zeros(1, 12, 1, 2, 4)
    grid[0, 3, 0] = torch.tensor([[0.0, 1.0, 2.0, 3.0], [10.0, 11.0, 12.0, 13.0]])
    change = slice_tone(grid, torch.zeros(1, 3, 10, 20))[0, 0]
    at = torch.arange(20.0)
    columns = (((at + 0.5) / 20) * 4 - 0.5).clamp(0, 3)
    rows = (((torch.arange(10.0) + 0.5) / 10) * 2 - 0.5).clamp(0, 1) * 10
    assert torch.allclose(change, rows[:, None] + columns, atol=1e-4)


@pytest.mark.parametrize("size", [(128, 128), (96, 240)])
def test_textures_have_no_light(size):
    change = planes(answer(stirred("texture"), photos(*size)))
    spread = change.std()
    soft = blur(change, 4 * LIGHT * min(size))[..., 24:-24, 24:-24]  # no border seen once more
    assert spread > 1e-3
    assert soft.abs().max() < 0.1 * spread
    assert change.mean((2, 3)).abs().max() < 0.01 * spread


def test_light_is_taken_off_and_detail_left():
    side, at = torch.tensor([256.0]), torch.arange(256.0)
    slow = torch.cos(2 * math.pi * at / 256).expand(1, 3, 256, 256)
    fine = torch.cos(2 * math.pi * at / 4).expand(1, 3, 256, 256)
    assert without_light(torch.full_like(slow, 0.4), side).abs().max() < 1e-5
    assert without_light(slow, side).square().mean() < 1e-3 * slow.square().mean()
    assert torch.allclose(without_light(fine, side), fine, atol=0.02)


def test_light_is_taken_off_where_the_change_is():
    nowhere = torch.zeros(1, 3, 64, 64, device="meta")
    side = torch.zeros(1, device="meta")
    assert without_light(nowhere, side).device == nowhere.device


@pytest.mark.parametrize("kind", MAKE)
def test_half_precision_is_close(kind):
    expert, photo = stirred(kind), photos(80, 64)
    expected = planes(answer(expert, photo))
    view = type(look(photo))(*(field.bfloat16() for field in look(photo)))
    with torch.no_grad():
        half = planes(expert.bfloat16().answer(photo.bfloat16(), view, None)).float()
    assert (half - expected).abs().max() < 0.05 * expected.abs().max()
