"""Settings: dataclasses whose fields say what they mean and what they may be.

Each stage and each pool has one such class. Settings come by name, as text or as values; a name
that the class lacks, or a value out of its range, is an error that names it.
"""

import dataclasses
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

Value = TypeVar("Value")
Kind = TypeVar("Kind", bound="Settings")
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_NO_LIMITS = types.MappingProxyType({"least": None, "above": None, "most": None, "choices": None})


def setting(
    default: Value,
    meaning: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    choices: Sequence[str] | None = None,
    free: bool = False,
) -> Value:
    """A field of a `Settings` class.

    Args:
        default: its value unless it is set; its type is the field's.
        meaning: one line for the user.
        least: the smallest value allowed.
        above: a bound that values must exceed.
        most: the largest value allowed.
        choices: the texts allowed.
        free: whether it may change when a stopped run goes on, since results do not depend on it.
    """
    limits = {"least": least, "above": above, "most": most, "choices": choices}
    metadata = {"meaning": meaning, "free": free, **limits}
    return cast(Value, dataclasses.field(default=default, metadata=metadata))


class Explained(NamedTuple):
    """A setting as `--help` lists it: its name, its default as text, and what it means."""

    name: str
    default: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings by name, checked when they are made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field.name, getattr(self, field.name), {**_NO_LIMITS, **field.metadata})

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """All names, in the order in which they are listed."""
        return tuple(field.name for field in dataclasses.fields(cls))

    @classmethod
    def explain(cls) -> Iterator[Explained]:
        """What `--help` says of each setting."""
        for field in dataclasses.fields(cls):
            yield Explained(field.name, _as_text(field.default), field.metadata["meaning"])

    @classmethod
    def read(cls: type[Kind], given: Mapping[str, object]) -> Kind:
        """Settings from names and values, which may be text.

        Raises:
            ValueError: a name that is no setting, or a value of the wrong kind or out of range.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        if unknown := [name for name in given if name not in defaults]:
            raise ValueError(f"unknown setting {unknown[0]!r}; known: {', '.join(defaults)}")
        return cls(**{name: _read(name, value, defaults[name]) for name, value in given.items()})

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON has them; `read` reads them back."""
        values = dataclasses.asdict(self)
        return {n: list(v) if isinstance(v, tuple) else v for n, v in values.items()}

    @classmethod
    def bound(cls) -> frozenset[str]:
        """Names of the settings that results depend on."""
        fields = dataclasses.fields(cls)
        return frozenset(field.name for field in fields if not field.metadata["free"])


def continued(kind: type[Kind], before: Mapping[str, Any], given: Mapping[str, object]) -> Kind:
    """Settings of a stopped run that goes on: those it had, and the free ones that are given anew.

    Args:
        kind: the class of the settings.
        before: settings of the run as its folder holds them.
        given: settings by name, as for `Settings.read`; those not given stay.

    Raises:
        ValueError: a setting that results depend on is given another value.
    """
    old = kind.read(before)
    new = kind.read({**before, **given})
    for name in kind.names():
        was, now = getattr(old, name), getattr(new, name)
        if was != now and name in kind.bound():
            raise ValueError(
                f"{name}={_as_text(now)!r} is not what this run was started with "
                f"({_as_text(was)!r}): leave it out to resume, or start another folder"
            )
    return new


def _read(name: str, value: object, default: object) -> object:
    """A value of the default's type."""
    kind = type(default)
    if isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
        return value
    try:
        if kind is bool:
            return _BOOLEANS[str(value).lower()]
        if kind is tuple:
            items = value if isinstance(value, list | tuple) else str(value).split(",")
            return tuple(str(item).strip() for item in items if str(item).strip())
        return cast(Any, kind)(str(value))  # as text: int(2.5) would be 2
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{name}={value!r} is not of type {kind.__name__}") from error


def _check(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    """Raises ValueError unless the value lies where its field says."""
    least, above, most, choices = (limits[key] for key in _NO_LIMITS)
    wrong = None
    if least is not None and not value >= least:
        wrong = f"at least {least}"
    elif above is not None and not value > above:
        wrong = f"more than {above}"
    elif most is not None and not value <= most:
        wrong = f"at most {most}"
    elif choices is not None and value not in choices:
        wrong = f"one of {', '.join(choices)}"
    if wrong:
        raise ValueError(f"{name} must be {wrong}, got {_as_text(value)!r}")


def _as_text(value: object) -> str:
    """A value as `--set NAME=VALUE` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
