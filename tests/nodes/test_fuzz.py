"""Inputs of nodes, drawn at random: an answer of the right shape, or one line."""

import math
import os

import pytest
import torch

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frr.pipelines.operations import OPERATIONS

EXAMPLES = int(os.environ.get("FRR_FUZZ_EXAMPLES", "0"))
SIZED = settings(
    max_examples=max(EXAMPLES, 8),
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
shares = st.one_of(st.floats(0, 1), st.sampled_from((0.0, 1.0, math.nan, -1.0, 2.0, math.inf)))
counts = st.sampled_from((0, 1, 1, 2, -1, 10**9))
sizes = st.sampled_from((0, 0, 32, 64, 5, -5, 10**6))
boxes = st.lists(
    st.fixed_dictionaries(
        {
            name: st.one_of(st.floats(-50, 80), st.sampled_from((math.nan, 1e30, 0.0)))
            for name in ("x", "y", "width", "height")
        }
    ),
    max_size=2,
)
images = st.builds(
    lambda count, height, width, channels: torch.rand(count, height, width, channels),
    st.integers(1, 2),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from((1, 2, 3, 3, 3, 4)),
)


def answered(call, image):
    before = image.clone()
    try:
        output = call()
    except (ValueError, TypeError) as error:
        assert str(error) and "\n" not in str(error)
        output = None
    assert torch.equal(image, before)
    return output


def masks(draw, image):
    return draw(
        st.sampled_from(
            (
                None,
                None,
                torch.zeros(image.shape[:3]),
                torch.ones(image.shape[1:3]),
                torch.ones(5, 5),
            )
        )
    )


@SIZED
@given(data=st.data())
def test_restore(data, nodes, model, decisions):
    draw, image = data.draw, data.draw(images)
    wishes = {name: draw(st.sampled_from(("auto", "on", "off"))) for name in OPERATIONS}
    amounts = st.sampled_from((0.0, 0.0, 0.5, math.nan))
    wishes |= {f"{name}_degree": draw(amounts) for name in OPERATIONS}
    given = {
        **{"steps": draw(counts), "seed": 0, "strength": draw(shares), "samples": draw(counts)},
        **{"working_size": draw(sizes), "frames": draw(st.sampled_from(("pictures", "video")))},
        **{"mask": masks(draw, image), "boxes": draw(st.one_of(st.none(), boxes))},
    }
    output = answered(
        lambda: nodes["MoFRRRestore"].execute(image=image, model=model, **given, **wishes), image
    )
    if output is not None:
        assert output[0].shape[:3] == image.shape[:3] and bool(output[0].isfinite().all())
        if "undone" not in output[4]:
            assert torch.equal(output[0][..., :3].expand_as(output[0]), output[0][..., :3])
            pixels = image if image.shape[-1] > 1 else image.expand(-1, -1, -1, 3)
            assert torch.equal(output[0], pixels)


@SIZED
@given(data=st.data())
def test_retouch_and_inpaint(data, nodes, retoucher):
    draw, image = data.draw, data.draw(images)
    mask = masks(draw, image)
    more = {"working_size": draw(sizes), "boxes": draw(st.one_of(st.none(), boxes))}
    output = answered(
        lambda: nodes["BPFReRetouch"].execute(image, retoucher, draw(shares), mask=mask, **more),
        image,
    )
    if output is not None:
        assert output[0].shape[:3] == image.shape[:3] and bool(output[0].isfinite().all())
    if mask is not None:
        answered(lambda: nodes["BPFReInpaint"].execute(image, mask, retoucher, **more), image)


@SIZED
@given(data=st.data())
def test_crop_and_paste(data, nodes):
    draw, image = data.draw, data.draw(images)
    cut = answered(
        lambda: nodes["FaceCrop"].execute(
            image, draw(st.sampled_from(("all", "largest"))), draw(sizes), draw(shares),
            boxes=draw(boxes),
        ),
        image,
    )  # fmt: skip
    if cut is not None:
        pasted = nodes["FacePaste"].execute(image, cut[1], cut[0], 0.1, True)
        pixels = image if image.shape[-1] > 1 else image.expand(-1, -1, -1, 3)
        assert torch.equal(pasted[0], pixels)
