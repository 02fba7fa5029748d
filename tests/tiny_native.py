"""Sizes of a small router that reads photos at their own size."""

NATIVE_ROUTER = {
    "stem_width": 16,
    "colour_width": 8,
    "hidden_sizes": (16, 16),
    "depths": (1, 1),
    "group_tokens": 2,
    "token_width": 16,
    "token_side": 4,
    "heads": 2,
    "map_width": 4,
}
