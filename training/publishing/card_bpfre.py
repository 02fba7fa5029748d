"""What the model card says of BPFRe, and how it reads its evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from huggingface_hub import EvalResult
from PIL import Image

from ...pipelines.photos.drawings import map_picture, to_picture, to_tensor
from ...pipelines.simulate.blemishes.painter import paint, sample_blemishes
from ..judging.evaluate_bpfre import RetouchEvaluation
from ..judging.metrics import psnr
from ..judging.report_bpfre import from_json, to_markdown
from .card import Evidence, Measured, Subject

SUMMARY = """
A photo of a face goes in; the same face without acne, redness, scars, spots, enlarged pores and
wrinkles comes out, moles kept. An encoder-decoder retouches coarsely, a StyleGAN2-type generator
refines, and two blemish-aware attention modules say where the blemishes are: outside of what they
find no pixel changes. A third stage, not the paper's, heals natural skin at the photo's own pixels:
spots and fine lines, redness, shine and uneven tone, each of which can be left out (`kinds`); pores
stay. `strength` is its condition: to 0.25 spots only, then more and more even skin. The rest
implements BPFRe (Xie et al., CVPR 2023), independently, from the paper's
slides; nothing here is the authors' code.
"""

SECTIONS = {
    "Intended use": """
Research on face retouching; retouching portraits of people who want it, gently (`strength`, a mask
of what may change, a mask of what is to be preserved). Photos should be filled by one upright face,
as FFHQ's aligned crops are. Coarse result and both maps are part of the answer: look at them.
""",
    "Out of scope": """
- Medical use: it neither finds nor judges diseases of the skin. A mole that it changes says
  nothing, nor does one that it keeps.
- Presenting a retouched photo as an untouched one where people rely on it.
- Photos of people who did not agree.
""",
    "Limits and biases": """
- Blemishes in training and evaluation are painted by a simulator, since no free set of real ones
  with professional retouches is known. Real blemishes differ: some will be missed, and some natural
  freckles, folds and beard stubble taken for blemishes.
- What one may call a blemish is a matter of taste; freckles and wrinkles are part of many faces.
  Keep them with `preserve` or a lower `strength`.
- The training faces are synthetic and, for the most part, were scaled down before: they have little
  true pore texture. Half of the test faces are synthetic too; the real ones are 40 young white
  adults in even studio light. Redness shows less on dark skin, in the painter and to the network.
- The two stages work at 256 px; what is finer than that is left to the third one, which looks at
  512 px and acts on the photo's own pixels. It finds marks by contrast, and its network, which
  learnt from a classical retoucher with landmarks, says where skin is and confirms them. It shares
  that retoucher's taste: some freckles are spots to it, and a mole is what is a fifth or more
  darker than the skin around and hardly redder. All stages keep what it takes for moles, dark
  freckles and blackheads among them; a paler mole goes. The evaluation above is of the first two
  stages; that of the third is in the project's RUNS.md.
""",
    "Training": """
Every loss of the slides is implemented. These weights were trained on pairs alone, with Haar-band
distances at three scales in place of VGG features (no weights need to be fetched), a detection loss
that the slides do not have, and without the adversarial pair. The third stage's maps were trained
on 512 faces of 400 px and more, five sixths of them real (US Congress, public domain; rOpenSci,
Open Life Science, Code4Lib, Openscapes and R-Ladies members, CC-BY; innovation fellows, 18F, USDS,
CC0 or US government), a quarter with painted blemishes. The others: 1301 synthetic faces: SFHQ and
SFHQ-T2I (MIT, SelfishGene) and faker portraits (CC0 1.0, faker-js). Judged on other faker portraits
and on the Canada set, 40 real faces (CC-BY 4.0, DeBruine & Jones 2017, doi
10.6084/m9.figshare.4220517.v1). None of these pictures is in this repository. The portrait above is
NASA's (Eileen Collins), in the public domain. Code and weights: Apache-2.0.
""",
}


def read(text: str) -> Evidence:
    """An evaluation that `frr evaluate --pipeline bpfre` wrote.

    Raises:
        ValueError: the text is none.
    """
    evaluation = from_json(text)
    return Evidence(list(_results(evaluation)), to_markdown(evaluation), evaluation.weights)


def _results(evaluation: RetouchEvaluation) -> Iterator[EvalResult]:
    """PSNR and SSIM before and after for each condition, and the figures of the whole run."""
    data = f"Blemishes painted on {evaluation.faces} faces at {evaluation.size} px"
    measured = Measured("Face retouching", "painted-blemishes", data)
    for row in evaluation.rows:
        if row.stage != "refined":
            continue
        figures = {
            ("psnr", "PSNR retouched, dB"): row.psnr,
            ("psnr", "PSNR of the photo as it came, dB"): row.copy_psnr,
            ("psnr", "PSNR retouched inside the blemish mask, dB"): row.mask_psnr,
            ("psnr", "PSNR as it came inside the blemish mask, dB"): row.copy_mask_psnr,
            ("ssim", "SSIM retouched"): row.ssim,
            ("ssim", "SSIM of the photo as it came"): row.copy_ssim,
        }
        for (kind, name), value in figures.items():
            yield measured.result(row.condition, kind, name, value)
    whole = {
        ("psnr", "PSNR of clean faces to themselves, dB"): evaluation.clean_psnr,
        ("iou", "IoU of the E2D map"): evaluation.iou,
        ("average_precision", "average precision of the E2D map"): evaluation.average_precision,
    }
    for (kind, name), value in whole.items():
        yield measured.result("all", kind, name, value)


def show(pipe: Any, portrait: Image.Image) -> Sequence[tuple[str, Image.Image]]:
    """The portrait with painted blemishes, the E2D map, and retouched."""
    clean = to_tensor(portrait)
    painted = paint(clean, [sample_blemishes(np.random.default_rng(3))], by_kind=False)
    photo = to_picture(painted.image[0])
    output = pipe(photo)
    pictures = {"blemished": photo, "retouched": output.images[0]}
    labelled = {
        name: (f"{name}, {float(psnr(to_tensor(picture), painted.target)):.1f} dB", picture)
        for name, picture in pictures.items()
    }
    found = ("E2D map", map_picture(output.blemish_maps[0, 0]))
    target = ("target", to_picture(painted.target[0]))
    return [labelled["blemished"], found, labelled["retouched"], target]


SUBJECT = Subject(
    title="BPFRe: blemish-aware progressive face retouching",
    tags=("face-retouching", "blemish-removal", "inpainting", "gan"),
    metrics=("psnr", "ssim"),
    result="retouched.png",
    summary=SUMMARY.strip(),
    sections=SECTIONS,
    read=read,
    show=show,
    caption="A portrait with painted blemishes, where they were found, retouched, and what it "
    "should be; PSNR against the last",
    example="A portrait with painted blemishes",
)
