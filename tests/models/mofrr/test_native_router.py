"""NativeRouter: any size, meaning of its outputs, calibration, independence of the batch."""

import math
import re

import pytest
import torch
from tiny_native import NATIVE_ROUTER

from frr.models.mofrr.native_router import NativeRouter, NativeRouterOutput
from frr.models.mofrr.native_view import look, place
from frr.pipelines.operations import OPERATIONS

PARTS = {
    "trunk.embedder.standardization.",
    "trunk.embedder.traces.#.#.",
    "trunk.embedder.colour.#.#.",
    "trunk.embedder.join.#.",
    "trunk.encoder.stages.#.layers.#.layer.#.convolution.",
    "trunk.encoder.stages.#.layers.#.layer.#.normalization.",
    "trunk.encoder.stages.#.layers.#.shortcut.convolution.",
    "trunk.encoder.stages.#.layers.#.shortcut.normalization.",
    "granularities.#.",
    "granularities.#.reduce.",
    "granularities.#.image_norm.",
    "granularities.#.block.attention_norm.",
    "granularities.#.block.attention.query.",
    "granularities.#.block.attention.key_value.",
    "granularities.#.block.attention.projection.",
    "granularities.#.block.mlp.#.",
    "granularities.#.assignment_query.",
    "granularities.#.assignment_key.",
    "granularities.#.gathered.",
    "granularities.#.projection.",
    "granularities.#.pooled_projection.",
    "",  # scale_embedding
    "locate.",
    "map.",
    "operation_tokens.",
    "direct_head.",
    "transformer.#.attention_norm.",
    "transformer.#.attention.query.",
    "transformer.#.attention.key_value.",
    "transformer.#.attention.projection.",
    "transformer.#.mlp.#.",
    "norm.",
    "head.",
}


def photos(*size, count=2):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(3)) * 2 - 1


def small(**options):
    torch.manual_seed(0)
    return NativeRouter(**NATIVE_ROUTER, **{"operations": OPERATIONS, **options}).eval()


def test_degrees_and_spreads_by_hand():
    levels = torch.zeros(1, 2, 8)
    levels[0, 1, 2] = 100  # certainly the third of eight
    output = NativeRouterOutput(torch.zeros(1, 2), levels, torch.zeros(1, 2, 16, 16))
    assert output.probabilities.tolist() == [[0.5, 0.5]]
    assert output.degrees[0].tolist() == pytest.approx([4.5 / 8, 3 / 8])
    assert output.spreads[0].tolist() == pytest.approx([math.sqrt(63 / 12) / 8, 0], abs=1e-3)


@pytest.mark.parametrize("size", [(64, 64), (75, 101), (301, 200), (512, 512), (5, 9)])
def test_any_size(size):
    output = small()(photos(*size))
    assert output.presence_logits.shape == (2, 4)
    assert output.degree_logits.shape == (2, 4, 8)
    assert output.location_logits.shape == (2, 4, 16, 16)
    assert ((output.degrees > 0) & (output.degrees <= 1)).all()
    assert ((output.spreads >= 0) & (output.spreads < 0.5)).all()
    assert all(field.isfinite().all() for field in output)


PATHS = {
    "spectra": ({}, {"spectral_width": 16}, "stem.spectral.join.1"),
    "parts": ({"spectral_width": 16}, {"parts_width": 16}, "parts_head"),
}
"""What a router can have besides its trunk: what it needs, its options, what begins at zero."""


@pytest.mark.parametrize("paths", [(), ("spectra",), ("parts",), tuple(PATHS)])
def test_every_weight_learns(paths):
    options = {name: value for path in paths for name, value in PATHS[path][1].items()}
    router = small(**options).train()
    zero = [router.head, *(router.get_submodule(PATHS[path][2]) for path in paths)]
    for layer in zero:  # and so is what comes before it
        torch.nn.init.normal_(layer.weight)
    output = router(photos(64, 80))
    (sum(field.square().mean() for field in output) + output.degrees.mean()).backward()
    still = [name for name, p in router.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(name.startswith("parts.finder.") for name in still)  # learns from meshes alone


@pytest.mark.parametrize("path", PATHS)
def test_a_path_begins_as_if_it_were_not_there(path):
    needed, options, zero = PATHS[path]
    plain, photo = small(**needed), photos(64, 80)
    grown = small(**needed, **options)
    grown.load_state_dict(plain.state_dict(), strict=False)
    for with_it, without in zip(grown(photo), plain(photo), strict=True):
        assert torch.equal(with_it, without)
    torch.nn.init.normal_(grown.get_submodule(zero).weight)
    assert not torch.allclose(grown(photo).presence_logits, plain(photo).presence_logits)


def test_batch_equals_single():
    router, batch = small(), photos(90, 77, count=3)
    together = router(batch)
    for row in range(3):
        for field, alone in zip(together, router(batch[row : row + 1]), strict=True):
            assert torch.allclose(field[row], alone[0], atol=1e-5)


def test_calibration_by_hand():
    photo = photos(64, 64)
    plain = small()(photo).presence_logits
    temperature, bias = (2.0, 1.0, 0.5, 4.0), (1.0, 0.0, -1.0, 0.5)
    both = small(temperature=temperature, bias=bias)
    expected = plain / torch.tensor(temperature) + torch.tensor(bias)
    assert torch.allclose(both(photo).presence_logits, expected, atol=1e-5)
    colder = small(temperature=temperature)(photo).presence_logits
    assert torch.allclose(colder, plain / torch.tensor(temperature), atol=1e-5)
    moved = small(bias=bias)(photo).presence_logits
    assert torch.allclose(moved, plain + torch.tensor(bias), atol=1e-5)


def test_training_sees_no_calibration():
    photo = photos(64, 64)
    plain, calibrated = (
        small(dropout=0.0, **options).train()(photo).presence_logits
        for options in ({}, {"temperature": (2.0,) * 4, "bias": (1.0,) * 4})
    )
    assert torch.equal(plain, calibrated)


@pytest.mark.parametrize("name", ["thresholds", "temperature", "bias"])
def test_one_number_for_each_operation(name):
    with pytest.raises(ValueError, match=f"2 {name} came for 4 operations"):
        small(**{name: (0.5, 0.5)})


def test_temperatures_are_above_zero():
    with pytest.raises(ValueError, match="above 0"):
        small(temperature=(1.0, 0.0, 1.0, 1.0))


def test_a_fifth_operation_is_configuration():
    operations = ("whitening", "smoothing", "face_slimming", "eye_enlarging", "lip_tinting")
    router = small(operations=operations)
    assert router(photos(64, 64)).presence_logits.shape == (2, 5)
    assert tuple(router.config.thresholds) == (0.5,) * 5


def test_saves_and_loads_with_its_calibration(tmp_path):
    router = small(thresholds=(0.1, 0.2, 0.3, 0.4), temperature=(2.0,) * 4, bias=(0.1,) * 4)
    router.save_pretrained(tmp_path)
    loaded = NativeRouter.from_pretrained(tmp_path)
    photo = photos(70, 64)
    assert torch.equal(loaded(photo).presence_logits, router(photo).presence_logits)
    assert tuple(loaded.config.thresholds) == (0.1, 0.2, 0.3, 0.4)


def test_half_precision_sees_the_photo_as_it_is():
    photo = photos(96, 96)
    expected = small()(photo)
    for dtype in (torch.bfloat16, torch.float16):
        half = small().to(dtype)(photo)
        assert (half.probabilities.float() - expected.probabilities).abs().max() < 0.02
        assert (half.degrees - expected.degrees).abs().max() < 0.02


def test_the_view_knows_the_size_and_the_place():
    view = look(photos(512, 600))
    assert view.traces.shape == (2, 59, 32, 32) and view.colour.shape == (2, 3, 128, 128)
    assert view.side.tolist() == [1.0, 1.0]
    assert look(photos(200, 128)).side.tolist() == [-1.0, -1.0]
    placed = place(view.traces, view.side)
    rows, columns, away, size = placed[0, 59:]
    assert rows[0].tolist() == [-1] * 32 and rows[-1].tolist() == [1] * 32
    assert torch.equal(columns, rows.T)
    assert away[0, [0, -1]].tolist() == [1, 1] and away[0].min() < -0.9
    assert (size == 1).all()


def test_names_of_its_weights():
    names = NativeRouter(OPERATIONS).state_dict()
    assert {re.sub(r"\d+", "#", re.sub(r"[^.]+$", "", name)) for name in names} == PARTS
    assert len(names) == 159


def test_mirrored_verdicts_are_the_mean_of_both_ways():
    torch.manual_seed(0)
    router = NativeRouter(
        OPERATIONS, **NATIVE_ROUTER, bias=(0.5, -0.5, 0, 1), temperature=(2, 1, 1, 1)
    ).eval()
    torch.nn.init.normal_(router.head.weight)
    photo = photos(256, 256)
    one, other = router(photo), router(photo.flip(-1))
    assert not torch.allclose(one.presence_logits, other.presence_logits, atol=1e-3)
    router.register_to_config(mirrored=True)
    both = router(photo)
    for name in ("presence_logits", "degree_logits"):
        mean = (getattr(one, name) + getattr(other, name)) / 2
        assert torch.allclose(getattr(both, name), mean, atol=1e-4)
    mean = (one.location_logits + other.location_logits.flip(-1)) / 2
    assert torch.allclose(both.location_logits, mean, atol=1e-4)
    turned = router(photo.flip(-1))
    assert torch.allclose(both.presence_logits, turned.presence_logits, atol=1e-4)


def test_mirrored_routers_learn_from_photos_as_they_are():
    router = NativeRouter(OPERATIONS, **NATIVE_ROUTER, dropout=0.0, mirrored=True)
    plain = NativeRouter(OPERATIONS, **NATIVE_ROUTER, dropout=0.0)
    plain.load_state_dict(router.state_dict())
    view = look(photos(128, 128))
    assert torch.equal(router.train().judge(view)[0], plain.train().judge(view)[0])


def test_bounds_are_one_for_each_operation():
    with pytest.raises(ValueError, match="2 smallest_side came for 4 operations"):
        NativeRouter(OPERATIONS, **NATIVE_ROUTER, smallest_side=(300, None))
