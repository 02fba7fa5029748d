"""Arguments of calls to both pipelines: an answer that holds what is promised, or one line."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import tiny_bpfre
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from frr.pipelines.operations import OPERATIONS

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def pipe():
    spec = importlib.util.spec_from_file_location(
        "fuzzed_pipeline", HERE.parent / "pipelines" / "conftest.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build()


@pytest.fixture(scope="module")
def bpfre():
    return tiny_bpfre.pipeline()


def picture_of(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def picture(kind: str, height: int, width: int, channels: int, count: int):
    """A photo of a kind that callers pass; the last kinds are none."""
    rng = torch.Generator().manual_seed(height * 100 + width)
    planes = torch.rand(count, channels, height, width, generator=rng)
    levels = (planes * 255).round().byte()
    array = levels.movedim(1, -1).numpy()
    return {
        "tensor": planes,
        "bytes": levels,
        "single": planes[0],
        "numpy": array,
        "floats": array[0] / np.float32(255),
        "pil": picture_of(array[0]),
        "list": [picture_of(each) for each in array],
        "half": planes.half(),
        "nan": planes * math.nan,
        "large": planes * 3,
        "empty": planes[:0],
        "flat": planes[..., :0],
        "none": None,
        "text": "photo.png",
        "path": Path("photo.png"),
        "mixed": [planes[0], "photo.png"],
    }[kind]


KINDS = ("tensor", "bytes", "single", "numpy", "floats", "pil", "list", "half")
NO_KINDS = ("nan", "large", "empty", "flat", "none", "text", "path", "mixed")
photos = st.builds(
    picture,
    st.one_of(st.sampled_from(KINDS), st.sampled_from((*KINDS, *NO_KINDS))),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from((1, 3, 3, 3, 4)),
    st.integers(1, 2),
)
numbers = st.one_of(
    st.floats(0, 1),
    st.sampled_from((0, 1, True, None, "1", -1, 2, math.nan, math.inf, 1j, [0.5])),
    st.sampled_from((np.float32(0.5), np.float64(0.25), np.int64(1), torch.tensor(0.5))),
)
counts = st.one_of(
    st.integers(1, 3),
    st.sampled_from((0, -1, 1.0, True, None, "2", 10**9, np.int64(2), math.nan)),
)
sizes = st.sampled_from(
    (None, "config", 32, 64, 100, 10**9, 0, -5, 31, 33.5, True, "big", np.int64(64))
)
generators = st.sampled_from((None, 0, 42, "seed", "one", "list", [], [1]))
wishes = st.one_of(
    st.sets(st.sampled_from(OPERATIONS)),
    st.dictionaries(
        st.sampled_from((*OPERATIONS, "lip")), st.sampled_from((True, False, "auto", 1, None))
    ),
    st.sampled_from((None, "whitening", ["smoothing"], {"lip"}, 3, [["x"]])),
)
degrees = st.one_of(
    st.none(), st.dictionaries(st.sampled_from((*OPERATIONS, "lip")), numbers, max_size=2)
)
output_types = st.sampled_from(("pt", "pt", "pil", "np", "latent", "jpg", None, 3))


def made(generator):
    own = torch.Generator().manual_seed(0)
    if isinstance(generator, str) and generator != "seed":
        return own if generator == "one" else [own]
    return generator


def kept(image):
    """A copy to compare with."""
    if isinstance(image, list):
        return [kept(each) for each in image]
    if isinstance(image, torch.Tensor):
        return image.clone()
    return image.copy() if hasattr(image, "copy") else image


def same(one, other) -> bool:
    if isinstance(one, list):
        return all(map(same, one, other))
    if isinstance(one, torch.Tensor):
        return torch.equal(one.nan_to_num(7.0), other.nan_to_num(7.0))
    if isinstance(one, Image.Image):
        return one.tobytes() == other.tobytes()
    return bool(np.array_equal(one, other))


def answered(call, image):
    """What a call gives; None where it refuses in one line. The photo stays as it is."""
    before = kept(image)
    try:
        output = call()
    except (ValueError, TypeError) as error:
        assert "\n" not in str(error).strip(), error
        assert str(error)
        output = None
    assert same(image, before), "the photo was changed"
    return output


def check_images(images) -> None:
    for each in images:
        values = torch.as_tensor(np.asarray(each) if isinstance(each, Image.Image) else each)
        assert bool(values.float().isfinite().all())
        assert float(values.min()) >= 0 and float(values.max()) <= 255


@given(data=st.data())
def test_calls_of_mofrr(data, pipe, tried):
    tried()
    draw, image = data.draw, data.draw(photos)
    arguments = {
        "num_inference_steps": draw(counts),
        "strength": draw(numbers),
        "operations": draw(wishes),
        "degrees": draw(degrees),
        "generator": made(draw(generators)),
        "num_samples": draw(counts),
        "working_size": draw(sizes),
        "output_type": draw(output_types),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(arguments)), max_size=4))
    arguments = {name: arguments[name] for name in chosen}
    output = answered(lambda: pipe(image, **arguments), image)
    if output is None or arguments.get("output_type") == "latent":
        return
    check_images(output.images)
    assert bool(output.routing.isfinite().all()) and bool(output.degrees.isfinite().all())
    if arguments.get("strength") == 0 and isinstance(image, torch.Tensor):
        result = pipe(image, **{**arguments, "output_type": "pt"}).images
        whole = image.float() / 255 if image.dtype == torch.uint8 else image.float()
        whole = whole[None] if whole.ndim == 3 else whole
        if whole.shape[1] == result.shape[1]:
            assert torch.equal(result, whole), "strength 0 changed the photo"


@given(data=st.data())
def test_calls_of_bpfre(data, bpfre, tried):
    tried()
    draw, image = data.draw, data.draw(photos)
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    mask = draw(st.sampled_from(("none", "2", "3", "bool", "levels", "pil", "odd", "text", "nan")))
    like = image if isinstance(image, torch.Tensor) and image.ndim == 4 else None
    size = (height, width) if like is None or draw(st.booleans()) else tuple(like.shape[-2:])
    plane = torch.rand(size, generator=torch.Generator().manual_seed(1))
    masks = {
        "none": None,
        "2": plane,
        "3": plane.expand(draw(st.integers(1, 4)), -1, -1),
        "bool": plane > 0.5,
        "levels": (plane * 255).byte(),
        "pil": Image.fromarray((plane * 255).byte().numpy()),
        "odd": plane[None, None, None],
        "text": "white",
        "nan": plane * math.nan,
    }
    arguments = {
        "mask": masks[mask],
        "preserve": masks[draw(st.sampled_from(("none", "none", "2", "bool")))],
        "strength": draw(numbers),
        "working_size": draw(sizes),
        "output_type": draw(output_types),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(arguments)), max_size=3))
    arguments = {name: arguments[name] for name in chosen}
    output = answered(lambda: bpfre(image, **arguments), image)
    if output is not None:
        check_images(output.images)
    if draw(st.booleans()):
        output = answered(lambda: bpfre.inpaint(image, masks[mask]), image)
        if output is not None:
            check_images(output.images)
