"""The code that travels with a pipeline's weights: the pipeline's file and all that it imports.

All remote code of a process shares one folder and one package, and a module that was imported once
is not read again. Every file therefore has the version in its name, eight digits of a digest of all
of the code: repositories of different versions never meet, equal ones share their classes.
"""

import hashlib
import json
import re
import sys
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

RELATIVE_IMPORT = re.compile(r"^(\s*from\s+)(\.+\w[\w.]*)(\s+import)", re.MULTILINE)
VERSION = re.compile(r"_v[0-9a-f]{8}$")
VERSIONED_FILE = re.compile(r"\w+_v[0-9a-f]{8}(_part)?\.py")


class Code(NamedTuple):
    """A pipeline's code: files that import each other from one folder."""

    version: str  # 8 hexadecimal digits
    texts: dict[str, str]  # by plain name, the pipeline's file first
    modules: tuple[str, ...]  # names of the modules it was read from

    def name(self, plain: str) -> str:
        """The name of a file, without its ending, as it stands in a repository."""
        return f"{plain}_v{self.version}"


def plain_name(module: str) -> str:
    """The name of a module's file without folder, ending and version."""
    return VERSION.sub("", module.rpartition(".")[2])


def read_code(pipeline_class: type[Any]) -> Code:
    """Reads the code of a pipeline.

    Args:
        pipeline_class: its classmethod `own_code`, where it has one, gives texts by plain name that
            stand in for those of the files.

    Raises:
        ValueError: a file that the pipeline imports itself imports a file that the pipeline does
            not; diffusers fetches only what the pipeline's file names.
    """
    source = sys.modules[pipeline_class.__module__]
    modules = (source, *_relative_imports(source))
    names = {module.__name__ for module in modules}
    for helper in modules[1:]:
        if unnamed := {module.__name__ for module in _relative_imports(helper)} - names:
            raise ValueError(
                f"{helper.__name__} imports {', '.join(sorted(unnamed))}; import it in "
                f"{source.__name__} too, so that it travels with the repository"
            )
    texts = {plain_name(module.__name__): _redirected(_text(module)) for module in modules}
    texts |= getattr(pipeline_class, "own_code", dict)()
    content = json.dumps(sorted(texts.items())).encode()
    version = hashlib.sha256(content).hexdigest()[:8]
    versioned = {name: _redirected(text, f"_v{version}") for name, text in texts.items()}
    return Code(version, versioned, tuple(module.__name__ for module in modules))


def code_files(pipeline_class: type[Any]) -> dict[str, str]:
    """The text of each code file at a repository's root, by file name; errors as `read_code`."""
    code = read_code(pipeline_class)
    return {f"{code.name(name)}.py": text for name, text in code.texts.items()}


def _text(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


def _relative_imports(module: ModuleType) -> list[ModuleType]:
    """The modules that a module's file imports relatively."""
    package = module.__name__.rpartition(".")[0]
    names = [match.group(2) for match in RELATIVE_IMPORT.finditer(_text(module))]
    return [sys.modules[resolve_name(name, package)] for name in dict.fromkeys(names)]


def _redirected(text: str, ending: str = "") -> str:
    """A file's text with every relative import pointing to a file beside it."""

    def redirect(match: re.Match[str]) -> str:
        return f"{match.group(1)}.{plain_name(match.group(2))}{ending}{match.group(3)}"

    return RELATIVE_IMPORT.sub(redirect, text)
