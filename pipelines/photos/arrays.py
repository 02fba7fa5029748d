"""Photos at a pipeline's edge: PIL, numpy or torch in and out, checked, padded, brought to size."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
LONGEST = 4  # a photo's longer side at work, in working sizes
PIXELS_AT_ONCE = 2**20
WIDE_MODES = ("I", "F")  # 32-bit grey; with "I;16" the modes whose range PIL does not know


class Photo(NamedTuple):
    """One photo as it came, taken apart."""

    pixels: Tensor  # 3 H W, float32 in [0, 1], RGB
    alpha: Tensor | None  # 1 H W, float32 in [0, 1]; None where the photo had none


def read_photos(image: Any) -> list[Photo]:
    """Reads whatever a caller may pass as photos.

    Args:
        image: a PIL image of any 8-bit mode; a numpy array H W, H W C or B H W C; a tensor C H W or
            B C H W; or a list of these. C is 1 (grey), 3 (RGB) or 4 (RGBA). Arrays and tensors hold
            floats in [0, 1] or uint8.

    Raises:
        ValueError: for another type, layout, channel count or range, NaN, infinity or no pixels.
    """
    if isinstance(image, list | tuple):
        if not image:
            raise ValueError("image is an empty list; pass at least one photo")
        return [photo for item in image for photo in read_photos(item)]
    if isinstance(image, Image.Image):
        return [_read_pil(image)]
    if isinstance(image, np.ndarray):
        return [_read_planes(planes) for planes in _numpy_planes(image)]
    if isinstance(image, Tensor):
        return [_read_planes(planes) for planes in _tensor_planes(image)]
    raise ValueError(
        f"image is of type {type(image).__name__}; pass a PIL image, a numpy array (H W C), "
        "a torch tensor (B C H W) or a list of these"
    )


def _read_pil(image: Image.Image) -> Photo:
    if 0 in image.size:
        raise ValueError(f"image has no pixels: its size is {image.width} x {image.height}")
    if image.mode in WIDE_MODES or image.mode.startswith("I;16"):
        raise ValueError(
            f"PIL image of mode {image.mode!r} came; expected 8 bits a channel: convert it to "
            "'RGB', or pass a numpy array of floats in [0, 1]"
        )
    has_alpha = image.mode in ALPHA_MODES or "transparency" in image.info
    try:
        array = np.array(image.convert("RGBA" if has_alpha else "RGB"))
    except OSError as error:
        raise ValueError(f"image cannot be decoded ({error}); is its file whole?") from error
    return _read_planes(torch.from_numpy(array).permute(2, 0, 1))


def _numpy_planes(array: np.ndarray) -> Sequence[Tensor]:
    if array.ndim not in (2, 3, 4):
        raise ValueError(f"numpy array of shape {array.shape} came; expected H W, H W C or B H W C")
    if 0 in array.shape:
        raise ValueError(f"image has no pixels: its shape is {array.shape}")
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"numpy array of {array.dtype} came; expected floats in [0, 1] or uint8")
    planes = torch.from_numpy(array.copy())
    if array.ndim == 2:
        planes = planes[..., None]
    if planes.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"numpy array of shape {array.shape} came; expected H W C or B H W C with 1 (grey), "
            "3 (RGB) or 4 (RGBA) channels"
        )
    planes = planes.movedim(-1, -3)
    return planes.unbind() if array.ndim == 4 else [planes]


def _tensor_planes(tensor: Tensor) -> Sequence[Tensor]:
    if tensor.ndim not in (3, 4):
        raise ValueError(f"tensor of shape {tuple(tensor.shape)} came; expected C H W or B C H W")
    if 0 in tensor.shape:
        raise ValueError(f"image has no pixels: its shape is {tuple(tensor.shape)}")
    if tensor.is_sparse or tensor.is_meta or tensor.is_quantized:
        raise ValueError("a tensor without plain values came; expected a dense one")
    return tensor.unbind() if tensor.ndim == 4 else [tensor]


def _read_planes(planes: Tensor) -> Photo:
    """Checks one photo C H W and separates its alpha."""
    shape = tuple(planes.shape)
    if shape[0] not in (1, 3, 4):
        raise ValueError(
            f"image of {shape[0]} channels came (shape {shape}); expected 1 (grey), 3 (RGB) or "
            "4 (RGBA), in C H W order for tensors"
        )
    if planes.numel() == 0:
        raise ValueError(f"image has no pixels: its shape is {shape}")
    if planes.dtype == torch.uint8:
        planes = planes.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
    elif planes.is_floating_point():
        planes = planes.detach().float()
        _check_range(planes)
    else:
        raise ValueError(f"image of {planes.dtype} came; expected floats in [0, 1] or uint8")
    colours = planes[:3] if shape[0] > 1 else planes.expand(3, -1, -1)
    return Photo(colours, planes[3:] if shape[0] == 4 else None)


def _check_range(planes: Tensor) -> None:
    low, high = torch.stack(planes.aminmax()).tolist()  # NaN where any value is
    if low >= 0 and high <= 1:
        return
    if count := int((~planes.isfinite()).sum()):
        raise ValueError(f"image holds {count} NaN or infinite values; expected numbers in [0, 1]")
    raise ValueError(
        f"image holds values from {low:.4g} to {high:.4g}; expected [0, 1]: divide [0, 255] by "
        "255, map [-1, 1] by (x + 1) / 2, or clamp"
    )


def stack(planes: Sequence[Tensor]) -> Tensor:
    """Tensors of one shape as a batch; a single one without a copy."""
    return planes[0][None] if len(planes) == 1 else torch.stack(list(planes))


def to_signed(pixels: Tensor) -> Tensor:
    """[0, 1] -> [-1, 1], what networks see."""
    return torch.add(pixels.new_tensor(-1), pixels, alpha=2)


def to_unit(image: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1], clamped."""
    return (image + 1).div_(2).clamp_(0, 1)


def add_residual(pixels: Tensor, residual: Tensor, out: Tensor | None = None) -> Tensor:
    """Photo in [0, 1] plus a residual on the [-1, 1] scale, clamped; zero changes no bit.

    `out` is written into instead of a new tensor; it may be `pixels`.
    """
    return torch.add(pixels, residual, alpha=0.5, out=out).clamp_(0, 1)


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Pads B C H W at the bottom and right: reflected, or repeated where too small to reflect."""
    for axis in (-1, -2):
        size = image.shape[axis]
        extra = -size % multiple
        if extra:
            amount = (0, extra, 0, 0) if axis == -1 else (0, 0, 0, extra)
            image = F.pad(image, amount, mode="reflect" if extra < size else "replicate")
    return image


def working_shape(photo: Tensor, working_size: int | None) -> tuple[int, int]:
    """Height and width whose shorter side is `working_size`; smaller photos keep theirs.

    A longer side is at most `LONGEST` times the working size, so that narrow photos cost no more.
    """
    height, width = photo.shape[-2:]
    shorter, longer = min(height, width), max(height, width)
    if working_size is None or (shorter <= working_size and longer <= LONGEST * working_size):
        return height, width
    if longer > LONGEST * shorter:
        size, side = LONGEST * working_size, longer
    else:
        size, side = working_size, shorter
    return max(1, round(height * size / side)), max(1, round(width * size / side))


def to_working_size(photo: Tensor, working_size: int | None) -> Tensor:
    """Area-averages B C H W to its `working_shape`; never enlarges."""
    return reduce_to(photo, working_shape(photo, working_size))


def reduce_to(planes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Area-averages B C H W to a smaller shape (height, width)."""
    height, width = planes.shape[-2:]
    if (height, width) == (2 * shape[0], 2 * shape[1]):
        return to_shape(planes, shape)  # bilinear is the mean of two by two, and quickest
    if (height, width) == shape or height % shape[0] or width % shape[1]:
        return planes if (height, width) == shape else F.interpolate(planes, shape, mode="area")
    return F.avg_pool2d(planes, (height // shape[0], width // shape[1]))  # quicker than "area"


def to_shape(planes: Tensor, shape: Sequence[int]) -> Tensor:
    """Brings B C h w to another shape (height, width), bilinear."""
    height, width = shape
    if planes.shape[-2:] == (height, width):
        return planes
    single = planes.reshape(-1, 1, *planes.shape[-2:])  # three times as quick as three channels
    brought = F.interpolate(single, (height, width), mode="bilinear", align_corners=False)
    return brought.view(*planes.shape[:2], height, width)


def write_images(
    images: Sequence[Tensor], alphas: Sequence[Tensor | None], output_type: str
) -> list[Image.Image] | list[np.ndarray] | list[Tensor]:
    """Each photo 3 H W in [0, 1], its alpha put back, as "pil", "np" (H W C) or "pt" (C H W)."""
    whole = [
        image if alpha is None else torch.cat((image, alpha.to(image.device)))
        for image, alpha in zip(images, alphas, strict=True)
    ]
    if output_type == "pt":
        return whole
    arrays = [image.permute(1, 2, 0).cpu().numpy() for image in whole]
    return arrays if output_type == "np" else [_picture(array) for array in arrays]


def _picture(array: np.ndarray) -> Image.Image:
    """H W C in [0, 1] as a picture, made in bands that take little memory beside it."""
    levels = np.empty(array.shape, np.uint8)
    step = max(1, PIXELS_AT_ONCE // array.shape[1])
    for top in range(0, len(array), step):
        band = slice(top, top + step)
        levels[band] = (array[band] * 255).round()
    return Image.fromarray(levels)


def stack_images(images: list) -> Any:
    """A batch where arrays or tensors are of one shape, else the list as it is."""
    if isinstance(images[0], Image.Image) or len({image.shape for image in images}) > 1:
        return images
    return stack(images) if isinstance(images[0], Tensor) else np.stack(images)
