"""What each part of an expert does: switched off, and on again."""

import pytest
import torch

from frr.models.mofrr.native_view import look
from frr.models.mofrr.texture_expert import TextureExpert
from frr.models.mofrr.tone_expert import ToneExpert

PHOTO = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 0.4 - 0.2


def stirred(expert):
    torch.manual_seed(1)
    for parameter in expert.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    expert.register_to_config(unknown_share=0.25)
    return expert.eval()


@pytest.fixture(params=["tone", "texture"])
def made(request):
    from benchmarks.ablation import variants

    experts = {
        "tone": lambda: ToneExpert(widths=(8, 8, 8), fine=8),
        "texture": lambda: TextureExpert(width=8, context_width=8),
    }
    expert = stirred(experts[request.param]())
    with torch.no_grad():
        every = {
            title: restore() - PHOTO
            for title, restore in variants(expert, PHOTO, look(PHOTO), float("nan"), 0.3, 0.8)
        }
    assert expert.config.unknown_share == 0.25
    return request.param, every


def test_each_part_is_switched_off_by_itself(made):
    kind, every = made
    shipped = every["as shipped"]
    assert torch.allclose(every["no hedging"], 4 * shipped, atol=1e-5)
    assert not torch.allclose(every["true degree told"], every["router's degree told"], atol=1e-6)
    if kind == "tone":
        assert not torch.allclose(every["no colour image"], shipped, atol=1e-6)
        assert "light not held" not in every
    else:
        assert torch.allclose(every["no traces"], shipped)  # it looks at the pixels themselves
        assert abs(every["light not held"].mean()) > abs(shipped.mean())


def test_the_table_has_means():
    from benchmarks.ablation import as_markdown

    key = "whitening", "seen"
    text = as_markdown({"as shipped": {key: [1.0, 2.0]}, "light not held": {}})
    assert text.splitlines()[2] == "| whitening | seen | 2 | +1.50 |  |"
