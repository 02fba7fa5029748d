"""The modular pipelines: blocks that give what the pipelines give, to the bit, in one process."""

import pytest
import tiny_bpfre
import torch
from diffusers import ModularPipeline

from frr.pipelines.bpfre.modular import BPFReBlocks
from frr.pipelines.mofrr.modular import MoFRRBlocks
from frr.pipelines.operations import OPERATIONS

pytestmark = pytest.mark.usefixtures("one_thread")


def modular(blocks, pipe) -> ModularPipeline:
    """The blocks with a pipeline's own parts and settings."""
    made = blocks().init_pipeline()
    parts = {name: part for name, part in pipe.components.items() if part is not None}
    settings = {name: pipe.config[name] for name in made._config_specs}
    made.update_components(**parts, **settings)
    return made


@pytest.fixture(scope="module")
def made(pipe, native, mixed) -> dict[str, ModularPipeline]:
    pipes = {"pipe": pipe, "native": native, "mixed": mixed}
    return {name: modular(MoFRRBlocks, each) for name, each in pipes.items()}


@pytest.mark.parametrize("kind", ["pipe", "native", "mixed"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_samples": 2, "num_inference_steps": 3, "strength": 0.5},
        {"output_type": "latent"},
        {"degrees": {"whitening": 0.3}, "skip_untouched": False},
    ],
    ids=["plain", "samples", "latent", "degrees"],
)
def test_blocks_give_what_the_pipeline_gives(made, kind, options, request, photos, seeded):
    options = {"output_type": "pt", **options}
    wishes = {"operations": {"whitening": True, "eye_enlarging": True, "smoothing": "auto"}}
    for wish in ({}, wishes):
        expected = request.getfixturevalue(kind)(photos, generator=seeded(), **wish, **options)
        found = made[kind](image=photos, generator=seeded(), output="output", **wish, **options)
        if options["output_type"] == "latent":  # those of experts that did not run mean nothing
            if kind == "native":
                assert torch.equal(found.images, expected.images)
            ran = {"pipe": [0, 1, 2, 3], "mixed": [1], "native": []}[kind]
            for place in ran:
                rows = expected.active[:, place]
                assert torch.equal(found.images[rows, place], expected.images[rows, place])
            found.images = expected.images
        for name in ("images", "routing", "degrees", "active"):
            torch.testing.assert_close(found[name], expected[name], rtol=0, atol=0, equal_nan=True)
        if expected.residuals:
            for name, planes in expected.residuals.items():
                for plane, other in zip(planes, found.residuals[name], strict=True):
                    assert (plane is None and other is None) or torch.equal(plane, other)


@pytest.mark.parametrize("kind", ["pipe", "native"])
def test_a_named_operation_is_undone_alone_and_no_other_is_needed(
    made, kind, request, photos, seeded
):
    pipe = request.getfixturevalue(kind)
    wishes = {"operations": {"face_slimming"}, "generator": seeded(), "output_type": "pt"}
    expected = pipe(photos, **wishes).images
    own = made[kind].blocks.get_workflow("face_slimming")
    names = {each.name for each in own.expected_components}
    assert names == {"face_slimming_expert", "scheduler", "shared_expert", "merger"}
    whole = made[kind](
        image=photos,
        face_slimming=True,
        generator=seeded(),
        output_type="pt",
        output="images",
    )
    assert torch.equal(whole, expected)
    if pipe.config.degree_source == "expert":
        alone = own.init_pipeline()
        parts = {name: getattr(pipe, name) for name in names}
        alone.update_components(**parts, working_size=pipe.config.working_size)
        given = {"image": photos, "generator": seeded(), "output_type": "pt"}
        assert torch.equal(alone(**given, output="images"), expected)


def test_workflows_are_the_operations_and_all_of_them():
    assert MoFRRBlocks().available_workflows == ["restore", *OPERATIONS]
    names = [each.name for each in MoFRRBlocks().get_workflow("restore").expected_components]
    assert {"router", "merger", *(f"{name}_expert" for name in OPERATIONS)} <= set(names)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"whitening": False}, "whitening is False; pass True"),
        ({"smoothing": True}, r"not loaded: call load_components\(workflow='smoothing'\)"),
        ({}, "router is not loaded"),
        ({"image": [torch.rand(3, 40, 40), torch.rand(3, 40, 50)]}, "different sizes"),
        ({"strength": 2}, "strength is 2"),
    ],
)
def test_what_cannot_be_done_is_said(native, photos, given, words):
    blocks = MoFRRBlocks().init_pipeline()
    blocks.update_components(whitening_expert=native.whitening_expert)
    with pytest.raises(ValueError, match=words):
        blocks(**{"image": photos, **given})


def test_the_photo_as_it_is_where_nothing_acts(made, photos):
    given = {"image": photos, "operations": set(), "output_type": "pt"}
    assert torch.equal(made["native"](**given, output="images"), photos)


def test_blocks_retouch_and_fill():
    pipe = tiny_bpfre.pipeline()
    blocks = modular(BPFReBlocks, pipe)
    photo = torch.rand(1, 3, 64, 72, generator=torch.Generator().manual_seed(1))
    hole = torch.zeros(1, 64, 72)
    hole[:, 20:30, 20:50] = 1
    given = {"output_type": "pt"}
    found = blocks(image=photo, preserve=hole, strength=0.5, output="images", **given)
    assert torch.equal(found, pipe(photo, preserve=hole, strength=0.5, **given).images)
    found = blocks(image=photo, hole=hole, output="images", **given)
    assert torch.equal(found, pipe.inpaint(photo, hole, **given).images)
    assert [each.name for each in BPFReBlocks().get_workflow("inpaint").expected_components] == [
        "inpainter"
    ]
    blocks.update_components(retoucher=None)
    with pytest.raises(ValueError, match="retoucher is not loaded"):
        blocks(image=photo)
