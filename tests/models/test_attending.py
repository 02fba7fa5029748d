"""Attention by diffusers' back ends: all give the same, and one that is missing is named."""

import pytest
import torch
from diffusers.models.attention_dispatch import attention_backend
from diffusers.utils import is_xformers_available

from frr.models.attending import Attend
from frr.models.mofrr.hfcam import HFCAM
from frr.models.mofrr.native_router import NativeRouter
from frr.pipelines.operations import OPERATIONS

SMALL = {"stem_width": 16, "colour_width": 8, "hidden_sizes": (16, 16), "depths": (1, 1)}
SMALL |= {"group_tokens": 2, "token_width": 16, "token_side": 4, "heads": 2, "map_width": 4}


def planes(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_it_is_scaled_dot_product_attention():
    query, key, value = planes(3, 2, 4, 5, 8)
    weights = (query @ key.mT / 8**0.5).softmax(-1)
    torch.testing.assert_close(Attend()(query, key, value), weights @ value)
    assert not Attend().state_dict()


@pytest.mark.parametrize("backend", ["native", "_native_math"])
def test_a_back_end_reaches_the_router_and_changes_nothing(backend):
    torch.manual_seed(0)
    router, photo = NativeRouter(OPERATIONS, **SMALL).eval(), planes(1, 3, 96, 96).tanh()
    with torch.no_grad(), attention_backend("native"):
        expected = router(photo).probabilities
        router.set_attention_backend(backend)
        found = router(photo).probabilities
    used = {each.processor._attention_backend for each in router.modules() if type(each) is Attend}
    assert used == {backend}
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_back_end_reaches_hfcam():
    torch.manual_seed(0)
    module = HFCAM(8, heads=2, window=4)
    torch.nn.init.normal_(module.tail[-1].weight)
    given = (*planes(2, 1, 3, 12, 12), planes(1, 3, 3, 12, 12), torch.full((1,), 0.5))
    expected = module(*given)
    module.attend.set_attention_backend("_native_math")
    torch.testing.assert_close(module(*given), expected, atol=1e-4, rtol=0)


@pytest.mark.skipif(is_xformers_available(), reason="xformers is installed")
def test_a_back_end_that_is_missing_is_named():
    with attention_backend("native"), pytest.raises((RuntimeError, ImportError), match="xformers"):
        NativeRouter(OPERATIONS, **SMALL).set_attention_backend("xformers")
