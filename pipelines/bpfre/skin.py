"""Natural skin: what a strength asks for, the healer's work on photos of any size, what was found.

The healer looks at a reduced photo; what it plans is done to the photo's own pixels, so that
pores stay and cost grows with their number alone.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...models.bpfre.healer import gate
from ...models.bpfre.healing import Healing, SkinMaps, plan
from ...models.bpfre.kinds import KINDS
from ...models.bpfre.own_size import changes
from ...models.bpfre.planes import blur
from ..photos.arrays import add_residual, to_shape, to_signed, to_working_size, working_shape
from ..room import Room, Share, Work
from .marks import LINE_SHARE, find_marks, wanted_spots
from .regions import boxes_of

SPOTS_ONLY = 0.25
"""Strength up to which spots alone are healed; from here on tone is evened, too."""
_EVIDENT = 0.6  # amount of spots at that strength: the fainter ones come with more
CONFIRMED = (0.1, 0.3)
"""Evidence of the healer from which a spot is healed, and at which all of it is."""
CONFIRMED_LINES = (0.1, 0.3)
_NEAR = 0.012  # sigma, as a share of the side, over which evidence of spots means open skin
_MARKED = 0.3  # share of a place that is filled from which it counts as a spot or line found
_SEEN = 0.02  # change of [-1, 1] from which tone counts as found
_SMALLEST = {"spots": 0.0, "lines": 2e-4}  # share of the photo below which a region is not listed
_SMALLEST_TONE = 1e-3


class Finding(NamedTuple):
    """A region that was retouched.

    Attributes:
        kind: one of `KINDS`.
        box: left, top, right, bottom in pixels of the photo; right and bottom lie outside.
        change: largest change there at the full amount, in grey levels of 255.
    """

    kind: str
    box: tuple[int, int, int, int]
    change: float


class Healed(NamedTuple):
    """Photos of one size, healed: B 3 H W in [0, 1], and the findings on each."""

    images: Tensor
    findings: list[list[Finding]]


def amounts_of(strength: float, kinds: Sequence[str] | None = None) -> Tensor:
    """What a strength means for each kind, 5 in [0, 1] by `KINDS`.

    0 is nothing; up to `SPOTS_ONLY` spots are healed, the evident ones first; then skin is evened
    more and more, to a studio's finish at 1.

    Args:
        strength: in [0, 1].
        kinds: those that are wanted; None = all.

    Raises:
        ValueError: for an unknown kind.
    """
    wanted = KINDS if kinds is None else tuple(kinds)
    if unknown := [kind for kind in wanted if kind not in KINDS]:
        raise ValueError(f"unknown kind {unknown[0]!r}; choose from {', '.join(KINDS)}")
    first = min(strength / SPOTS_ONLY, 1.0)
    rest = max(strength - SPOTS_ONLY, 0.0) / (1 - SPOTS_ONLY)
    amounts = dict.fromkeys(KINDS, rest) | {"spots": _EVIDENT * first + (1 - _EVIDENT) * rest}
    return torch.tensor([amounts[kind] if kind in wanted else 0.0 for kind in KINDS])


class Seen(NamedTuple):
    """What is where on one face.

    Attributes:
        maps: where to heal.
        kept: 1 1 h w in [0, 1], evident moles, which every stage keeps.
    """

    maps: SkinMaps
    kept: Tensor


def heal_photos(
    healer: Any, pixels: Tensor, before: Tensor, amounts: Tensor, working_size: int, room: Room
) -> Healed:
    """Heals photos of one size, each filled by one face.

    Args:
        healer: a SkinHealer.
        pixels: B 3 H W in [0, 1].
        before: of the same shape, the photos before earlier stages: marks are sought there, and
            evident moles that are gone come back from there.
        amounts: 5 in [0, 1], by `KINDS`.
        working_size: shorter side of what the healer looks at; smaller photos keep theirs.
        room: the memory to do it in.
    """
    if not bool((amounts > 0).any()):
        return Healed(pixels, [[] for _ in pixels])
    height, width = working_shape(pixels, working_size)

    def run(share: Share) -> Healed:
        device = share.device or pixels.device
        images, findings = [], []
        for photo, first in zip(pixels.split(1), before.split(1), strict=True):
            room.check()
            image, found = _heal_one(healer, photo, first, amounts, working_size, device)
            images.append(image)
            findings.append(found)
        return Healed(torch.cat(images), findings)

    return room.split(Work("healer", 1, height, width, tiles=False), run)


def _heal_one(
    healer: Any,
    pixels: Tensor,
    before: Tensor,
    amounts: Tensor,
    working_size: int,
    device: torch.device,
) -> tuple[Tensor, list[Finding]]:
    """One photo 1 3 H W in [0, 1]."""
    size = pixels.shape[-2:]
    first = to_signed(to_working_size(before, working_size))
    maps, kept = look(healer, first, amounts, device)
    pixels = restrict(before, pixels, 1 - kept)
    small = to_signed(to_working_size(pixels, working_size))
    healing = plan(small, maps, amounts[None], min(small.shape[-2:]))
    image = pixels.clone()

    def read(rows: Tensor, columns: Tensor) -> Tensor:
        return to_signed(pixels.index_select(2, rows).index_select(3, columns))

    for window, change in changes(read, size, healing, min(size)):
        part = image[..., window.top : window.bottom, window.left : window.right]
        add_residual(part, change, out=part)
    gone = maps.spots * (small - first).abs().amax(1, keepdim=True)  # by earlier stages
    torch.maximum(healing.full[:, :1], gone, out=healing.full[:, :1])
    return image, list_findings(healing, maps, amounts, size)


@torch.no_grad()
def look(healer: Any, small: Tensor, amounts: Tensor, device: torch.device | None = None) -> Seen:
    """Where to heal a photo 1 3 h w in [-1, 1]: marks by contrast, which the healer confirms.

    Contrast finds marks exactly but does not know what belongs to a face; the healer does.
    """
    seen = small.to(device or small.device, healer.dtype)
    skin, spots, lines = (each.to(small) for each in healer(seen, amounts[None].to(seen)))
    marks = find_marks(small.cpu(), skin.cpu())
    side = min(small.shape[-2:])
    spot = wanted_spots(marks, float(amounts[0])).to(small)[None, None]
    line = LINE_SHARE * marks.lines.to(small)[None, None]
    moles, evident = ((2 * each).clamp(0, 1).to(small)[None, None] for each in marks[3:])
    keep = 1 - moles
    line = line * gate(blur(spots, _NEAR * side), *CONFIRMED)  # none at eyes, brows and lips
    maps = SkinMaps(
        skin * keep,
        spot * gate(_evidence(spots, spot, side), *CONFIRMED),
        line * gate(_evidence(lines, line, side), *CONFIRMED_LINES),
    )
    return Seen(maps, evident)


def _evidence(share: Tensor, where: Tensor, side: int) -> Tensor:
    """The healer's evidence over each mark, B 1 h w."""
    joined = blur(torch.cat((share * where, where), dim=1), 0.006 * side)
    return joined[:, :1] / joined[:, 1:].clamp_min(1e-3)


def list_findings(
    healing: Healing, maps: SkinMaps, amounts: Tensor, size: Sequence[int]
) -> list[Finding]:
    """The regions of each kind on one photo, largest change first.

    Args:
        healing: what is done to it.
        maps: what the healer found.
        amounts: 5 in [0, 1]; kinds of amount zero are not listed.
        size: height and width of the photo itself.
    """
    findings, marks = [], {"spots": maps.spots, "lines": maps.lines}
    for number, kind in enumerate(KINDS):
        if amounts[number] <= 0:
            continue
        change = healing.full[0, number]
        where = marks[kind][0, 0] > _MARKED if kind in marks else change > _SEEN
        least = _SMALLEST.get(kind, _SMALLEST_TONE) * where.numel()
        for box in boxes_of(where, least):
            left, top, right, bottom = box
            most = float(change[top:bottom, left:right].max()) * 127.5
            findings.append(Finding(kind, _enlarged(box, where.shape, size), round(most, 1)))
    return sorted(findings, key=lambda found: -found.change)


def _enlarged(
    box: tuple[int, int, int, int], small: Sequence[int], size: Sequence[int]
) -> tuple[int, int, int, int]:
    """A box in pixels of a larger photo."""
    down, right = (full / part for full, part in zip(size, small, strict=True))
    ends = min(size[1], math.ceil(box[2] * right)), min(size[0], math.ceil(box[3] * down))
    return int(box[0] * right), int(box[1] * down), *ends


def restrict(pixels: Tensor, healed: Tensor, allowed: Tensor) -> Tensor:
    """What healing may change, by a share 0 .. 1 that is broadcast to B 1 H W; 0 keeps all bits."""
    share = allowed.to(pixels)
    if bool((share == 1).all()):
        return healed
    share = to_shape(share, pixels.shape[-2:]) if share.shape[-1] > 1 else share
    return torch.where(share > 0, pixels + share * (healed - pixels), pixels)
