"""The weights that ship inside the package: Hub-format folders, read where they lie."""

from pathlib import Path

DEFAULT = "mofrr-tiny"
BPFRE = "bpfre-tiny"


def folder(name: str = DEFAULT) -> Path:
    """Return the path of an embedded model folder.

    Raises:
        FileNotFoundError: there is no such folder; the message lists those there are.
    """
    home = Path(__file__).parent
    embedded = sorted(index.parent.name for index in home.glob("*/model_index.json"))
    if name not in embedded:
        raise FileNotFoundError(
            f"no embedded model named {name!r} (embedded here: {', '.join(embedded) or 'none'}); "
            "give the path of a model folder instead"
        )
    return home / name
