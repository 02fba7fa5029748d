"""BPFReRetouch and BPFReInpaint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..models.bpfre.kinds import KINDS
from ..pipelines.arguments import check_fraction
from ..pipelines.bpfre.output import Retouched
from ..pipelines.bpfre.pipeline import BPFRePipeline
from ..pipelines.photos.drawings import MAP_WHITE
from . import host
from .bpfre_model import INPAINTER, RETOUCHER, BPFReModel, BPFReModelSocket
from .face_choice import (
    FOUND,
    FRAMED,
    NO_FACE,
    PASS,
    FaceChoice,
    faceless,
    find_faces,
    restored_faces_inputs,
)
from .face_crops import Frames, cut_faces, read_faces
from .host import io
from .inputs import (
    SizedNode,
    face_inputs,
    mask_input,
    read_working_size,
    share_input,
    working_size_input,
)
from .photos import blend, read_image, read_mask, write_image, write_mask

CATEGORY = "FRR/BPFRe"
FEATHER = 0.1
FAINT = 0.02  # of a map: what is weaker is not drawn stronger
LEAST = BPFRePipeline.size_requirements.minimum
EDGE = 0.01  # feather where only holes change: a crop's rim needs no soft edge


class BPFReNode(SizedNode):
    """A node of BPFRe with a working size."""

    least = LEAST


def _retouch_inputs() -> list[Any]:
    """Inputs of BPFReRetouch."""
    return [
        io.Image.Input("image", tooltip="The pictures; values beyond 0..1 are clamped."),
        BPFReModelSocket.Input("model", tooltip="From Load BPFRe Model."),
        share_input(
            "strength",
            1.0,
            "How much is retouched: 0 leaves the picture as it is; with a model that has a healer "
            "up to 0.25 spots only, then more and more even skin.",
        ),
        working_size_input(LEAST, "the retouching is brought back to full size."),
        mask_input("Retouch only here; other pixels keep every bit."),
        mask_input("Keep what is here to the bit: moles, freckles, a beard.", "preserve"),
        *face_inputs(
            "Face boxes of any detector: each face is retouched by itself and pasted back.",
            "Landmarks of the MediaPipe nodes, instead of boxes: also turned upright.",
        ),
        *(_kind_input(kind) for kind in KINDS),
        *restored_faces_inputs(),
    ]


def _kind_input(kind: str) -> Any:
    """Whether a kind is retouched."""
    return io.Boolean.Input(
        kind,
        default=True,
        optional=True,
        advanced=True,
        tooltip=f"Retouch {kind}; to leave some kinds out takes a model with a healer.",
    )


def _retouch_outputs() -> list[Any]:
    """Outputs of BPFReRetouch."""
    return [
        io.Image.Output("retouched", display_name="image", tooltip="The retouched pictures."),
        io.Image.Output("coarse", tooltip="What the first stage made of them."),
        io.Mask.Output(
            "e2d_map",
            tooltip=(
                "Blemishes that the first stage found, before strength and masks: 0 none, 1 where "
                "colours are an eighth of their range off, or more."
            ),
        ),
        io.Mask.Output(
            "d2g_map", tooltip="What the second stage still found on the coarse result, likewise."
        ),
        io.String.Output("report", tooltip="Which faces were found, and what was done to them."),
        io.Image.Output(
            "marked",
            tooltip=(
                "The pictures with what was found in red, scaled to each picture's strongest "
                "blemish, so that weak ones show too; as it came where nothing was found."
            ),
        ),
    ]


class BPFReRetouch(BPFReNode):
    """Finds blemishes and retouches them in two stages."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="BPFReRetouch",
            display_name="BPFRe Retouch",
            category=CATEGORY,
            description=(
                "Takes acne, redness, scars, spots, enlarged pores and wrinkles out of faces and "
                "leaves moles. Where it finds nothing every pixel keeps its bits. Expects pictures "
                "filled by one upright face, or boxes or landmarks that say where the faces are."
            ),
            search_aliases=[
                "face retouch",
                "remove blemishes",
                "remove acne",
                "skin retouching",
                "blemish mask",
                "acne",
                "blemish",
                "pimples",
                "skin",
            ],
            inputs=_retouch_inputs(),
            outputs=_retouch_outputs(),
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        model: BPFReModel,
        strength: float,
        working_size: int = 0,
        mask: Tensor | None = None,
        preserve: Tensor | None = None,
        boxes: Any = None,
        landmarks: Any = None,
        faces: str = FRAMED,
        order: str = FOUND,
        number: int = 1,
        no_face: str = PASS,
        **kinds: bool,
    ) -> io.NodeOutput:
        """Retouch the pictures."""
        check_fraction("strength", strength)
        model.network(RETOUCHER)
        wish = Wish(strength, model.pipeline.amounts(strength, _chosen(kinds)))
        pixels, alpha = read_image(image)
        allowed = _allowed(read_mask(mask, pixels), read_mask(preserve, pixels, "preserve"))
        size = model.working_size(read_working_size(working_size, LEAST))
        choice = FaceChoice(faces, order, number, no_face)
        where = find_faces(pixels, choice, boxes, landmarks)
        if where is None:
            empty = faceless(pixels, choice)
            report = ""
            found = _kept(_retouch(model, pixels, size, wish), pixels, empty)
            found = found._replace(maps=_unit_maps(found.maps))
        else:
            empty = [not frame for frame in where.frames]
            report = f"{where.number} face(s), found by {where.by}\n" if where.number else ""
            found = _retouch_faces(model, pixels, where.frames, size, wish)
        images, coarse = (blend(pixels, each, allowed) for each in (found.images, found.coarse))
        maps = (write_mask(found.maps[:, place : place + 1]) for place in range(2))
        marked = write_image(_marked(pixels, found.maps), alpha)
        whole = write_image(images, alpha), write_image(coarse, alpha)
        report += _report(pixels, images, empty, strength)
        return io.NodeOutput(*whole, *maps, report, marked)


def _marked(pixels: Tensor, maps: Tensor) -> Tensor:
    """Pictures B 3 H W with maps B P H W in red, each picture's strongest at full red."""
    found = maps.amax(1, keepdim=True)
    strongest = found.amax((1, 2, 3), keepdim=True)
    share = found / strongest.clamp_min(FAINT) * (strongest > 0)
    red = pixels.new_tensor([1.0, 0.1, 0.1])[None, :, None, None]
    return pixels + share * (red - pixels)


def _report(pixels: Tensor, images: Tensor, empty: list[bool], strength: float) -> str:
    """What was done to each picture."""
    lines = []
    for place, (old, new) in enumerate(zip(pixels, images, strict=True)):
        share = float((old != new).any(0).float().mean())
        said = f"retouched, {100 * share:.1f} % of its pixels changed"
        if share == 0:
            why = "strength is 0" if strength == 0 else "nothing to retouch was found"
            said = f"left alone since {why}"
        lines.append(
            f"picture {place + 1}: {f'{NO_FACE}, nothing was done' if empty[place] else said}"
        )
    return "\n".join(lines)


def _kept(found: Retouched, pixels: Tensor, empty: list[bool]) -> Retouched:
    """What was retouched, but for the pictures without a face."""
    if not any(empty):
        return found
    kept = torch.tensor(empty)[:, None, None, None]
    images, coarse = (torch.where(kept, pixels, each) for each in (found.images, found.coarse))
    return found._replace(images=images, coarse=coarse, maps=found.maps * ~kept)


def _allowed(mask: Tensor | None, preserve: Tensor | None) -> Tensor | None:
    """Where pictures may change, B 1 H W; None: everywhere."""
    if preserve is None:
        return mask
    return 1 - preserve if mask is None else mask * (1 - preserve)


def _unit_maps(maps: Tensor) -> Tensor:
    """Blemish maps as masks in [0, 1], white as in the pictures of them."""
    return (maps / MAP_WHITE).clamp(0, 1)


class Wish(NamedTuple):
    """What is asked for."""

    strength: float
    amounts: Tensor  # 5, by kind


def _chosen(kinds: Mapping[str, bool]) -> list[str] | None:
    """The kinds to retouch; None: all."""
    if all(kinds.values()):
        return None
    return [kind for kind in KINDS if kinds.get(kind, True)]


def _retouch(model: BPFReModel, pixels: Tensor, size: int | None, wish: Wish) -> Retouched:
    """Pictures B 3 H W in [0, 1], each filled by one face."""
    first = wish.strength if wish.amounts[0] > 0 else 0.0
    allowed = pixels.new_full((1, 1, 1, 1), first)
    room = host.HostRoom(model)
    found = model.pipeline.retouch(pixels, allowed, size, room)
    return model.pipeline.heal(found, pixels, wish.amounts, pixels.new_ones(1, 1, 1, 1), room)


def _retouch_faces(
    model: BPFReModel, pixels: Tensor, frames: Frames, size: int | None, wish: Wish
) -> Retouched:
    """Retouch every face of every picture as one batch of crops, and paste the changes back."""
    faces = cut_faces(pixels, frames)
    if not len(faces.crops):
        nothing = torch.zeros_like(pixels[:, :2])
        return Retouched(pixels, pixels, nothing)
    found = _retouch(model, faces.crops, size, wish)
    images, coarse = (
        faces.paste(pixels, each, FEATHER, match_colour=False)[0]
        for each in (found.images, found.coarse)
    )
    maps, _ = faces.lay(_unit_maps(found.maps), pixels, FEATHER)
    return Retouched(images, coarse, maps)


class BPFReInpaint(BPFReNode):
    """Fills holes in faces."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="BPFReInpaint",
            display_name="BPFRe Inpaint",
            category=CATEGORY,
            description=(
                "Fills what a mask covers on a face, without looking under it; every other pixel "
                "keeps its bits. Expects pictures filled by one upright face, or boxes or "
                "landmarks that say where the faces are. Needs a model with an inpainter."
            ),
            search_aliases=["face inpaint", "fill hole", "remove object from face", "fill mask"],
            inputs=[
                io.Image.Input("image", tooltip="The pictures; values beyond 0..1 are clamped."),
                io.Mask.Input("mask", tooltip="The holes: 1 is filled, between 0 and 1 is mixed."),
                BPFReModelSocket.Input("model", tooltip="From Load BPFRe Model."),
                working_size_input(LEAST, "what fills a hole has this resolution."),
                *face_inputs(
                    "Face boxes of any detector: holes in a face are filled as those of a crop.",
                    "Landmarks of the MediaPipe nodes, instead of boxes: also turned upright.",
                ),
            ],
            outputs=[
                io.Image.Output("filled", display_name="image", tooltip="The filled pictures.")
            ],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        mask: Tensor,
        model: BPFReModel,
        working_size: int = 0,
        boxes: Any = None,
        landmarks: Any = None,
    ) -> io.NodeOutput:
        """Fill the holes."""
        model.network(INPAINTER)
        pixels, alpha = read_image(image)
        hole = read_mask(mask, pixels)
        assert hole is not None
        size = model.working_size(read_working_size(working_size, LEAST))
        frames = read_faces(boxes, landmarks, len(pixels))
        if frames is None:
            filled = _fill(model, pixels, hole, size)
        else:
            filled = blend(pixels, _fill_faces(model, pixels, hole, frames, size), hole)
        return io.NodeOutput(write_image(filled, alpha))


def _fill(model: BPFReModel, pixels: Tensor, hole: Tensor, size: int | None) -> Tensor:
    """Pictures B 3 H W in [0, 1], each filled by one face, with holes B 1 H W."""
    return model.pipeline.fill(pixels, hole, size, host.HostRoom(model)).images


def _fill_faces(
    model: BPFReModel, pixels: Tensor, hole: Tensor, frames: Frames, size: int | None
) -> Tensor:
    """The faces that have holes, filled, where they stand in their pictures; the rest is undefined.

    The crops themselves are laid there, not their changes, which would let through what a crop's
    resolution loses of what lies under a hole.
    """
    touched = iter((cut_faces(hole, frames).crops > 0).flatten(1).any(1).tolist())
    frames = [[face for face in frame if next(touched)] for frame in frames]
    faces, holes = cut_faces(pixels, frames), cut_faces(hole, frames)
    filled, covered = faces.crops, (holes.crops > 0).to(pixels)
    if len(filled):
        filled = _fill(model, filled, covered, size)
    laid, seen = faces.lay(filled, pixels, EDGE)
    outside = int(((hole > 0) & (seen < 1 - 1e-4)).sum())
    if outside:
        raise ValueError(
            f"{outside} of the mask's {int((hole > 0).sum())} pixels lie outside the crops of the "
            "faces; mask only what belongs to a face, or disconnect boxes and landmarks"
        )
    return laid
