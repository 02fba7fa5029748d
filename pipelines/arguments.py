"""Checks of what callers pass to pipelines: an error says what came and what was expected."""

from numbers import Integral, Real
from typing import Any

import torch

MOST = 1000  # samples, or steps; more are a slip, and would take all memory or days


def check_fraction(what: str, number: Any) -> float:
    """A number in [0, 1] as a float.

    Raises:
        ValueError: something else.
    """
    given: Any = number
    if isinstance(number, bool) or not isinstance(number, Real) or not 0 <= given <= 1:
        raise ValueError(f"{what} is {number!r}; expected a number in [0, 1]")
    return float(given)


def check_count(what: str, number: Any, most: int = MOST) -> int:
    """A whole number of at least 1 as an int.

    Raises:
        ValueError: something else.
    """
    given: Any = number
    if isinstance(number, bool) or not isinstance(number, Integral) or not 1 <= given <= most:
        raise ValueError(
            f"{what} is {number!r}; expected a whole number of at least 1, at most {most}"
        )
    return int(given)


def check_working_size(size: Any, least: int) -> int | None:
    """A side in pixels as an int, or None for the photo's own.

    Raises:
        ValueError: something else, or less than `least`.
    """
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, Integral) or size < least:
        raise ValueError(
            f"working_size is {size!r}; expected at least {least} pixels, None (the photo's "
            "own size) or 'config' (the pipeline's setting)"
        )
    return int(size)


def check_choice(what: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{what} is {value!r}; expected one of {', '.join(choices)}")


def check_generator(generator: Any) -> None:
    """Raises ValueError for what is no generator, and no list of them."""
    each = generator if isinstance(generator, list) else [generator]
    wrong = [g for g in each if not isinstance(g, torch.Generator)]
    if generator is not None and wrong:
        raise ValueError(
            f"generator is {wrong[0]!r}; expected a torch.Generator, a list with one for each "
            "photo, or None: for a seed pass torch.Generator().manual_seed(seed)"
        )
