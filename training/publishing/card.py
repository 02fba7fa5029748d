"""Model cards: what a pipeline is, joined with what `frr evaluate` measured; no figure is typed.

A pipeline's own part, the prose and how to read its evaluation, is a `Subject` in a module of its
own; `SUBJECTS` lists these modules. Everything else here holds for any pipeline.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from PIL import Image

from ...pipelines.photos.drawings import panel
from ...pipelines.repository.writer import CARD_NAME, CHECKSUMS_NAME
from ..writing import replacing

PICTURE_NAME = "before_after.png"
EXAMPLE_NAME = "example.png"
SPACE = "frr/face-retouching-restoration"
"""Hub id of the Space that `spaces/` makes."""
SUBJECTS = {"BPFRePipeline": "card_bpfre", "MoFRRPipeline": "card_mofrr"}
"""The module in this folder that holds the `SUBJECT` of each pipeline class."""
USAGE = """\
import diffusers

pipe = diffusers.DiffusionPipeline.from_pretrained("{repo}", trust_remote_code=True)
pipe(diffusers.utils.load_image("photo.jpg")).images[0].save("{result}")
"""


class Evidence(NamedTuple):
    """What one evaluation file says.

    Attributes:
        results: for the card's metadata (model-index), values as in the file.
        tables: Markdown.
        weights: `weights_digest` of the model that was evaluated; None where it was not recorded.
    """

    results: Sequence[EvalResult]
    tables: str
    weights: str | None


class Measured(NamedTuple):
    """What the figures of an evaluation were measured on.

    Attributes:
        task: what the pipeline does, in words.
        kind: kind of the photos, in small letters and dashes.
        data: the photos, in words.
    """

    task: str
    kind: str
    data: str

    def result(self, condition: str, metric: str, name: str, value: float) -> EvalResult:
        """One figure of the card's metadata; `metric` is the Hub's name, `name` says it in full."""
        return EvalResult(
            task_type="image-to-image",
            task_name=self.task,
            dataset_type=self.kind,
            dataset_name=self.data,
            dataset_config=condition,
            dataset_split="test",
            metric_type=metric,
            metric_name=name,
            metric_value=value,
        )


@dataclass(frozen=True)
class Subject:
    """What a card says of one pipeline class.

    Attributes:
        title: heading of the card.
        tags: the card's tags, beside those that every card has.
        metrics: the metrics' Hub names.
        result: file name of the result in the usage lines.
        summary: Markdown below the title.
        sections: heading -> Markdown, in the card's order, after usage and results.
        read: text of an evaluation file -> Evidence; ValueError for another kind of file.
        show: (pipeline, portrait at 256 px) -> labelled pictures, made by running the pipeline.
        caption: what the pictures show.
        example: title of the example, the first of the pictures but the original.
    """

    title: str
    tags: Sequence[str]
    metrics: Sequence[str]
    result: str
    summary: str
    sections: Mapping[str, str]
    read: Callable[[str], Evidence]
    show: Callable[[Any, Image.Image], Sequence[tuple[str, Image.Image]]]
    caption: str
    example: str


def subject_of(class_name: str) -> Subject:
    """The subject of a pipeline class.

    Raises:
        ValueError: for a class that has none.
    """
    if class_name not in SUBJECTS:
        raise ValueError(f"no card is known for a {class_name}; known: {', '.join(SUBJECTS)}")
    return importlib.import_module(f".{SUBJECTS[class_name]}", __package__).SUBJECT


def weights_digest(folder: Path) -> str | None:
    """SHA-256 of a repository's list of digests, which stands for all its weights; None if none."""
    sums = folder / CHECKSUMS_NAME
    return hashlib.sha256(sums.read_bytes()).hexdigest() if sums.is_file() else None


def read_evidence(subject: Subject, files: Sequence[Path], weights: str | None) -> list[Evidence]:
    """Reads evaluation files.

    Args:
        subject: whose evaluations they are.
        files: as `frr evaluate` wrote them.
        weights: `weights_digest` of the model the card is for.

    Raises:
        ValueError: a file of another kind, or made with other weights; the message names it.
    """
    evidence = []
    for file in files:
        try:
            found = subject.read(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{file}: {error}") from error
        if found.weights is not None and found.weights != weights:
            raise ValueError(
                f"{file} was measured with other weights than this model's; run frr evaluate again"
            )
        evidence.append(found)
    return evidence


def make_card(
    subject: Subject,
    class_name: str,
    repo: str,
    evidence: Sequence[Evidence],
    made_with: str,
    weights: str | None,
) -> ModelCard:
    """The card as huggingface_hub reads it.

    Args:
        subject: what is said of the pipeline.
        class_name: the pipeline's class.
        repo: Hub id for the usage lines and as the model's name.
        evidence: at least one evaluation.
        made_with: name and version of the package.
        weights: `weights_digest` of the model.

    Raises:
        ValueError: without evidence.
    """
    if not evidence:
        raise ValueError("a card needs at least one evaluation file; run frr evaluate first")
    data = ModelCardData(
        license="apache-2.0",
        library_name="diffusers",
        pipeline_tag="image-to-image",
        tags=[*subject.tags, f"diffusers:{class_name}"],
        metrics=list(subject.metrics),
        model_name=repo,
        eval_results=_distinct([result for each in evidence for result in each.results]),
        widget=[
            {
                "src": f"https://huggingface.co/{repo}/resolve/main/{EXAMPLE_NAME}",
                "example_title": subject.example,
                "output": {"url": PICTURE_NAME},
            }
        ],
    )
    usage = USAGE.format(repo=repo, result=subject.result)
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {subject.title}",
        subject.summary,
        f"![{subject.caption}]({PICTURE_NAME})",
        f"*{subject.caption}*",
        f"## Usage\n\n```python\n{usage}```",
        "The flag lets diffusers run the pipeline's code, which is part of this repository. Where "
        "the package `frr` is installed, `import frr` before it makes the flag unnecessary.",
        f"To try it in a browser: [the Space](https://huggingface.co/spaces/{SPACE}), or the same "
        'page on your own machine, `pip install "frr[app]" && frr app`.',
        f"[{EXAMPLE_NAME}]({EXAMPLE_NAME}) is a photo to try it on.",
        "## Evaluation",
        *(each.tables.strip() for each in evidence),
        *(f"## {heading}\n\n{text.strip()}" for heading, text in subject.sections.items()),
        f"This card was written by {made_with} from its evaluation files, for the weights whose "
        f"list of digests, {CHECKSUMS_NAME}, has the SHA-256 `{weights}`. {_provenance(evidence)}",
    ]
    return ModelCard("\n\n".join(parts) + "\n")


def _provenance(evidence: Sequence[Evidence]) -> str:
    if any(each.weights is None for each in evidence):
        return "The files do not record which weights they measured."
    return "The files record the same digest."


def _distinct(results: Sequence[EvalResult]) -> list[EvalResult]:
    """The results without repetitions: every routing has the same photos to start from."""
    return [each for place, each in enumerate(results) if each not in results[:place]]


def write_card(
    pipe: Any,
    folder: Path,
    repo: str,
    files: Sequence[Path],
    portrait: Image.Image,
    made_with: str,
) -> Path:
    """Writes card and pictures into a model folder, and returns the card's path.

    Args:
        pipe: the pipeline of that folder.
        folder: as `save_pretrained` wrote it.
        repo: its Hub id.
        files: evaluations, as `frr evaluate` wrote them.
        portrait: the face that the picture shows, before anything is done to it.
        made_with: name and version of the package.

    Raises:
        ValueError: from `subject_of`, `read_evidence` or `make_card`.
    """
    class_name = type(pipe).__name__
    subject = subject_of(class_name)
    weights = weights_digest(folder)
    evidence = read_evidence(subject, files, weights)
    card = make_card(subject, class_name, repo, evidence, made_with, weights)
    pictures = subject.show(pipe, portrait)
    with replacing(folder / PICTURE_NAME) as beside:
        panel(pictures).save(beside)
    with replacing(folder / EXAMPLE_NAME) as beside:
        next(each for _, each in pictures if each is not portrait).save(beside)
    with replacing(folder / CARD_NAME) as beside:
        card.save(beside)
    return folder / CARD_NAME
