"""Scaled dot product attention by whichever back end diffusers was told to use.

`network.set_attention_backend("xformers")` of diffusers reaches every module of this kind; without
that it is torch's own `scaled_dot_product_attention`.
"""

from typing import Any

from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor, nn


class Dispatch:
    """What diffusers calls an attention processor: it holds the name of the back end."""

    _attention_backend: Any = None
    _parallel_config: Any = None

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention of B N heads D to B M heads D."""
        return dispatch_attention_fn(query, key, value, backend=self._attention_backend)


class Attend(nn.Module, AttentionModuleMixin):
    """softmax(query key^T / sqrt(D)) value; it has no weights."""

    _default_processor_cls = Dispatch
    _available_processors = (Dispatch,)
    _supports_qkv_fusion = False

    def __init__(self) -> None:
        super().__init__()
        processor: Any = Dispatch()
        self.set_processor(processor)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query B heads N D, key and value B heads M D -> B heads N D."""
        processor: Any = self.processor
        inputs = (each.transpose(1, 2) for each in (query, key, value))
        return processor(*inputs).transpose(1, 2)
