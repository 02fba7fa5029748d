"""The step that seeds are for where experts answer at once: samples of what nobody tells.

Of a retouched photo it is first unknown how strong each operation was. A sample draws the degrees
that the caller does not give, and the experts undo as much; an expert with a diffusion also draws
the texture that its answer, a mean, leaves out. Each sample is a whole restoration that may be the
true one. The main image is not their mean, which would blur what they move differently, but
what the experts answer where they are told no degree.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from ..photos.arrays import to_signed
from ..room import OPEN, Room, Work
from .candidates import Draws, Samples, draw_degrees
from .direct import DirectEdit, answers_at_once, denoises, draws_texture
from .edits import ExpertEdit
from .request import Generators, Request
from .routing import Routing
from .stages import Stage
from .steps import MoFRRSteps

Edits = Mapping[str, ExpertEdit | DirectEdit]


class MoFRRSampling(MoFRRSteps):
    """Samples as methods of a pipeline that has the parts `MoFRRPipeline` describes."""

    def draw_degrees(
        self, routing: Routing, acting: Tensor, generator: Generators, count: int
    ) -> Draws | None:
        """Draws the degrees of a call's samples; None where it has one.

        Args:
            routing: from `route`.
            acting: B (K + 1) bool, which experts run.
            generator: as for `__call__`.
            count: samples of each photo.
        """
        direct = [answers_at_once(self._expert(name)) for name in self.operations]
        own = acting[:, :-1].cpu()
        open_degrees = own & torch.tensor(direct)
        lively = torch.tensor([draws_texture(self._expert(name)) for name in self.operations])
        textured = (own & lively).any(1)
        acts = acting.any(0).tolist()
        noisy = any(
            on and denoises(self._expert(name))
            for name, on in zip(self.expert_names, acts, strict=True)
        )
        noises = count if noisy else 1
        return draw_degrees(routing, open_degrees, textured, generator, count, noises)

    @torch.no_grad()
    def samples_of(
        self,
        pixels: Tensor,
        routing: Routing,
        acting: Tensor,
        draws: Draws,
        latents: Tensor,
        request: Request,
        generator: Generators = None,
        room: Room = OPEN,
    ) -> Iterator[Tensor]:
        """The samples of photos B 3 H W in [0, 1], one after the other.

        Args:
            pixels: the photos.
            routing: from `route`.
            acting: B (K + 1) bool, which experts run.
            draws: from `draw_degrees`.
            latents: B * n noises, those of one photo adjacent.
            request: what is asked of them.
            generator: as for `__call__`.
            room: the memory to do it in.
        """
        if not draws.varied.any():
            return
        photo, count = to_signed(pixels), request.num_samples
        for sample in range(count):
            stage = Stage(room, sample + 1, count + 1)
            edits, _ = self.run_experts(
                photo,
                draws.acting(acting),
                draws.told(sample, routing.degrees),
                latents[sample::count],
                request.num_inference_steps,
                generator,
                working_size=request.working_size,
                clip=request.clip,
                room=stage,
                sight=routing.sight,
            )
            edits = self.made_bold(edits, draws)
            edits = self.with_texture(photo, edits, draws, sample, stage)
            yield self.join(pixels, edits, routing.gates, request.strength, room=stage).images

    def made_bold(self, edits: Edits, draws: Draws) -> Edits:
        """A sample's edits, those at drawn degrees times the router's `sample_gain`.

        The gain makes up for the energy that a mean lacks: texture that is drawn needs none.
        """
        gains = self._setting("sample_gain")
        for place, name in enumerate(self.operations):
            edit, gain = edits.get(name), gains[place]
            if draws_texture(self._expert(name)) or gain == 1:
                continue
            if isinstance(edit, DirectEdit) and draws.drawn[:, place].any():
                edits = {**edits, name: edit.scaled(gain)}
        return edits

    def with_texture(
        self, photo: Tensor, edits: Edits, draws: Draws, sample: int, room: Room = OPEN
    ) -> Edits:
        """A sample's edits with the texture that experts draw beyond their answers.

        Args:
            photo: B 3 H W in [-1, 1].
            edits: of the sample, at the photos' own size.
            draws: from `draw_degrees`.
            sample: which.
            room: asked before every step whether to go on.
        """
        for name in self.operations:
            edit, expert = edits.get(name), self._expert(name)
            if isinstance(edit, DirectEdit) and draws_texture(expert):
                noise_of = partial(draws.noise_of, sample=sample)
                size = len(edit.rows), *photo.shape[-2:]
                work = Work(f"{name}_expert", *size, tiles=False, drawing=True)
                run = partial(edit.textured, expert, photo, noise_of, room)
                edits = {**edits, name: room.split(work, run)}
        return edits

    def summarise(
        self,
        images: Tensor,
        spread: Tensor | None,
        samples: Iterator[Tensor],
        draws: Draws,
        keep: bool,
    ) -> tuple[Tensor, Samples]:
        """What samples B 3 H W say of the main images: the uncertainty B 1 H W, and themselves.

        The uncertainty is the error of the main image that is to be expected if the truth is like
        the samples: their root mean square deviation from it, times the router's `spread_scale`.

        Args:
            images: B 3 H W in [0, 1], the main images.
            spread: B 1 H W, over noises; it stays where nothing was drawn.
            samples: n times B 3 H W.
            draws: what they were drawn from.
            keep: whether the samples come back.
        """
        kept, count = [], draws.degrees.shape[1]
        squares = torch.zeros_like(images[:, :1])
        for each in samples:
            squares += (each - images).square().mean(1, keepdim=True) / count
            if keep:
                kept.append(each)
        scale = self._spread_scale(draws.drawn).to(images)[:, None, None, None]
        drawn = draws.varied.to(images.device)[:, None, None, None]
        others = torch.zeros_like(squares) if spread is None else spread
        expected = (squares.sqrt() * scale).clamp_max(1)
        return torch.where(drawn, expected, others), Samples(tuple(kept), draws)

    def _spread_scale(self, drawn: Tensor) -> Tensor:
        """B: the least scale of the operations that were drawn, B K.

        A large scale is that of an operation whose samples hardly differ: beside another one they
        make little of the spread.
        """
        scales = torch.tensor(self._setting("spread_scale")).expand(drawn.shape)
        return scales.masked_fill(~drawn, torch.inf).amin(1).nan_to_num(posinf=1.0)

    def _setting(self, name: str) -> Sequence[float]:
        """A calibrated number of each operation, K: 1 where the router has none."""
        config = {} if self.router is None else self.router.config
        return config.get(name) or [1.0] * len(self.operations)
