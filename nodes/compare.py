"""RestorationCompare: before and after, with a slider, and how far each is from the truth."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..pipelines.photos.arrays import to_signed
from ..pipelines.photos.drawings import error_picture, panel, to_picture, to_tensor
from ..pipelines.photos.quality import SSIM_WINDOW, psnr, ssim
from . import host
from .host import io
from .photos import read_image, write_image


def _inputs() -> list[Any]:
    """Inputs of RestorationCompare."""
    return [
        io.Image.Input("before", tooltip="The picture as it came."),
        io.Image.Input("after", tooltip="The restored picture, of the same size."),
        io.Image.Input("truth", optional=True, tooltip="The true picture, where there is one."),
        io.Float.Input(
            "white",
            default=32.0,
            min=1.0,
            max=255.0,
            step=1.0,
            advanced=True,
            tooltip=(
                "How strong a difference the heat map draws white, in grey levels: 32 of 255 shows "
                "what an eye sees, less shows fainter differences. It changes the drawing only."
            ),
        ),
    ]


class RestorationCompare(io.ComfyNode):
    """Measures and shows a restoration."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="RestorationCompare",
            display_name="Compare Restoration",
            category="FRR",
            description=(
                "Shows before and after under a slider. With the true picture: PSNR and SSIM of "
                "both, and maps of their errors."
            ),
            search_aliases=[
                "before after slider",
                "PSNR",
                "SSIM",
                "error heat map",
                "image compare",
                "quality",
                "difference",
            ],
            is_output_node=True,
            inputs=_inputs(),
            outputs=[
                io.Image.Output(
                    "side_by_side", tooltip="Before, after, truth and the maps, labelled."
                ),
                io.Image.Output("heat_map", tooltip="Error of after; without a truth, the change."),
                io.Float.Output(
                    "psnr", tooltip="PSNR in dB of after, mean; without a truth, of before."
                ),
                io.Float.Output("ssim", tooltip="SSIM of after, mean; without a truth, of before."),
                io.String.Output("report", tooltip="The numbers as text."),
            ],
        )

    @classmethod
    def execute(
        cls, before: Tensor, after: Tensor, white: float, truth: Tensor | None = None
    ) -> io.NodeOutput:
        """Compare the pictures."""
        if not 0 < white < math.inf:
            raise ValueError(f"white is {white}; expected the error that is shown white, above 0")
        old, new = read_image(before, "before").pixels, read_image(after, "after").pixels
        true = None if truth is None else read_image(truth, "truth").pixels
        _check(old, new, true)
        target = old if true is None else true
        lines = [f"after against before: {_numbers(new, old)}"]
        if true is not None:
            lines = [f"before: {_against(old, true)}", f"after: {_against(new, true)}"]
        sheets = [_sheet(*each, white) for each in zip(old, new, target, strict=True)]
        maps = torch.cat([_heat(a, t, white) for a, t in zip(new, target, strict=True)])
        quality = psnr(to_signed(new), to_signed(target)), _ssim(new, target)
        shown = {
            "frr_before": host.save_previews(write_image(old), cls),
            "frr_after": host.save_previews(write_image(new), cls),
            "frr_report": lines,
        }
        return io.NodeOutput(
            write_image(torch.cat(sheets)),
            write_image(maps),
            *(float(values.mean()) for values in quality),
            "\n".join(lines),
            ui=shown,
        )


def _check(old: Tensor, new: Tensor, true: Tensor | None) -> None:
    shapes = {"before": old, "after": new, **({} if true is None else {"truth": true})}
    if len({each.shape for each in shapes.values()}) > 1:
        came = ", ".join(
            f"{name}: {len(each)} of {each.shape[-1]} x {each.shape[-2]}"
            for name, each in shapes.items()
        )
        raise ValueError(f"pictures of different sizes or numbers came ({came}); expected the same")


def _ssim(first: Tensor, second: Tensor) -> Tensor:
    if min(first.shape[-2:]) < SSIM_WINDOW:
        return torch.full((len(first),), math.nan)
    return ssim(to_signed(first), to_signed(second))


def _numbers(first: Tensor, second: Tensor) -> str:
    if torch.equal(first, second):
        return "unchanged"
    decibels = float(psnr(to_signed(first), to_signed(second)).mean())
    return f"PSNR {decibels:.2f} dB, SSIM {float(_ssim(first, second).mean()):.4f}"


def _against(picture: Tensor, truth: Tensor) -> str:
    return "the same as the truth" if torch.equal(picture, truth) else _numbers(picture, truth)


def _heat(after: Tensor, target: Tensor, white: float) -> Tensor:
    result, truth = (to_picture(to_signed(each)) for each in (after, target))
    return (to_tensor(error_picture(result, truth, white)) + 1) / 2


def _sheet(before: Tensor, after: Tensor, target: Tensor, white: float) -> Tensor:
    old, new, true = (to_picture(to_signed(each)) for each in (before, after, target))
    labelled = [("before", old), ("after", new)]
    if torch.equal(before, target):
        labelled.append(("change", error_picture(new, old, white)))
    else:
        labelled += [("truth", true), ("error before", error_picture(old, true, white))]
        labelled.append(("error after", error_picture(new, true, white)))
    return (to_tensor(panel(labelled)) + 1) / 2
