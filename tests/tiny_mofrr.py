"""Pipelines of real networks, as small as they go, whose experts do something."""

import torch
from diffusers import DDIMScheduler
from tiny_native import NATIVE_ROUTER
from torch import nn

from frr.models.mofrr.expert import WaveFRRExpert
from frr.models.mofrr.flow_expert import FlowExpert
from frr.models.mofrr.merger import ExpertMerger
from frr.models.mofrr.native_router import NativeRouter
from frr.models.mofrr.router import RetouchRouter
from frr.models.mofrr.shared import SharedExpert
from frr.models.mofrr.texture_expert import TextureExpert
from frr.models.mofrr.tone_expert import ToneExpert
from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.operations import OPERATIONS

UNET = {"denoiser_channels": (16, 16), "attention_levels": (), "coarse_channels": (16, 16)}
RESNET = {
    "embedding_size": 8,
    "hidden_sizes": [8, 8],
    "depths": [1, 1],
    "layer_type": "basic",
}
EXPERT = {**UNET, "idem_width": 4, "hfcam_width": 8, "degree_resnet": RESNET}
ROUTER = {
    "embedding_size": 8,
    "hidden_sizes": (8, 8, 8),
    "depths": (1, 1, 1),
    "group_tokens": 2,
    "token_width": 16,
    "token_side": 4,
    "group_heads": 2,
    "heads": 2,
    "layers": 1,
}
COARSE = {"widths": (8, 8, 8), "fine": 8}


def schedule(**options) -> DDIMScheduler:
    return DDIMScheduler(
        **{
            "prediction_type": "sample",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
            "clip_sample": False,
            "set_alpha_to_one": True,
            "beta_schedule": "linear",
            **options,
        }
    )


def stir(network: nn.Module) -> nn.Module:
    """Fills what starts at zero, so that the network is no longer the identity."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return network


def build(stirred: bool = True, **parts) -> MoFRRPipeline:
    torch.manual_seed(0)
    finish = stir if stirred else lambda network: network
    made = {
        "router": finish(RetouchRouter(**ROUTER, operations=OPERATIONS)),
        "whitening_expert": finish(WaveFRRExpert(**EXPERT, has_tone_head=True)),
        "smoothing_expert": finish(WaveFRRExpert(**EXPERT)),
        "face_slimming_expert": finish(WaveFRRExpert(**EXPERT, has_warp_head=True)),
        "eye_enlarging_expert": finish(WaveFRRExpert(**EXPERT, has_warp_head=True)),
        "shared_expert": finish(SharedExpert(channels=(16, 16), attention_levels=())),
        **{f"{name}_expert": finish(WaveFRRExpert(**EXPERT)) for name in OPERATIONS[4:]},
        "merger": finish(ExpertMerger(operations=OPERATIONS, channels=(8, 8))),
        **parts,
    }
    return _of(made)


def _of(parts: dict) -> MoFRRPipeline:
    pipeline = MoFRRPipeline(**{"scheduler": schedule(), "working_size": 32, **parts})
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def build_native(stirred: bool = True, **parts) -> MoFRRPipeline:
    """All experts answer at once, and nothing merges: gentle edits of photos of any size."""
    torch.manual_seed(0)
    experts = {
        "whitening_expert": ToneExpert(**COARSE, depth=4, side=4),
        "smoothing_expert": TextureExpert(width=8, context_width=8),
        "face_slimming_expert": FlowExpert("face_slimming", **COARSE),
        "eye_enlarging_expert": FlowExpert("eye_enlarging", **COARSE),
    }
    further = [f"{name}_expert" for name in OPERATIONS if f"{name}_expert" not in experts]
    experts |= {name: TextureExpert(width=8, context_width=8) for name in further}
    made = {
        "router": NativeRouter(**NATIVE_ROUTER, operations=OPERATIONS),
        **({name: stir(each) for name, each in experts.items()} if stirred else experts),
        "shared_expert": None,
        "merger": None,
        "degree_source": "router",
    }
    return _of({**made, **parts})
