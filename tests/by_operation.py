"""What tests expect of each operation, in the order of the list, however many it has."""

from collections.abc import Callable

from frr.pipelines.operations import OPERATIONS


def values(other, **given) -> tuple:
    """`values(2, whitening=0.5)`: one value for each operation, `other` for those not named."""
    assert set(given) <= set(OPERATIONS)
    return tuple(given.get(name, other) for name in OPERATIONS)


def flags(*names: str) -> list[bool]:
    """Of each operation whether it is among the names."""
    assert set(names) <= set(OPERATIONS)
    return [name in names for name in OPERATIONS]


def further(make: Callable) -> dict:
    """An expert for each operation after the first four, as arguments of a pipeline."""
    return {f"{name}_expert": make() for name in OPERATIONS[4:]}
