"""Multi-granularity attention: a trunk's stage as tokens (RetouchingFFHQ, ACM MM 2023)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attending import Attend


def pool_to(features: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Mean and maximum of B C h w over the cells of a grid of at most `side` x `side`."""
    height, width = features.shape[-2:]
    size = min(side, height), min(side, width)
    if size == (height, width):
        return features, features
    if height % size[0] or width % size[1]:
        return F.adaptive_avg_pool2d(features, size), F.adaptive_max_pool2d(features, size)
    cell = height // size[0], width // size[1]  # the same, several times as quick
    return F.avg_pool2d(features, cell), F.max_pool2d(features, cell)


def mean_over_map(features: Tensor) -> Tensor:
    """B C h w -> B C."""
    return features.mean(dim=(2, 3))


def max_over_map(features: Tensor) -> Tensor:
    """B C h w -> B C."""
    return features.amax(dim=(2, 3))


class CrossAttention(nn.Module):
    """Multi-head attention from tokens B N D to a context B M D (scaled dot product attention)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.projection = nn.Linear(width, width)
        self.attend = Attend()

    def split(self, tokens: Tensor) -> Tensor:
        """B N D -> B heads N D/heads."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """Tokens B N D, context B M D -> B N D."""
        key, value = self.key_value(context).chunk(2, dim=-1)
        attended = self.attend(*map(self.split, (self.query(tokens), key, value)))
        return self.projection(attended.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP; attends to itself when no context is given."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self, tokens: Tensor, context: Tensor | None = None, wanted: int | None = None
    ) -> Tensor:
        """Tokens B N D, context B M D -> B N D, or B `wanted` D: only the first of them."""
        queries = self.attention_norm(tokens)
        context = queries if context is None else context
        tokens = tokens[:, :wanted] + self.attention(queries[:, :wanted], context)
        return tokens + self.mlp(tokens)


class GranularityAttention(nn.Module):
    """Summarises one stage's feature map by `groups` tokens of width `token_width`.

    Learnable group tokens attend to the image tokens; each image token is then assigned softly to
    the groups (GroupViT's grouping without the hard choice) and gathered. One more token carries
    the mean and the maximum over the whole map.
    """

    def __init__(self, width: int, token_width: int, groups: int, heads: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.group_tokens = nn.Parameter(torch.randn(1, groups, width) * 0.02)
        self.reduce = nn.Linear(2 * width, width)
        self.image_norm = nn.LayerNorm(width)
        self.block = TransformerBlock(width, heads)
        self.assignment_query = nn.Linear(width, width)
        self.assignment_key = nn.Linear(width, width)
        self.gathered = nn.Linear(width, width)
        self.projection = nn.Linear(width, token_width)
        self.pooled_projection = nn.Linear(2 * width, token_width)

    def image_tokens(self, features: Tensor) -> Tensor:
        """Feature map B C h w, mean and max pooled to at most `side` x `side`, as tokens B N C."""
        pooled = torch.cat(pool_to(features, self.side), dim=1)
        return self.image_norm(self.reduce(pooled.flatten(2).transpose(1, 2)))

    def forward(self, features: Tensor) -> Tensor:
        """Feature map B C h w -> group tokens and the pooled token, B groups + 1 D."""
        image = self.image_tokens(features)
        groups = self.block(self.group_tokens.expand(image.shape[0], -1, -1), image)

        logits = self.assignment_query(groups) @ self.assignment_key(image).transpose(1, 2)
        assignment = (logits / groups.shape[-1] ** 0.5).softmax(dim=1)  # over groups: B G N
        mean = assignment @ image / assignment.sum(dim=2, keepdim=True).clamp_min(1e-3)
        groups = self.projection(groups + self.gathered(mean))

        pooled = torch.cat((mean_over_map(features), max_over_map(features)), dim=1)
        return torch.cat((groups, self.pooled_projection(pooled)[:, None]), dim=1)
