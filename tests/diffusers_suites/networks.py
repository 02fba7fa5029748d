"""What diffusers' mixins ask to be told of a network: its config, a call, the shape of the answer.

The networks here answer with a tensor or a named tuple and take no `return_dict`, some look at a
view of the photo, and some begin as the identity; the mixins want flat tensors in, diffusers'
outputs, and these not all zero. `as_they_call_it` gives a subclass that is called so.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from diffusers.utils import BaseOutput
from tiny_bpfre import SMALL
from tiny_mofrr import COARSE, EXPERT, ROUTER, stir
from tiny_native import NATIVE_ROUTER

from frr.models.bpfre.critic import PixelCritic
from frr.models.bpfre.healer import SkinHealer
from frr.models.bpfre.kinds import KINDS
from frr.models.bpfre.retoucher import BlemishRetoucher
from frr.models.mofrr.denoising import DenoisingExpert
from frr.models.mofrr.expert import WaveFRRExpert
from frr.models.mofrr.flow_expert import FlowExpert
from frr.models.mofrr.merger import ExpertMerger
from frr.models.mofrr.native_router import NativeRouter
from frr.models.mofrr.native_view import NativeView, look
from frr.models.mofrr.router import RetouchRouter
from frr.models.mofrr.shared import SharedExpert
from frr.models.mofrr.texture_expert import TextureExpert
from frr.models.mofrr.tone_expert import ToneExpert
from frr.pipelines.operations import OPERATIONS

COUNT = len(OPERATIONS)


class Network(NamedTuple):
    """A class, its config, what a call is given, and the shape of one row of its first answer."""

    kind: type[Any]
    config: dict[str, Any]
    inputs: dict[str, tuple[int, ...]]
    answer: tuple[int, ...]
    looks: bool = False  # the first input is a photo, of which it takes the view


PHOTO = (2, 3, 64, 64)
DEGREE = {"degree": (2,)}
NAMED = {"operations": OPERATIONS}
FULL = {"has_warp_head": True, "has_tone_head": True}
ATTENTIVE = {"denoiser_channels": (32, 32), "attention_levels": (1,)}
NETWORKS = {
    "RetouchRouter": Network(RetouchRouter, ROUTER | NAMED, {"photo": PHOTO}, (COUNT,)),
    "NativeRouter": Network(NativeRouter, NATIVE_ROUTER | NAMED, {"photo": PHOTO}, (COUNT,)),
    "NativeRouterWithAllPaths": Network(
        NativeRouter,
        {**NATIVE_ROUTER, **NAMED, "tone_width": 8, "spectral_width": 16, "parts_width": 8},
        {"photo": PHOTO},
        (COUNT,),
    ),
    "WaveFRRExpert": Network(WaveFRRExpert, EXPERT | FULL, {"photo": PHOTO, **DEGREE}, PHOTO[1:]),
    "WaveFRRExpertWithAttention": Network(
        WaveFRRExpert, EXPERT | ATTENTIVE, {"photo": PHOTO, **DEGREE}, PHOTO[1:]
    ),
    "SharedExpert": Network(
        SharedExpert, {"channels": (16, 16), "attention_levels": ()}, {"photo": PHOTO}, PHOTO[1:]
    ),
    "ToneExpert": Network(
        ToneExpert,
        {**COARSE, "depth": 4, "side": 4},
        {"view": PHOTO, **DEGREE},
        (12, 4, 4, 4),
        looks=True,
    ),
    "FlowExpert": Network(
        FlowExpert,
        {**COARSE, "spectral_width": 16},
        {"view": PHOTO, **DEGREE},
        (2, 64, 64),
        looks=True,
    ),
    "TextureExpert": Network(
        TextureExpert,
        {"width": 8, "context_width": 8},
        {"tile": PHOTO, "condition": (2, 2)},
        PHOTO[1:],
    ),
    "ExpertMerger": Network(
        ExpertMerger,
        {**NAMED, "channels": (8, 8)},
        {"photo": PHOTO, "residuals": (2, COUNT + 1, *PHOTO[1:]), "probabilities": (2, COUNT)},
        PHOTO[1:],
    ),
    "BlemishRetoucher": Network(BlemishRetoucher, SMALL, {"photo": PHOTO}, PHOTO[1:]),
    "BlemishInpainter": Network(
        BlemishRetoucher,
        {**SMALL, "inpainting": True},
        {"photo": PHOTO, "hole": (2, 1, *PHOTO[2:])},
        PHOTO[1:],
    ),
    "SkinHealer": Network(
        SkinHealer, {}, {"photo": PHOTO, "amounts": (2, len(KINDS))}, (1, *PHOTO[2:])
    ),
    "PixelCritic": Network(PixelCritic, {"channels": (8, 8, 8)}, {"photo": PHOTO}, (1, 64, 64)),
}


@dataclasses.dataclass
class Answer(BaseOutput):
    """The fields of a named tuple, or one tensor."""

    first: torch.Tensor | None = None
    second: torch.Tensor | None = None
    third: torch.Tensor | None = None
    fourth: torch.Tensor | None = None


def as_they_call_it(network: Network) -> type[Any]:
    """A subclass of the network's class that is called as the mixins call."""

    @functools.wraps(network.kind.__init__)
    def build(self: Any, *given: Any, **named: Any) -> None:
        super(made, self).__init__(*given, **named)
        if not next(self.parameters()).is_meta:
            stir(self)

    def forward(self: Any, *, return_dict: bool = True, **inputs: Any) -> Any:
        if network.looks:
            photo = inputs["view"]  # looked at in float32, as pipelines do
            inputs["view"] = NativeView(*(field.to(photo) for field in look(photo.float())))
        given = super(made, self).forward(**inputs)
        given = (given,) if isinstance(given, torch.Tensor) else tuple(given)
        given = tuple(each for each in given if each is not None)
        given = given[::-1] if isinstance(self, DenoisingExpert) else given  # what it learns first
        return Answer(*given) if return_dict else given

    kind = network.kind
    own = {"__init__": build, "forward": forward, "__module__": kind.__module__}
    made = type(kind.__name__, (kind,), own)
    return made


def inputs_of(network: Network) -> dict[str, torch.Tensor]:
    """The same at every call: photos in [-1, 1], all else in [0, 1]."""
    noise = torch.Generator().manual_seed(0)
    drawn = {name: torch.rand(shape, generator=noise) for name, shape in network.inputs.items()}
    photos = {"photo", "view", "tile", "residuals"}
    return {name: each * 2 - 1 if name in photos else each for name, each in drawn.items()}


def each_network(make: Callable[[str, Network], Any]) -> dict[str, Any]:
    """`make(name, network)` for all of them, as the names of a test module."""
    made = {name: make(name, network) for name, network in NETWORKS.items()}
    return {each.__name__: each for each in made.values()}
