"""Assembles BPFRe's trained networks into a pipeline, its threshold set on validation faces."""

from pathlib import Path
from typing import Any

import torch

from ...models.bpfre.healer import SkinHealer
from ...models.bpfre.retoucher import BlemishRetoucher
from ...pipelines.bpfre.pipeline import BPFRePipeline
from ..data.faces import FaceSet
from ..judging.metrics import psnr
from ..run_folder import load_trained

THRESHOLDS = (0.004, 0.006, 0.009, 0.013, 0.018, 0.025, 0.035, 0.05)
CLEAN_PSNR = 44.0  # dB, what clean validation faces must come back at


def assemble_bpfre(runs: Path | str, faces: FaceSet | None = None) -> BPFRePipeline:
    """A pipeline from the run folders `bpfre` and, if there, `bpfre_inpaint` and `bpfre_healer`.

    Args:
        runs: folder of the run folders, each with a trained `model`.
        faces: validation faces without painted blemishes; the lowest threshold is taken at which
            they come back at `CLEAN_PSNR` or better on average, before healing, which retouches
            natural skin. None keeps the default.

    Raises:
        ValueError: there is no trained retoucher.
    """
    retoucher: Any = load_trained(BlemishRetoucher, Path(runs) / "bpfre").eval()
    inpainter: Any = None
    if (Path(runs) / "bpfre_inpaint").is_dir():
        inpainter = load_trained(BlemishRetoucher, Path(runs) / "bpfre_inpaint").eval()
    healer: Any = None
    if (Path(runs) / "bpfre_healer").is_dir():
        healer = load_trained(SkinHealer, Path(runs) / "bpfre_healer").eval()
    pipe = BPFRePipeline(retoucher, inpainter, None)
    if faces is not None:
        pipe.register_to_config(threshold=calibrated_threshold(pipe, faces))
    if healer is not None:
        pipe.register_modules(healer=healer)
    return pipe


def calibrated_threshold(pipe: BPFRePipeline, faces: FaceSet) -> float:
    """The lowest of `THRESHOLDS` that leaves clean faces alone, else the highest."""
    original = pipe.config["threshold"]
    try:
        for threshold in THRESHOLDS:
            pipe.register_to_config(threshold=threshold)
            values = []
            for batch in faces.batches(8):
                images = batch.pixels()
                kept = pipe((images + 1) / 2, output_type="pt").images  # pyright: ignore
                values.append(psnr(kept.cpu() * 2 - 1, images.cpu()).clamp_max(100))
            if float(torch.cat(values).mean()) >= CLEAN_PSNR:
                return threshold
    finally:
        pipe.register_to_config(threshold=original)
    return THRESHOLDS[-1]
