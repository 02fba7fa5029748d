"""The restoration: the one procedure, whoever calls it.

`MoFRRPipeline.__call__` does, and so does a host that owns the memory and brings its own `Room`.
"""

import torch
from torch import Tensor

from ..photos.arrays import to_signed
from ..room import OPEN, Room
from .components import SHARED
from .output import Restoration, repeat, repeat_each, unchanged, used_degrees, with_rows
from .request import Generators, OnStep, Request
from .routing import Routing
from .sampling import MoFRRSampling
from .stages import Stage
from .steps import keep


class MoFRRRestoration(MoFRRSampling):
    """The restoration as a method of a pipeline that has the parts `MoFRRPipeline` describes."""

    @torch.no_grad()
    def restore(
        self,
        pixels: Tensor,
        request: Request,
        generator: Generators = None,
        latents: Tensor | None = None,
        on_step: OnStep = keep,
        room: Room = OPEN,
        routing: Routing | None = None,
    ) -> Restoration:
        """Restores photos of one size.

        Args:
            pixels: B 3 H W in [0, 1].
            request: what is asked of them.
            generator: one, or a list with one for each photo.
            latents: the noise, instead of a draw.
            on_step: (index, timestep, latents) -> latents, called after every step.
            room: the memory to do it in.
            routing: what `route` gave for them; None: they are judged here.
        """
        count, size = request.num_samples, request.working_size
        photo = to_signed(pixels)
        if routing is None:
            wishes = request.operations, request.degrees
            routing = self.route(photo, *wishes, size, request.clip, room)
        acting = self._acting(routing, request)
        if latents is None and request.output_type != "latent" and not acting.any():
            del photo  # as large as the copy that is made here
            return unchanged(pixels.clone(), routing._replace(sight=None), count)
        latents = self.prepare_latents(photo, generator, latents, count, size, request.clip)
        draws = None
        if request.output_type != "latent":
            draws = self.draw_degrees(routing, acting, generator, count)
        noises, stage = count, room
        if draws is not None:
            noises = draws.noises
            stage = Stage(room, 0, count + 1) if draws.varied.any() else room
        photo, degrees, running = (repeat(x, noises) for x in (photo, routing.degrees, acting))
        edits, denoised = self.run_experts(
            photo,
            running,
            degrees,
            latents[:: count // noises],
            request.num_inference_steps,
            repeat_each(generator, noises),
            on_step,
            size,
            request.clip,
            stage,
            None if routing.sight is None else routing.sight.repeated(noises),
        )
        del photo, running
        used = used_degrees(edits, self.operations, routing, noises)
        result = Restoration(pixels, denoised, routing, used, acting[:, :-1])
        if request.output_type == "latent":
            return result._replace(routing=routing._replace(sight=None))
        images, spread, applied = self.join(
            pixels, edits, routing.gates, request.strength, noises, request.keep_edits, stage
        )
        samples = None
        if draws is not None:
            drawn = self.samples_of(
                pixels, routing, acting, draws, latents, request, generator, room
            )
            spread, samples = self.summarise(images, spread, drawn, draws, request.keep_samples)
            denoised = with_rows(latents, denoised)
        room.show(1, 1, None)
        return result._replace(
            images=images,
            latents=denoised,
            routing=routing._replace(sight=None),
            edits=applied,
            uncertainty=spread,
            samples=samples,
        )

    def _acting(self, routing: Routing, request: Request) -> Tensor:
        """Which experts run on which photo, the shared one last: B (K + 1), bool."""
        shared = routing.active.any(dim=1, keepdim=True)
        if not request.skip_untouched:
            shared = torch.ones_like(shared)
        if self._expert(SHARED) is None:
            shared = torch.zeros_like(shared)
        acting = torch.cat((routing.active, shared), dim=1)
        return acting if request.strength > 0 else torch.zeros_like(acting)
