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
from ..judging.metrics import psnr
from ..judging.report_mofrr import Evaluation, from_json, to_markdown
from .card import Evidence, Subject

SUMMARY = """
A photo of a face goes in; an estimate of what it looked like before retouching comes out. A router
says which retouching operations it finds and how strongly; one wavelet diffusion expert undoes each
of them; a shared expert knows retouching in general; a merger joins their answers. It implements
MoFRR (Liu et al., ICCV 2025, arXiv 2507.19770), independently, from the paper's equations.

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
- The retouching in training and evaluation is simulated. "unseen" rows stand for unknown apps by
  algorithms kept out of training; real apps differ more. Where the router decides, it misses some
  operations and finds others that are not there: the tables say how often. Say which operations to
  undo where you know them.
- An operation that is undone without having been applied changes the photo for the worse.
- The training faces are synthetic and, for the most part, were scaled down before: they have little
  true pore texture. Half of the test faces are synthetic too; the real ones are 40 young white
  adults in even studio light. Expect worse results on other skin tones and ages, on make-up,
  glasses, beards, strong light and small faces.
""",
    "Training data and licences": """
Trained on simulated retouching of 1301 synthetic faces: SFHQ and SFHQ-T2I (MIT, SelfishGene) and
faker portraits (CC0 1.0, faker-js). Judged on other faker portraits and on the Canada set, 40 real
faces (CC-BY 4.0, DeBruine & Jones 2017, doi 10.6084/m9.figshare.4220517.v1). None of these pictures
is in this repository. The portrait above is NASA's (Eileen Collins), in the public domain. Code and
weights: Apache-2.0.
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
    evaluation = from_json(text)
    return Evidence(list(_results(evaluation)), to_markdown(evaluation), evaluation.weights)


def _results(evaluation: Evaluation) -> Iterator[EvalResult]:
    """PSNR and SSIM as the photo came and restored for each condition, the router's AUC."""
    way = {"given": "operations given", "router": "router deciding"}[evaluation.routing]
    for row in evaluation.restoration:
        measured = {
            ("psnr", f"PSNR restored, dB ({way})"): row.restored_psnr,
            ("psnr", "PSNR of the photo as it came, dB"): row.copy_psnr,
            ("ssim", f"SSIM restored ({way})"): row.restored_ssim,
            ("ssim", "SSIM of the photo as it came"): row.copy_ssim,
        }
        for (kind, name), value in measured.items():
            yield _result(evaluation, _condition(row, row.condition), kind, name, value)
    for row in evaluation.router:
        condition = _condition(row, row.operation)
        yield _result(evaluation, condition, "roc_auc", "ROC-AUC of the router", row.auc)


def _condition(row: Any, what: str) -> str:
    return f"{what}, {row.split} algorithms{', exported' if row.exported else ''}"


def _result(
    evaluation: Evaluation, condition: str, kind: str, name: str, value: float
) -> EvalResult:
    return EvalResult(
        task_type="image-to-image",
        task_name="Face retouching restoration",
        dataset_type="simulated-face-retouching",
        dataset_name=f"Simulated retouching of {evaluation.faces} faces at {evaluation.size} px",
        dataset_config=condition,
        dataset_split="test",
        metric_type=kind,
        metric_name=name,
        metric_value=value,
    )


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
)
