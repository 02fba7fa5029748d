"""What each expert did to the photos of a call, made when one looks at it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from ..photos.arrays import to_unit, write_images


class Photos(Protocol):
    """A batch of restored photos."""

    def by_photo(self, name: str, field: str) -> list[Tensor | None]:
        """A field of an expert's edit as a list over the photos, None where it did not run."""
        ...


class ByExpert(Mapping[str, list[Any]]):
    """Something of each expert for all photos, made when it is first looked at.

    Args:
        names: of the experts.
        make: an expert's name -> a list over the photos, None for those on which it did not run.
    """

    def __init__(self, names: Sequence[str], make: Callable[[str], list[Any]]) -> None:
        self._make = make
        self._made: dict[str, list[Any] | None] = dict.fromkeys(names)

    def __getitem__(self, name: str) -> list[Any]:
        """That of an expert."""
        made = self._made[name]
        if made is None:
            made = self._made[name] = self._make(name)
        return made

    def __iter__(self) -> Iterator[str]:
        """The experts' names."""
        return iter(self._made)

    def __len__(self) -> int:
        """How many experts there are."""
        return len(self._made)

    def __repr__(self) -> str:
        """The experts' names; nothing is made for it."""
        return f"{type(self).__name__}({', '.join(self)})"


def planes_of(parts: Sequence[Photos], field: str, name: str) -> list[Tensor | None]:
    """A field of an expert's edit as a list over the photos of a call."""
    return [planes for part in parts for planes in part.by_photo(name, field)]


def pictures_of(parts: Sequence[Photos], output_type: str, name: str) -> list[Any]:
    """The photos of a call as an expert alone restores them, in a form that the call can have."""
    planes = planes_of(parts, "image", name)
    present = [to_unit(each) for each in planes if each is not None]
    images = iter(write_images(present, [None] * len(present), output_type))
    return [None if each is None else next(images) for each in planes]
