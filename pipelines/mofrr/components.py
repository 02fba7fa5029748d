"""MoFRR's parts: router, one expert for each operation, shared expert, merger.

diffusers reads a pipeline's parts off its constructor's parameters. Here these follow from a tuple
of operations, so that another operation is another name in that tuple and nothing else.
"""

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline, ModelMixin, SchedulerMixin

from ...models.sizes import SizeRequirements
from ..operations import OPERATIONS, label
from ..placement import first_parameter

SHARED = "shared"
END = "_expert"
DECLARATION = re.compile(r"^LABELS = \{.*?^\}", re.MULTILINE | re.DOTALL)


class MoFRRParts(DiffusionPipeline):
    """A pipeline whose constructor has a parameter for the expert of each of its `operations`."""

    operations: ClassVar[tuple[str, ...]] = OPERATIONS
    """Names of the operations, in the order of the router's outputs."""

    size_requirements: ClassVar[SizeRequirements] = SizeRequirements(minimum=32, multiple=32)
    """Of the photos at working size; what a network asks beyond that, it pads itself."""

    _optional_components: ClassVar[list[str]]
    model_cpu_offload_seq: str

    def __init_subclass__(cls, operations: Sequence[str] = (), **options: Any) -> None:
        """Takes the parts, in the order in which they run, from the operations."""
        super().__init_subclass__(**options)
        if operations:
            cls.operations = tuple(operations)
        experts = [f"{name}{END}" for name in (*cls.operations, SHARED)]
        cls._optional_components = ["router", *experts, "merger"]
        cls.model_cpu_offload_seq = "->".join(cls._optional_components)
        if operations or "__init__" in vars(cls):
            cls.__init__ = _constructor(cls.__init__, cls._optional_components)

    @property
    def expert_names(self) -> tuple[str, ...]:
        """The operations, then "shared": the order of latents and of the merger's residuals."""
        return (*self.operations, SHARED)

    @classmethod
    def for_operations(cls, operations: Sequence[str]) -> type["MoFRRParts"]:
        """This pipeline for other operations: the class that has an expert for each of them.

        Args:
            operations: names, in the order of the router's outputs, as the configs of router and
                merger list them.

        Raises:
            ValueError: no name, a repeated one, or one that cannot stand in a parameter's name.
        """
        names = tuple(operations)
        wrong = [name for name in names if not name.isidentifier() or name == SHARED]
        if not names or wrong or len(set(names)) < len(names):
            raise ValueError(
                f"operations are {names}; expected different names of letters, digits and _, none "
                f"of them {SHARED!r}"
            )
        return cls if names == cls.operations else _derived(cls, names)

    @classmethod
    def for_index(cls, index: Mapping[str, Any]) -> type["MoFRRParts"]:
        """The class that has the experts which a repository's index lists, in its order."""
        experts = [name for name in index if name.endswith(END) and name != f"{SHARED}{END}"]
        names = tuple(name.removesuffix(END) for name in experts)
        return cls if set(names) == set(cls.operations) else cls.for_operations(names)

    @classmethod
    def own_code(cls) -> dict[str, str]:
        """The declaration of this class's operations, where they are not the package's."""
        if cls.operations == OPERATIONS:
            return {}
        text = inspect.getsource(sys.modules[label.__module__])
        return {"operations": DECLARATION.sub(_declared(cls.operations), text)}

    @property
    def available(self) -> dict[str, bool]:
        """Of each operation whether its expert is there."""
        return {name: self._expert(name) is not None for name in self.operations}

    def _expert(self, name: str) -> Any:
        return getattr(self, f"{name}{END}")

    @property
    def _execution_device(self) -> torch.device:
        """Where the networks run: where they all are, unless something may move them for it.

        diffusers' own property looks through every layer, several times.
        """
        parts = [getattr(self, name) for name in self._optional_components]
        known = [first_parameter(part) for part in parts if part is not None]
        devices = {parameter.device for parameter in known if parameter is not None}
        place = next(iter(devices), torch.device("cpu"))
        idle = place.type == "meta" or (place.type == "cpu" and torch.accelerator.is_available())
        return super()._execution_device if idle or len(devices) > 1 else place

    def maybe_free_model_hooks(self) -> None:
        """Offloads what was loaded for a call, and resets caches; quick where there is nothing.

        diffusers' own method reads the constructor's signature first.
        """
        parts = (getattr(self, name) for name in self._optional_components)
        cached = any(hasattr(type(part), "_reset_stateful_cache") for part in parts)
        if cached or getattr(self, "_all_hooks", None):
            super().maybe_free_model_hooks()


def _declared(operations: Sequence[str]) -> str:
    lines = [f'    "{name}": "{label(name)}",\n' for name in operations]
    return f"LABELS = {{\n{''.join(lines)}}}"


@cache
def _derived(cls: type[MoFRRParts], operations: tuple[str, ...]) -> type[MoFRRParts]:
    space = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    make: Any = type(cls)
    return make(cls.__name__, (cls,), space, operations=operations)


def _constructor(init: Callable[..., None], networks: Sequence[str]) -> Callable[..., None]:
    """`init` with a parameter for each network, which it takes as keywords.

    The parts have no defaults: diffusers takes a parameter with a default for a setting, and would
    load a part that from_pretrained was told to leave out.
    """
    init = vars(init).get("__wrapped__", init)
    own = inspect.signature(init).parameters.values()
    settings = [each for each in own if each.default is not inspect.Parameter.empty]
    kinds = {networks[0]: ModelMixin | None, "scheduler": SchedulerMixin}
    kinds |= dict.fromkeys(networks[1:], ModelMixin | None)
    free = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parts = [inspect.Parameter(name, free, annotation=kind) for name, kind in kinds.items()]
    signature = inspect.Signature([inspect.Parameter("self", free), *parts, *settings])

    @wraps(init)
    def constructor(*given: Any, **named: Any) -> None:
        init(**signature.bind(*given, **named).arguments)

    constructor.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue]
    kinds |= {setting.name: setting.annotation for setting in settings}
    constructor.__annotations__ = kinds
    return constructor
