"""FaceCrop and FacePaste: aligned crops of every face, and their changes back in the photo."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..pipelines.photos.faces import Alignment, crop, crop_side
from .face_choice import (
    ALL,
    FAIL,
    FOUND,
    IN_BOXES,
    LARGEST,
    NO_FACE,
    NUMBERED,
    PASS,
    FaceChoice,
    choice_inputs,
    faces_input,
    find_faces,
)
from .face_crops import Faces, cut_faces
from .host import io
from .inputs import face_inputs, mask_input
from .photos import blend, read_image, read_mask, write_image, write_mask

FacesSocket = io.Custom("FRR_FACES")
CATEGORY = "FRR/faces"


def _crop_inputs() -> list[Any]:
    """Inputs of FaceCrop."""
    return [
        io.Image.Input("image", tooltip="Whole photos."),
        faces_input(
            (ALL, LARGEST, NUMBERED, IN_BOXES),
            "Every face, only the largest of each picture, one by its number, or those that the "
            "detector finds inside the boxes.",
        ),
        io.Int.Input(
            "size",
            default=0,
            min=0,
            max=2048,
            step=32,
            tooltip="Side of the crops in pixels; 0 takes the largest face's, up to 1024.",
        ),
        io.Float.Input(
            "margin",
            default=1.0,
            min=0.5,
            max=3.0,
            step=0.05,
            advanced=True,
            tooltip="1 frames a face as the models expect; more shows more around it.",
        ),
        *face_inputs(
            "Face boxes of any detector, or one from a bounding box node.",
            "Landmarks of the MediaPipe nodes, instead of boxes: turned upright.",
        ),
        *choice_inputs((PASS, FAIL)),
    ]


class FaceCrop(io.ComfyNode):
    """Cuts an aligned crop around every face."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="FaceCrop",
            display_name="Crop Faces",
            category=CATEGORY,
            description=(
                "Cuts a square crop around every face, framed as face models expect. Faces come "
                "from landmarks, from boxes of any detector, or, with neither connected, from "
                "the host's MediaPipe nodes where their model is, else from dlib."
            ),
            search_aliases=["face crop", "align face", "extract faces", "face detailer crop"],
            inputs=_crop_inputs(),
            outputs=[
                io.Image.Output("crops", tooltip="The faces, picture after picture."),
                FacesSocket.Output("where", display_name="faces", tooltip="For Paste Faces."),
                io.Int.Output("count", tooltip="How many faces there are."),
                io.String.Output("report", tooltip="Where the faces are, and what found them."),
            ],
        )

    @classmethod
    def validate_inputs(cls, size: int | None = None) -> bool | str:
        """A crop between 1 and 63 pixels is too small; None is a size another node will give."""
        if size is None or size == 0 or 64 <= size <= 2048:
            return True
        return f"size is {size}; expected 0 (the largest face's own) or 64 to 2048 pixels"

    @classmethod
    def execute(
        cls,
        image: Tensor,
        faces: str,
        size: int = 0,
        margin: float = 1.0,
        boxes: Any = None,
        landmarks: Any = None,
        order: str = FOUND,
        number: int = 1,
        no_face: str = PASS,
    ) -> io.NodeOutput:
        """Cut the crops."""
        fits = cls.validate_inputs(size)
        if isinstance(fits, str):
            raise ValueError(fits)
        if not 0 < margin < float("inf"):
            raise ValueError(f"margin is {margin}; expected a number above 0: 1.2 shows 20 % more")
        pixels = read_image(image).pixels
        choice = FaceChoice(faces, order, number, no_face)
        found = find_faces(pixels, choice, boxes, landmarks, margin)
        assert found is not None
        cut = cut_faces(pixels, found.frames, size)
        crops = cut.crops if found.number else _nothing(pixels, size)
        return io.NodeOutput(write_image(crops), cut, found.number, _report(cut, found.by))


def _nothing(pixels: Tensor, size: int) -> Tensor:
    """The middle of the first photo, for a graph that goes on where there is no face."""
    side = min(pixels.shape[-2:])
    top, left = (pixels.shape[-2] - side) // 2, (pixels.shape[-1] - side) // 2
    middle = Alignment(float(left), float(top), float(side), 0.0)
    return crop(pixels[0], [middle], size or crop_side([middle]))


def _report(cut: Faces, by: str) -> str:
    if not len(cut.crops):
        return f"{NO_FACE} by {by}: Paste Faces will leave the pictures as they are"
    lines = [f"{len(cut.crops)} face(s), by {by}"]
    return "\n".join([*lines, *(f"{label}: {place}" for label, place in cut.places())])


class FacePaste(io.ComfyNode):
    """Brings edited crops back into their photos."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="FacePaste",
            display_name="Paste Faces",
            category=CATEGORY,
            description=(
                "Brings the changes of edited crops back into their photos, with a soft edge. "
                "Pixels that nothing changed, and all outside the crops, keep every bit."
            ),
            search_aliases=["paste face", "uncrop", "face paste back", "stitch faces"],
            inputs=[
                io.Image.Input("image", tooltip="The photos that Crop Faces saw."),
                FacesSocket.Input("faces", tooltip="From Crop Faces."),
                io.Image.Input("crops", tooltip="The edited crops, in the order they were cut."),
                io.Float.Input(
                    "feather",
                    default=0.1,
                    min=0.01,
                    max=0.5,
                    step=0.01,
                    tooltip="Width of the soft edge, as a share of the crop's side.",
                ),
                io.Boolean.Input(
                    "match_colour",
                    default=True,
                    advanced=True,
                    tooltip="Take out a colour shift that the whole rim of a crop shows.",
                ),
                mask_input("Paste only here; of the photos' size."),
            ],
            outputs=[
                io.Image.Output("pasted", display_name="image", tooltip="The photos."),
                io.Mask.Output(
                    "used", display_name="mask", tooltip="How much of a crop went where."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        faces: Faces,
        crops: Tensor,
        feather: float,
        match_colour: bool,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        """Paste the crops."""
        pixels, alpha = read_image(image)
        edited = read_image(crops, "crops").pixels
        chosen = read_mask(mask, pixels)
        if len(faces.frames) == len(pixels) and not len(faces.crops):
            return io.NodeOutput(write_image(pixels, alpha), write_mask(pixels[:, :1] * 0))
        if len(faces.frames) != len(pixels) or len(edited) != len(faces.crops):
            raise ValueError(
                f"{len(edited)} crops and {len(pixels)} pictures came; expected "
                f"{len(faces.crops)} crops and {len(faces.frames)} pictures, as they were cut"
            )
        result, used = faces.paste(pixels, edited, feather, match_colour)
        used = used if chosen is None else used * chosen
        return io.NodeOutput(write_image(blend(pixels, result, chosen), alpha), write_mask(used))
