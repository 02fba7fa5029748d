"""Photos are looked at once; where they do not let the router know, there is no verdict."""

import math
from io import BytesIO

import numpy as np
import pytest
import torch
from by_operation import flags, values
from PIL import Image

from frr.pipelines.mofrr import direct, estimating
from frr.pipelines.mofrr.sight import can_tell
from frr.pipelines.operations import OPERATIONS

BOUNDS = {
    "operations": OPERATIONS,
    "smallest_side": values(None, smoothing=300, eye_enlarging=512),
    "smallest_quality": values(None, whitening=60, eye_enlarging=40),
}


@pytest.fixture
def looks(monkeypatch):
    """Counts how many photos are looked at."""
    counted = []
    for module in (direct, estimating):
        own = module.look

        def counting(photo, own=own):
            counted.append(len(photo))
            return own(photo)

        monkeypatch.setattr(module, "look", counting)
    return counted


def make_photos(count=3, side=96):
    noise = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(7))
    return 0.4 + 0.2 * noise


def seed():
    return torch.Generator().manual_seed(0)


def always(pipeline):
    pipeline.router.register_to_config(thresholds=values(0.0))
    return pipeline


@pytest.mark.parametrize("samples", [1, 2])
def test_router_and_experts_look_once_at_each_photo(make_native, looks, samples):
    pipeline, photos = always(make_native()), make_photos()
    output = pipeline(photos, generator=seed(), num_samples=samples, output_type="pt")
    assert output.active.all()
    assert looks == [3]


def test_what_the_router_saw_serves_the_experts_to_the_bit(make_native):
    pipeline, photos = make_native(), make_photos() * 2 - 1
    routing = pipeline.route(photos)
    active = torch.tensor([flags("whitening", "face_slimming"), flags(), flags(*OPERATIONS)])
    active = torch.cat((active, torch.zeros(3, 1, dtype=torch.bool)), dim=1)  # nothing shared
    latents = pipeline.prepare_latents(photos, seed())
    shared, alone = (
        pipeline.run_experts(photos, active, routing.degrees, latents, sight=sight)[0]
        for sight in (routing.sight, None)
    )
    assert list(shared) == list(alone)
    for name, edit in alone.items():
        for one, other in zip(shared[name], edit, strict=True):
            assert (one is None and other is None) or torch.equal(
                one.nan_to_num(), other.nan_to_num()
            )


def test_experts_of_another_size_look_themselves(make_native, looks):
    pipeline, photos = make_native(), make_photos() * 2 - 1
    sight = pipeline.route(photos).sight._replace(working=64)
    active = torch.tensor([[*flags(*OPERATIONS), False]] * 3)
    latents = pipeline.prepare_latents(photos, seed())
    pipeline.run_experts(photos, active, torch.zeros(3, len(OPERATIONS)), latents, sight=sight)
    assert looks == [3, 3]


def test_bounds_by_hand():
    quality = torch.tensor([math.nan, 50.0, 90.0])
    assert can_tell(BOUNDS, 400, quality).tolist() == [
        list(values(True, eye_enlarging=False)),
        list(values(True, whitening=False, eye_enlarging=False)),
        list(values(True, eye_enlarging=False)),
    ]
    assert can_tell(BOUNDS, 512, quality)[0].all()
    assert can_tell({"operations": OPERATIONS}, 8, quality).all()


def test_no_verdict_where_the_photo_is_too_small(make_native):
    pipeline, photos = always(make_native()), make_photos()
    pipeline.router.register_to_config(smallest_side=values(None, smoothing=97, eye_enlarging=96))
    output = pipeline(photos, generator=seed(), output_type="pt")
    assert output.told.tolist() == [list(values(True, smoothing=False))] * 3
    assert torch.equal(output.active, output.told)
    assert output.native_size.tolist() == [96] * 3
    assert output.quality.isnan().all()
    forced = pipeline(photos, operations={"smoothing"}, generator=seed(), output_type="pt")
    assert forced.active[:, 1].all() and not forced.told[:, 1].any()


def test_no_verdict_where_it_was_compressed_too_much(make_native):
    pipeline, file = always(make_native()), BytesIO()
    bounds = values(None, whitening=60, face_slimming=50, eye_enlarging=40)
    pipeline.router.register_to_config(smallest_quality=bounds)
    pixels = np.random.default_rng(0).integers(60, 190, (192, 192, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=50)
    output = pipeline(Image.open(file), generator=seed())
    assert output.quality.tolist() == pytest.approx([50], abs=1)
    assert output.told[0, [0, 1, 3]].tolist() == [False, True, True]


def test_frames_of_a_clip_have_one_verdict(make_native):
    pipeline, photos = make_native(), make_photos() * 2 - 1
    pipeline.router.register_to_config(smallest_side=values(None, whitening=97))
    routing = pipeline.route(photos, clip=True)
    assert routing.estimate.told.tolist() == [list(values(True, whitening=False))] * 3


def test_without_a_router_nobody_looks(make_native):
    pipeline = make_native()
    pipeline.register_modules(router=None)
    output = pipeline(make_photos(1), operations={"whitening"}, output_type="pt")
    assert output.told.all() and output.quality.isnan().all()
