"""MoFRRCandidates: what one picture may have been, as a batch, and one of them chosen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..pipelines.arguments import check_count
from ..pipelines.mofrr.candidates import Candidate, differences
from ..pipelines.mofrr.output import candidates_of
from ..pipelines.mofrr.request import Request
from . import host
from .host import io
from .inputs import strength_input
from .mofrr_inputs import MoFRRNode, read_size, size_inputs, sources, step_inputs
from .mofrr_model import MoFRRModel
from .mofrr_routing import decision_inputs, read_decisions
from .photos import read_image, write_image

MOST = 16


def _inputs() -> list[Any]:
    """Inputs of MoFRRCandidates."""
    return [
        *sources("One retouched picture; values beyond 0..1 are clamped."),
        io.Int.Input(
            "candidates",
            default=5,
            min=2,
            max=MOST,
            tooltip="How many restorations to draw: each undoes what was found by another degree.",
        ),
        io.Int.Input(
            "choice",
            default=1,
            min=1,
            max=MOST,
            tooltip="Which of them the output chosen is: 1 is the likeliest.",
        ),
        *step_inputs(),
        strength_input("correction"),
        *decision_inputs(),
        *size_inputs(samples=False),
    ]


def _outputs() -> list[Any]:
    """Outputs of MoFRRCandidates."""
    return [
        io.Image.Output(
            "batch",
            display_name="candidates",
            tooltip="All of them as a batch, the likeliest first; the picture's one restoration "
            "where nothing is left open.",
        ),
        io.Image.Output("chosen", tooltip="The one that was chosen."),
        io.String.Output("report", tooltip="The degrees of each, and how likely it is, as text."),
    ]


class MoFRRCandidates(MoFRRNode):
    """Draws the degrees that nobody tells, and undoes as much."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="MoFRRCandidates",
            display_name="MoFRR Candidates",
            category="FRR/MoFRR",
            description=(
                "Gives several restorations of one picture that may each be the true one: the "
                "degrees that are left to be estimated are drawn from what the router believes of "
                "them. MoFRR Restore gives the one careful answer instead."
            ),
            search_aliases=["candidates", "variants", "face restore", "unretouch", "samples"],
            inputs=_inputs(),
            outputs=_outputs(),
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        model: MoFRRModel,
        candidates: int,
        choice: int,
        steps: int,
        seed: int,
        strength: float,
        working_size: int = 0,
        **decisions: Any,
    ) -> io.NodeOutput:
        """Restore the picture several times."""
        pictures = read_image(image)
        if len(pictures.pixels) > 1:
            raise ValueError(
                f"image holds {len(pictures.pixels)} pictures; expected one: take it out of the "
                "batch first"
            )
        check_count("candidates", candidates)
        check_count("choice", choice)
        pipe = model.pipeline
        wishes, degrees = read_decisions(decisions, pipe.operations)
        request = Request(
            steps,
            strength,
            {name: "auto" if wish is None else wish for name, wish in wishes.items()},
            degrees,
            candidates,
            working_size=read_size(working_size),
            keep_samples=True,
        )
        request.check(cls.least)
        generator = torch.Generator().manual_seed(seed)
        result = pipe.restore(pictures.pixels, request, generator, room=host.HostRoom(model))
        result = result._replace(edits={})
        found = (candidates_of([result], [None], pipe.expert_names, "pt") or [[]])[0]
        if not found:
            found = [Candidate(result.images[0], {}, 1.0, "")]
        if choice > len(found) > 1:
            raise ValueError(
                f"choice is {choice}, but there are {len(found)} candidates; choose one of them, "
                "or draw more"
            )
        batch = torch.stack([each.image for each in found])
        alpha = pictures.alpha
        alpha = None if alpha is None else alpha.expand(len(batch), *alpha.shape[1:])
        written = write_image(batch, alpha)
        place = min(choice, len(found)) - 1
        return io.NodeOutput(written, written[place : place + 1], described(found))


def described(found: list[Candidate]) -> str:
    """Candidates as text: what differs, then a line for each."""
    if len(found) < 2:
        return "nothing is left open: one restoration"
    lines = [differences(found)]
    lines += [
        f"{number}: {each.words} (likelihood {each.likelihood:.2f})"
        for number, each in enumerate(found, 1)
    ]
    return "\n".join(lines)
