"""What diffusers' mixins ask to be told of a pipeline: its parts, a call, what may be batched."""

import inspect
from typing import Any

import tiny_bpfre
import torch
from by_operation import values
from diffusers_suites.upstream import without_pickles
from tiny_mofrr import EXPERT, ROUTER, build, schedule, stir

from frr.models.mofrr.expert import WaveFRRExpert
from frr.models.mofrr.router import RetouchRouter
from frr.models.mofrr.shared import SharedExpert
from frr.pipelines.bpfre.pipeline import BPFRePipeline
from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.operations import OPERATIONS


def photo(side: int) -> torch.Tensor:
    """In whole levels, so that it is the same as a picture."""
    noise = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (1, 3, side, side), generator=noise) / 255


class MoFRR:
    """Its router finds every operation, so that all parts work."""

    pipeline_class = without_pickles(MoFRRPipeline)
    output_shape = (3, 32, 32)
    call = frozenset({"image", "strength", "operations", "degrees", "num_samples", "working_size"})
    usual = frozenset({"num_inference_steps", "generator", "latents", "output_type", "return_dict"})
    needless = frozenset(pipeline_class._optional_components)

    def get_dummy_components(self) -> dict[str, Any]:
        torch.manual_seed(0)  # the same at every call
        router = stir(RetouchRouter(**ROUTER, operations=OPERATIONS, thresholds=values(0.0)))
        return dict(build(router=router).components)

    def example(self, kind: str) -> dict[str, Any]:
        noise = torch.Generator().manual_seed(0)
        given = {"image": photo(32), "generator": noise, "num_inference_steps": 2}
        return {**given, "output_type": kind}


class NoisyMoFRR(MoFRR):
    """Its experts predict the noise, which every scheduler of diffusers can be told."""

    def get_dummy_components(self) -> dict[str, Any]:
        kind = {"prediction_type": "epsilon"}
        names = [f"{name}_expert" for name in OPERATIONS]
        experts = {name: stir(WaveFRRExpert(**EXPERT, **kind)) for name in names}
        experts["shared_expert"] = SharedExpert(channels=(16, 16), attention_levels=(), **kind)
        scheduler = schedule(**kind, rescale_betas_zero_snr=False)
        return {**super().get_dummy_components(), **experts, "scheduler": scheduler}


class Quiet(without_pickles(BPFRePipeline)):
    """BPFRe draws no noise and takes no steps: what the mixins say of these to all pipelines."""

    def __call__(
        self, image: Any, generator: Any = None, num_inference_steps: Any = None, **given: Any
    ) -> Any:
        return super().__call__(image, **given)


vars(Quiet.__call__)["__signature__"] = inspect.signature(BPFRePipeline.__call__)
Quiet.__name__, Quiet.__module__ = "BPFRePipeline", BPFRePipeline.__module__


class BPFRe:
    """Retoucher, inpainter and healer."""

    pipeline_class = Quiet
    output_shape = (3, 64, 64)
    call = frozenset({"image", "mask", "strength", "preserve", "working_size", "kinds"})
    usual = frozenset({"output_type", "return_dict"})
    needless = frozenset({"inpainter", "healer"})  # a call without a retoucher has nothing to do

    def get_dummy_components(self) -> dict[str, Any]:
        return dict(tiny_bpfre.pipeline().components)

    def example(self, kind: str) -> dict[str, Any]:
        return {
            "image": photo(64),
            "generator": None,
            "num_inference_steps": 1,
            "output_type": kind,
        }
