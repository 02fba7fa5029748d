"""What the model card says of MoFRR, and how it reads its evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from huggingface_hub import EvalResult
from PIL import Image

from ...pipelines.photos.drawings import to_picture, to_tensor
from ...pipelines.simulate.recipe import sample_recipe
from ...pipelines.simulate.simulator import retouch
from ..judging import report_native
from ..judging.metrics import psnr
from ..judging.report_mofrr import Evaluation, from_json, to_markdown
from .card import Evidence, Measured, Subject

SUMMARY = """
A photo of a face goes in; an estimate of what it looked like before retouching comes out. A router
reads the photo at its own size and says which retouching operations it finds and how strongly; one
expert undoes each of them. It follows MoFRR (Liu et al., ICCV 2025, arXiv 2507.19770). In this set
the experts answer at once, each in the form of its operation: a smooth flow, a smooth change of
light and colour, or detail of the photo's own scale. Where several candidates are asked for, a
small diffusion on wavelet bands draws the texture that smoothing took. The paper's experts that
denoise, shared expert and merger are in the code, not in these weights: in the set before they
added next to nothing.

**The result is an estimate, not evidence.** What smoothing removed is gone; what stands in its
place is plausible at best.
"""

SECTIONS = {
    "Intended use": """
Research on face retouching; showing how far a photo of a face may be from its original; choosing by
hand which operations to undo on photos of people who agreed to it. Photos should be filled by one
upright face, as FFHQ's aligned crops are. The router's probabilities, each expert's part and, with
several samples, the spread between them are part of the answer: look at them.
""",
    "Out of scope": """
- Evidence of any kind: in court, in a dispute, in journalism. The pipeline invents detail, and
  retouching alone already misleads detectors of manipulated pictures.
- Identifying or verifying people, or training for it.
- Presenting a result as someone's true face, and any shaming, harassing or exposing of people.
- Photos of people who did not agree: undoing retouching says something about them that they chose
  not to show.
- Pictures of anything but faces, and edits that are not retouching.
""",
    "Limits and biases": """
- Left to itself the router undoes little: it is set to leave untouched photos alone, and misses
  most of what apps do. Say which operations to undo where you know them; that is worth 1 to 3 dB.
- It takes narrow faces for slimmed ones now and then; an operation that is undone without having
  been applied changes the photo for the worse.
- How strongly an operation was applied it hardly knows: without a degree from you the experts keep
  about half of their edit.
- The retouching in training and evaluation is simulated after the formulas of real engines;
  "unseen" rows stand for unknown apps by families of algorithms kept out of training.
- Two thirds of what it learned from are photos of real people, most of them office portraits, the
  rest synthetic. Expect worse results on make-up, glasses, beards, strong light and small faces.
""",
    "Training data and licences": """
Trained on simulated retouching of 655 photos of real people (public domain, CC0 or CC-BY: Congress
portraits, rOpenSci, Open Life Science, Code4Lib, Openscapes, R-Ladies Global, Code for Germany,
innovation fellows, 18F, USDS and others) and of 1301 synthetic faces: SFHQ and SFHQ-T2I (MIT,
SelfishGene) and faker portraits (CC0 1.0, faker-js). Judged on other people of the same sources and
on the London set (CC-BY 4.0, DeBruine & Jones 2017, doi 10.6084/m9.figshare.5047666). None of these
pictures is in this repository, and nobody in them endorses it. The portrait above is NASA's (Eileen
Collins), in the public domain. Code and weights: Apache-2.0.
""",
    "The law in brief": """
Not legal advice; some rules that touch retouching, and pictures made from retouched ones:

- Norway, Marketing Control Act, section 2 (since July 2022): advertisements in which body shape,
  size or skin were retouched must carry a standard mark.
- France, Public Health Code, article L2133-2 (since 2017): commercial photos of models made slimmer
  or heavier by software must be marked "photographie retouchée".
- European Union, AI Act, article 50 (applies from 2 August 2026): providers mark synthetic or
  manipulated output so that machines can read it; who publishes a deep fake discloses it. Mark what
  you publish of this pipeline's output as an estimate made by software.
""",
}


def read(text: str) -> Evidence:
    """An evaluation that `frr evaluate` wrote.

    Raises:
        ValueError: the text is none.
    """
    try:
        real = report_native.from_json(text)
    except ValueError:
        evaluation = from_json(text)
        return Evidence(list(_results(evaluation)), to_markdown(evaluation), evaluation.weights)
    return Evidence(list(_real_results(real)), report_native.to_markdown(real), real.weights)


def _real_results(evaluation: report_native.NativeEvaluation) -> Iterator[EvalResult]:
    """PSNR as the photo came and restored on photos of real size, the router's AUC."""
    measured = _measured(f"Simulated retouching of {evaluation.faces} real faces, sent and cropped")
    ways = {"given": "operations given", "router": "router deciding"}
    for row in evaluation.lifts:
        figures = {f"PSNR restored, dB ({ways[row.routing]})": row.copy + row.lift}
        if row.routing == "given":
            figures["PSNR of the photo as it came, dB"] = row.copy
        for name, value in figures.items():
            yield measured.result(f"{row.condition}, {row.split} algorithms", "psnr", name, value)
    for row in evaluation.found:
        if row.untouched_auc is not None:
            condition = f"{row.operation}, {row.split} algorithms"
            yield measured.result(condition, "roc_auc", "ROC-AUC of the router", row.untouched_auc)


def _results(evaluation: Evaluation) -> Iterator[EvalResult]:
    """PSNR and SSIM as the photo came and restored for each condition, the router's AUC."""
    data = f"Simulated retouching of {evaluation.faces} faces at {evaluation.size} px"
    measured = _measured(data)
    way = {"given": "operations given", "router": "router deciding"}[evaluation.routing]
    for row in evaluation.restoration:
        figures = {
            ("psnr", f"PSNR restored, dB ({way})"): row.restored_psnr,
            ("psnr", "PSNR of the photo as it came, dB"): row.copy_psnr,
            ("ssim", f"SSIM restored ({way})"): row.restored_ssim,
            ("ssim", "SSIM of the photo as it came"): row.copy_ssim,
        }
        for (kind, name), value in figures.items():
            yield measured.result(_condition(row, row.condition), kind, name, value)
    for row in evaluation.router:
        condition = _condition(row, row.operation)
        yield measured.result(condition, "roc_auc", "ROC-AUC of the router", row.auc)


def _condition(row: Any, what: str) -> str:
    return f"{what}, {row.split} algorithms{', exported' if row.exported else ''}"


def _measured(data: str) -> Measured:
    return Measured("Face retouching restoration", "simulated-face-retouching", data)


def show(pipe: Any, portrait: Image.Image) -> Sequence[tuple[str, Image.Image]]:
    """The portrait, retouched with every operation, restored by the router and restored knowing."""
    recipe = sample_recipe(np.random.default_rng(0), pipe.operations, degrees=(0.7, 0.9))
    clean = to_tensor(portrait)
    retouched = to_picture(retouch(clean, [recipe], operations=pipe.operations).image[0])

    def restored(wishes: set[str] | None) -> Image.Image:
        noise = torch.Generator().manual_seed(0)
        return pipe(retouched, operations=wishes, generator=noise).images[0]

    pictures = {
        "retouched": retouched,
        "restored": restored(None),
        "restored, told": restored(set(pipe.operations)),
    }
    labelled = [
        (f"{name}, {float(psnr(to_tensor(picture), clean)):.1f} dB", picture)
        for name, picture in pictures.items()
    ]
    return [("original", portrait), *labelled]


SUBJECT = Subject(
    title="MoFRR: face retouching restoration",
    tags=("face-restoration", "face-retouching", "mixture-of-experts", "wavelet", "diffusion"),
    metrics=("psnr", "ssim", "roc_auc"),
    result="restored.png",
    summary=SUMMARY.strip(),
    sections=SECTIONS,
    read=read,
    show=show,
    caption="A portrait, retouched by the simulator, restored with the router deciding, and "
    "restored knowing what was done; PSNR against the portrait",
    example="A retouched portrait",
)
