"""Small BPFRe networks that edit: random weights, and maps that are open in places."""

import torch

SMALL = {"channels": (8, 12), "attention_width": 8, "style_width": 8}


def network(kind: type, inpainting: bool = False):
    """A `BlemishRetoucher`; `kind` is that class, of whichever name the package has."""
    torch.manual_seed(2)
    made = kind(**SMALL, inpainting=inpainting).eval()
    for parameter in made.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    for attention in (made.e2d, made.d2g):
        attention.map_head.weight.data.normal_(0, 0.3)
        attention.map_head.bias.data.fill_(-0.3)
    return made


def pipeline(**settings):
    """A `BPFRePipeline` of both networks; settings and parts may be given."""
    from frr.models.bpfre.retoucher import BlemishRetoucher
    from frr.pipelines.bpfre.pipeline import BPFRePipeline

    parts = {
        "retoucher": network(BlemishRetoucher),
        "inpainter": network(BlemishRetoucher, inpainting=True),
        "healer": None,
        "working_size": None,
    }
    return BPFRePipeline(**{**parts, **settings})
