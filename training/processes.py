"""What the processes of one distributed run settle between them."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

PRECISIONS = ("no", "bf16", "fp16", "auto")


def precision_here(name: str) -> str:
    """What the setting `mixed_precision` means on this machine."""
    if name != "auto":
        return name
    return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no"


def mean_terms(accelerator: Accelerator, totals: Mapping[str, list[float]]) -> dict[str, float]:
    """The mean of each loss term over some steps, and over the processes."""
    means = [float(np.mean(values)) for values in totals.values()]
    if accelerator.num_processes > 1:
        here = torch.tensor(means, device=accelerator.device)
        means = cast(Tensor, accelerator.reduce(here, "mean")).tolist()
    return dict(zip(totals, means, strict=True))


def agreed(accelerator: Accelerator, wish: bool) -> bool:
    """What the first process wishes, in all of them."""
    if accelerator.num_processes == 1:
        return wish
    flag = torch.tensor(float(wish and accelerator.is_main_process), device=accelerator.device)
    return bool(cast(Tensor, accelerator.reduce(flag, "sum")) > 0)
