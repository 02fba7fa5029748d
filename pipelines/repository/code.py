"""The code that travels with a pipeline's weights: the pipeline's file and all that it needs.

In the package the files stand in folders; in a repository they stand side by side, and a file's
folder has become the beginning of its name: `pipelines/mofrr/edits.py` is `mofrr_edits_v*.py`
there. The digits are of a digest of all of the code: the remote code of a process shares one folder
and one package, and a module that was imported once is not read again. So repositories of different
versions never meet, and equal ones share their classes.

diffusers fetches a pipeline's file and the files that this one names, from a folder no further. The
files that only those need are therefore named at the end of the pipeline's file. From the Hub it
follows every file's imports, and without memory: by all paths there are, thousands for some fifty
files. So only the pipeline's file is written in the way that its pattern knows (`from .x import`),
all others as `from.x import`.
"""

import hashlib
import importlib
import json
import re
import sys
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

ROOMS = ("models", "pipelines")
RELATIVE_IMPORT = re.compile(r"^(\s*from\s*)(\.+\w[\w.]*)(\s+import)", re.MULTILINE)
VERSION = re.compile(r"_v[0-9a-f]{8}$")
NAMED_TOO = "\n# Files that the ones above import: diffusers fetches only what this file names.\n"


class Code(NamedTuple):
    """A pipeline's code: files that import each other from one folder."""

    version: str  # 8 hexadecimal digits
    texts: dict[str, str]  # by flat name, the pipeline's file first
    modules: tuple[str, ...]  # names of the modules it was read from

    def name(self, flat: str) -> str:
        """The name of a file, without its ending, as it stands in a repository."""
        return f"{flat}_v{self.version}"


def flat_name(module: str) -> str:
    """The name of a module's file where all stand side by side, without ending and version.

    What follows the room, joined by _: `frr.pipelines.mofrr.edits` is `mofrr_edits`.
    """
    parts = module.split(".")
    rooms = [i for i, part in enumerate(parts[:-1]) if part in ROOMS]
    return VERSION.sub("", "_".join(parts[rooms[-1] + 1 :] if rooms else parts[-1:]))


def read_code(pipeline_class: type[Any]) -> Code:
    """Reads the code of a pipeline.

    Args:
        pipeline_class: its classmethod `own_code`, where it has one, gives texts by flat name that
            stand in for those of the files.

    Raises:
        ValueError: two files have the same flat name.
    """
    source = sys.modules[pipeline_class.__module__]
    modules = _all_imported(source)
    texts = {flat_name(each.__name__): _flattened(each, each is source) for each in modules}
    if len(texts) < len(modules):
        names = sorted(module.__name__ for module in modules)
        raise ValueError(f"{', '.join(names)}: two of these have one name where all lie flat")
    texts[flat_name(source.__name__)] += _names_of_the_rest(source, modules)
    texts |= getattr(pipeline_class, "own_code", dict)()
    content = json.dumps(sorted(texts.items())).encode()
    version = hashlib.sha256(content).hexdigest()[:8]
    versioned = {name: _versioned(text, version) for name, text in texts.items()}
    return Code(version, versioned, tuple(module.__name__ for module in modules))


def code_files(pipeline_class: type[Any]) -> dict[str, str]:
    """The text of each code file at a repository's root, by file name; errors as `read_code`."""
    code = read_code(pipeline_class)
    return {f"{code.name(name)}.py": text for name, text in code.texts.items()}


def _all_imported(source: ModuleType) -> list[ModuleType]:
    """A module and all that it needs of its package, each once, itself first."""
    found = {source.__name__: source}
    waiting = [source]
    while waiting:
        for module in _relative_imports(waiting.pop()):
            if module.__name__ not in found:
                found[module.__name__] = module
                waiting.append(module)
    first, *rest = found.values()
    return [first, *sorted(rest, key=lambda module: flat_name(module.__name__))]


def _names_of_the_rest(source: ModuleType, modules: list[ModuleType]) -> str:
    """The end of the pipeline's file: the files that it needs but does not import itself."""
    named = {module.__name__ for module in _relative_imports(source)} | {source.__name__}
    rest = [flat_name(each.__name__) for each in modules if each.__name__ not in named]
    lines = [f"from .{name} import __doc__ as _{name}\n" for name in rest]
    return NAMED_TOO + "".join(lines) if lines else ""


def _text(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


def _relative_imports(module: ModuleType) -> list[ModuleType]:
    """The modules that a module's file imports relatively."""
    package = module.__name__.rpartition(".")[0]
    names = [match.group(2) for match in RELATIVE_IMPORT.finditer(_text(module))]
    return [importlib.import_module(resolve_name(name, package)) for name in dict.fromkeys(names)]


def _flattened(module: ModuleType, followed: bool) -> str:
    """A module's text with every relative import pointing to a file beside it.

    Args:
        module: in the package, or in a repository.
        followed: whether diffusers is to find the imports.
    """
    package = module.__name__.rpartition(".")[0]
    space = " " if followed else ""

    def flatten(match: re.Match[str]) -> str:
        name = flat_name(resolve_name(match.group(2), package))
        return f"{match.group(1).rstrip(' ')}{space}.{name}{match.group(3)}"

    return RELATIVE_IMPORT.sub(flatten, _text(module))


def _versioned(text: str, version: str) -> str:
    """A flattened text whose imports name the files of a version."""
    return RELATIVE_IMPORT.sub(rf"\g<1>\g<2>_v{version}\g<3>", text)
