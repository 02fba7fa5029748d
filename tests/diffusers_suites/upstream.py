"""diffusers' own test mixins, from checkouts of it: what its pipelines and models must pass.

`DIFFUSERS_TESTS` names a checkout that has the newer mixins (`tests/pipelines/testing_utils`, after
0.39), `DIFFUSERS_TESTS_OLDER` one that still has the older model mixin (before 0.39). The tests of
a checkout are imported under names of their own, since this folder is called `tests` too.
"""

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from diffusers.utils import import_utils

VARIABLES = {"newer": "DIFFUSERS_TESTS", "older": "DIFFUSERS_TESTS_OLDER"}


def upstream(age: str, module: str) -> Any:
    """A module of a checkout's tests; skips the tests that ask for it where there is none."""
    variable = VARIABLES[age]
    if not os.environ.get(variable):
        pytest.skip(f"{variable} names no checkout of diffusers", allow_module_level=True)
    if age == "older" and not hasattr(import_utils, "is_flax_available"):
        vars(import_utils)["is_flax_available"] = lambda: False  # which diffusers no longer has
    package = f"diffusers_tests_{age}"
    if package not in sys.modules:
        made = sys.modules[package] = ModuleType(package)
        made.__path__ = [str(Path(os.environ[variable]) / "tests")]
    return importlib.import_module(f"{package}.{module}")


def without_pickles(kind: Any) -> Any:
    """A class whose `save_pretrained` takes `safe_serialization=False` for True.

    Many of the mixins' tests write pickles on their way. These pipelines refuse to, which has a
    test of its own; what the tests are about is the same for safetensors.
    """

    def save_pretrained(self: Any, *given: Any, safe_serialization: bool = True, **named: Any):
        return super(made, self).save_pretrained(*given, **named)

    made = type(kind.__name__, (kind,), {"save_pretrained": save_pretrained})
    made.__module__, made.__qualname__ = kind.__module__, kind.__qualname__
    return made


def on_any_device(mixin: Any) -> Any:
    """A mixin's tests without the mark that skips all of them where there is no accelerator."""
    own = {name: each for name, each in vars(mixin).items() if name.endswith("_method")}
    tests = {name: each for name, each in vars(mixin).items() if name.startswith("test_")}
    return type(mixin.__name__, (), own | tests)
