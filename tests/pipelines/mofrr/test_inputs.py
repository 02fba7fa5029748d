"""MoFRRPipeline: every form a photo may come in, and what is refused."""

import numpy as np
import pytest
import torch
from by_operation import flags, values
from PIL import Image

from frr.pipelines.operations import OPERATIONS

NONE = {"operations": ()}
LATENTS = f"(1, {len(OPERATIONS) + 1}, 3, 8, 8)"
ONE = {"operations": {"whitening"}, "num_inference_steps": 1}


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (24, 30, 3), dtype=np.uint8)
    return Image.fromarray(values)


def as_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("options", [NONE, ONE], ids=["untouched", "restored"])
def test_every_form_of_a_photo_gives_the_same(pipe, picture, options, seeded):
    tensor = as_tensor(picture)
    array = tensor[0].permute(1, 2, 0).numpy()
    forms = {
        "pil": picture,
        "list of pil": [picture],
        "H W C": array,
        "B H W C": array[None],
        "uint8 H W C": np.asarray(picture),
        "C H W": tensor[0],
        "B C H W": tensor,
        "list of 1 C H W": [tensor],
        "list of C H W": [tensor[0]],
        "float64": tensor.double(),
        "uint8 tensor": (tensor * 255).round().byte(),
    }
    outputs = {
        name: pipe(form, **options, generator=seeded(), output_type="pt").images
        for name, form in forms.items()
    }
    for name, images in outputs.items():
        assert images.dtype == torch.float32
        assert torch.equal(images, outputs["pil"]), name


def test_untouched_photos_return_bit_for_bit_in_every_output(pipe, picture):
    assert pipe(picture, **NONE).images[0].tobytes() == picture.tobytes()
    array = np.random.default_rng(1).random((33, 47, 3)).astype(np.float32)
    assert np.array_equal(pipe(array, **NONE, output_type="np").images[0], array)
    half = torch.rand(1, 3, 9, 11).half()
    assert torch.equal(pipe(half, **NONE, output_type="pt").images, half.float())


def test_the_caller_keeps_its_own_photo(pipe, photos):
    before = photos.clone()
    pipe(photos, **ONE, output_type="pt").images.zero_()
    pipe(photos, **NONE, output_type="pt").images.zero_()
    assert torch.equal(photos, before)


def test_alpha_is_kept_and_returned(pipe, picture):
    transparent = picture.copy()
    transparent.putalpha(Image.linear_gradient("L").resize(picture.size))
    restored = pipe(transparent, **ONE).images[0]
    assert restored.mode == "RGBA"
    assert restored.getchannel("A").tobytes() == transparent.getchannel("A").tobytes()
    assert restored.convert("RGB").tobytes() != picture.tobytes()
    assert pipe(transparent, **NONE).images[0].tobytes() == transparent.tobytes()
    tensor = torch.rand(2, 4, 33, 35)
    assert torch.equal(pipe(tensor, **NONE, output_type="pt").images, tensor)
    opaque = pipe(transparent, **ONE).expert_images["whitening"][0]
    assert opaque.mode == "RGB"


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr"])
def test_other_pil_modes_are_converted(pipe, picture, mode):
    converted = picture.convert(mode)
    restored = pipe(converted, **NONE).images[0]
    assert restored.mode == "RGB"
    assert restored.tobytes() == converted.convert("RGB").tobytes()


def test_grey_with_alpha_and_palettes_with_transparency_keep_it(pipe, picture):
    grey = picture.convert("LA")
    grey.putalpha(77)
    assert pipe(grey, **NONE).images[0].tobytes() == grey.convert("RGBA").tobytes()
    palette = picture.convert("P")
    palette.info["transparency"] = 3
    assert pipe(palette, **NONE).images[0].tobytes() == palette.convert("RGBA").tobytes()


def test_grey_arrays_become_rgb(pipe):
    grey = np.random.default_rng(0).random((33, 35)).astype(np.float32)
    images = pipe(grey, **NONE, output_type="np").images
    assert images.shape == (1, 33, 35, 3)
    assert np.array_equal(images[0], np.repeat(grey[..., None], 3, axis=2))


def test_photos_of_different_sizes_come_back_as_a_list(pipe, picture, seeded):
    small = picture.resize((35, 33))
    generators = [seeded(1), seeded(2)]
    output = pipe([picture, small], **ONE, generator=generators, num_samples=2)
    assert [image.size for image in output.images] == [picture.size, small.size]
    assert (
        output.routing.shape == output.degrees.shape == output.active.shape == (2, len(OPERATIONS))
    )
    assert [spread.shape for spread in output.uncertainty] == [(1, 1, 24, 30), (1, 1, 33, 35)]
    assert [flow.shape for flow in output.flows["whitening"]] == [(2, 24, 30), (2, 33, 35)]
    alone = pipe(small, **ONE, generator=seeded(2), num_samples=2)
    assert output.images[1].tobytes() == alone.images[0].tobytes()
    arrays = pipe([picture, small], **NONE, output_type="np").images
    assert [array.shape for array in arrays] == [(24, 30, 3), (33, 35, 3)]


def test_photos_with_and_without_alpha_go_together(pipe, picture):
    transparent = picture.convert("RGBA")
    images = pipe([picture, transparent], **ONE).images
    assert [image.mode for image in images] == ["RGB", "RGBA"]
    tensors = pipe([picture, transparent], **NONE, output_type="pt").images
    assert [len(tensor) for tensor in tensors] == [3, 4]


def rejects(pipe, image, *words, **options):
    with pytest.raises(ValueError) as caught:
        pipe(image, **{**NONE, **options})
    for word in words:
        assert word in str(caught.value), str(caught.value)


def spoiled(value):
    photo = torch.rand(1, 3, 8, 8)
    photo[0, 1, 2, 3] = value
    return photo


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (spoiled(torch.nan), ("1 NaN or infinite",)),
        (spoiled(torch.inf), ("NaN or infinite",)),
        (spoiled(-0.01), ("-0.01", "[0, 1]")),
        (torch.rand(1, 3, 8, 8) * 255, ("[0, 1]", "255")),
        (np.full((8, 8, 3), 1.5), ("1.5", "[0, 1]")),
        (torch.rand(1, 2, 8, 8), ("2 channels", "3 (RGB)")),
        (torch.rand(5, 8, 8), ("5 channels",)),
        (np.random.rand(8, 8, 2), ("(8, 8, 2)", "H W C")),
        (np.random.rand(3, 8, 8), ("(3, 8, 8)", "H W C")),
        (torch.rand(1, 3, 0, 8), ("no pixels",)),
        (np.zeros((0, 8, 3)), ("no pixels",)),
        (Image.new("RGB", (0, 5)), ("no pixels", "0 x 5")),
        (Image.new("I;16", (8, 8)), ("I;16", "8 bits")),
        (Image.new("F", (8, 8)), ("'F'",)),
        (torch.rand(8, 8), ("(8, 8)", "C H W")),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), ("int64", "uint8")),
        (np.zeros((8, 8, 3), dtype=bool), ("bool",)),
        (np.zeros(8), ("(8,)",)),
        ([], ("empty list",)),
        ("photo.png", ("str", "PIL")),
        (None, ("NoneType",)),
    ],
)
def test_bad_photos_are_refused_with_what_came(pipe, image, words):
    rejects(pipe, image, *words)


def test_a_truncated_file_is_refused(pipe, picture, tmp_path):
    path = tmp_path / "cut.png"
    picture.save(path)
    path.write_bytes(path.read_bytes()[:900])
    rejects(pipe, Image.open(path), "decoded")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strength": 1.01}, ("strength", "1.01", "[0, 1]")),
        ({"strength": -0.1}, ("strength",)),
        ({"strength": float("nan")}, ("strength",)),
        ({"strength": "1"}, ("strength", "'1'")),
        ({"num_inference_steps": 0}, ("num_inference_steps", "0")),
        ({"num_inference_steps": 2.5}, ("num_inference_steps",)),
        ({"num_samples": 0}, ("num_samples",)),
        ({"output_type": "jpg"}, ("output_type", "'jpg'", "pil")),
        ({"working_size": 8}, ("working_size", "8")),
        ({"operations": {"botox"}}, ("'botox'", "whitening")),
        ({"operations": "whitening"}, ("operations", "set of names")),
        ({"operations": 3}, ("operations",)),
        ({"operations": {"botox": True}}, ("'botox'",)),
        ({"operations": {"whitening": "on"}}, ("'on'", "auto")),
        ({"operations": {"whitening": 1}}, ("whitening", "auto")),
        ({"degrees": {"botox": 0.5}}, ("'botox'",)),
        ({"degrees": {"whitening": 1.5}}, ("whitening", "1.5")),
        ({"degrees": {"whitening": float("nan")}}, ("whitening",)),
        ({"degrees": [0.5]}, ("degrees", "mapping")),
        ({"latents": torch.zeros(1, 2, 3, 9, 9)}, ("(1, 2, 3, 9, 9)", LATENTS)),
        ({"latents": "noise"}, ("str", LATENTS)),
        ({"generator": [torch.Generator()] * 2}, ("2 generators", "1 photo")),
        ({"callback_on_step_end_tensor_inputs": ["images"]}, ("images", "latents")),
    ],
)
def test_bad_arguments_are_refused_with_what_came(pipe, options, words):
    rejects(pipe, torch.rand(1, 3, 24, 30), *words, **options)


def test_latents_for_different_sizes_are_refused(pipe):
    photos = [torch.rand(3, 24, 30), torch.rand(3, 30, 24)]
    rejects(pipe, photos, "different sizes", latents=torch.zeros(2, 5, 3, 16, 16))


def test_forcing_an_operation_without_its_expert_names_the_part(make_pipeline, photos):
    pipeline = make_pipeline(smoothing_expert=None)
    rejects(pipeline, photos, "smoothing_expert is None", operations={"smoothing"})
    rejects(pipeline, photos, "smoothing_expert is None", operations={"smoothing": True})
    pipeline.router.register_to_config(thresholds=values(2, whitening=0, smoothing=0))
    assert pipeline(photos).active.tolist() == [flags("whitening")] * 2


def test_without_a_router_the_operations_must_be_given(make_pipeline, photos):
    pipeline = make_pipeline(router=None)
    rejects(pipeline, photos, "router is None", "operations=", operations=None)
    rejects(pipeline, photos, "'smoothing'", operations={"whitening": True})
    assert pipeline(photos, operations={"whitening"}).active[:, 0].all()


def test_a_scheduler_that_would_misread_the_experts_is_refused(make_pipeline, photos):
    pipeline = make_pipeline()
    config = {**pipeline.scheduler.config, "prediction_type": "epsilon"}
    pipeline.scheduler = type(pipeline.scheduler).from_config(config)
    rejects(pipeline, photos, "epsilon", "'sample'", operations={"whitening"})


def test_networks_of_other_operations_are_refused(make_pipeline):
    from frr.models.mofrr.merger import ExpertMerger

    with pytest.raises(ValueError, match="lip_tinting"):
        make_pipeline(merger=ExpertMerger(operations=("whitening", "lip_tinting")))


def test_experts_of_different_depths_are_refused(make_pipeline, photos):
    from frr.models.mofrr.shared import SharedExpert

    deep = SharedExpert(channels=(16,) * 5, attention_levels=())
    pipeline = make_pipeline(shared_expert=deep)
    rejects(pipeline, torch.rand(1, 3, 32, 32), "different shapes", operations={"whitening"})
