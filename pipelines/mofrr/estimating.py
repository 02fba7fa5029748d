"""The router at work: its estimate of photos, and what it saw of them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...models.mofrr.contract import ESTIMATED, known_degrees
from ...models.mofrr.native_view import NativeView, look
from ..photos.arrays import to_working_size
from ..photos.compression import estimate_quality
from ..placement import dtype_of, onloaded
from ..room import Room, Share
from .beliefs import believe, unheard
from .routing import Estimate
from .sight import Sight, can_tell


def sees_own_size(router: Any) -> bool:
    """Whether a router reads photos at their own size, and so sees what experts see."""
    return router.size_requirements.working is not None and hasattr(router, "judge")


def judge_photos(
    router: Any, photo: Tensor, reduce: Callable[[Tensor], Tensor], share: Share, room: Room
) -> list[Tensor]:
    """A router's verdict on photos B 3 H W, as many at once as a share has.

    Args:
        router: the network.
        photo: in [-1, 1], at their own size.
        reduce: brings photos to the size that a router of reduced photos works at.
        share: how many at once, and where.
        room: which may stop it.

    Returns:
        Probabilities and degrees, both B K, and what is believed of degrees, B K L; then, of a
        router that reads photos at their own size, the fields of the view that it had.
    """
    verdicts = []
    for part in photo.split(share.photos):
        room.check()
        part = part.to(share.device or part.device)
        view: tuple[Tensor, ...] = ()
        if sees_own_size(router):
            view = look(to_working_size(part, router.size_requirements.working))
            verdict = onloaded(router).judge(view)
        else:
            verdict = router(reduce(part).to(dtype_of(router)))
        told = verdict.probabilities.float(), verdict.degrees.float(), _beliefs(router, verdict)
        verdicts.append((*told, *view))
    return [torch.cat(fields).to(photo.device) for fields in zip(*verdicts, strict=True)]


def _beliefs(router: Any, verdict: Any) -> Tensor:
    """What is believed of degrees, B K L; the prior where the verdict says no more than a mean."""
    logits = getattr(verdict, "degree_logits", None)
    if logits is None:
        return unheard(*verdict.probabilities.shape).to(verdict.probabilities.device)
    return believe(logits, router.config)


def _told(router: Any, expected: Tensor) -> Tensor:
    """The degrees B K that experts are told, from the router's own; NaN: they find out."""
    shares = router.config.get("degree_told") or [None] * expected.shape[1]
    return expected * expected.new_tensor([ESTIMATED if s is None else s for s in shares])


def estimated_degrees(
    expert: Any, photo: Tensor, reduce: Callable[[Tensor], Tensor], share: Share
) -> Tensor:
    """An expert's own estimates of the degree on photos B 3 H W in [-1, 1], B, where they are.

    Args:
        expert: the network, one that estimates degrees.
        photo: at their own size.
        reduce: brings photos to the size that the expert works at.
        share: how many at once, and where.
    """
    found = []
    for part in photo.split(share.photos):
        small = reduce(part.to(share.device or part.device)).to(dtype_of(expert))
        unknown = torch.full((len(small),), ESTIMATED, device=small.device)
        found.append(known_degrees(expert, small, unknown, None))
    return torch.cat(found).to(photo.device)


def estimate_of(
    router: Any, photo: Tensor, judged: list[Tensor], own_degrees: bool
) -> tuple[Estimate, Sight | None]:
    """What follows from a router's verdict.

    Args:
        router: the network.
        photo: B 3 H W in [-1, 1].
        judged: what `judge_photos` gave.
        own_degrees: whether experts estimate degrees by themselves.

    Returns:
        The estimate, and what the router saw, where experts see the same.
    """
    found, expected, beliefs, *view = judged
    degree = _told(router, expected) if own_degrees else expected
    thresholds = tuple(router.config.thresholds)
    estimate = Estimate(found, degree, thresholds, expected, beliefs=beliefs)
    if not view:
        return estimate, None
    quality = estimate_quality(photo)
    told = can_tell(router.config, min(photo.shape[-2:]), quality)
    sight = Sight(NativeView(*view), router.size_requirements.working)
    return estimate._replace(quality=quality, told=told), sight
