"""What is seen of photos before anything is undone, and whether it is enough for a verdict."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...models.mofrr.native_view import NativeView
from .edits import take


class Sight(NamedTuple):
    """What networks that read photos at their own size see of a batch, looked at once for all."""

    view: NativeView
    working: int  # pixels, the shorter side to which larger photos were reduced

    def of(self, rows: Tensor, device: torch.device | None = None) -> "Sight":
        """That of some photos, on a device; None: where it is."""
        view = (take(field, rows.to(field.device)) for field in self.view)
        return self._replace(
            view=NativeView(*(x if device is None else x.to(device) for x in view))
        )

    def repeated(self, count: int) -> "Sight":
        """Each photo's `count` times, one after the other."""
        if count == 1:
            return self
        view = NativeView(*(field.repeat_interleave(count, 0) for field in self.view))
        return self._replace(view=view)


def can_tell(config: Any, side: int, quality: Tensor) -> Tensor:
    """Whether a router can know of each operation, by the bounds that its config holds.

    Args:
        config: of the router; one without bounds can always tell.
        side: the photos' shorter side in pixels.
        quality: B, their JPEG quality; NaN where it is not known, which is within every bound.

    Returns:
        B K bool.
    """
    count = len(config["operations"])
    sides, qualities = (
        torch.tensor(
            [bound or 0 for bound in config.get(name) or [0] * count], device=quality.device
        )
        for name in ("smallest_side", "smallest_quality")
    )
    return (side >= sides) & ~(quality[:, None] < qualities)
