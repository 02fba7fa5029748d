"""The mean of networks that were trained from one beginning, often better than each of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...models.bpfre.retoucher import BlemishRetoucher
from ...models.mofrr.expert import WaveFRRExpert
from ...models.mofrr.merger import ExpertMerger
from ...models.mofrr.router import RetouchRouter
from ...models.mofrr.shared import SharedExpert
from ..run_folder import load_trained, model_folder, read_checkpoint

NETWORKS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (RetouchRouter, WaveFRRExpert, SharedExpert, ExpertMerger, BlemishRetoucher)
}


class Weights(NamedTuple):
    """A network's weights, and what it is made with."""

    kind: str
    config: dict[str, Any]
    state: Mapping[str, Tensor]

    def build(self) -> Any:
        """The network."""
        network = NETWORKS[self.kind](**self.config)
        network.load_state_dict(self.state)
        return network


def average(sources: Sequence[Path | str], shares: Sequence[float] | None = None) -> Any:
    """A network whose weights are the mean of others'.

    Args:
        sources: run or model folders, or checkpoint.pt files of runs (their averaged weights).
        shares: what each counts, positive; None counts all alike.

    Returns:
        The network. Whole numbers in its state are those of the first source.

    Raises:
        ValueError: fewer than two sources, shares that do not fit, or networks that differ.
    """
    if len(sources) < 2:
        raise ValueError(f"an average needs at least two networks, got {len(sources)}")
    shares = [1.0] * len(sources) if shares is None else list(shares)
    if len(shares) != len(sources) or not all(share > 0 for share in shares):
        raise ValueError(f"expected {len(sources)} positive shares, got {shares}")
    parts = [read_weights(Path(source)) for source in sources]
    for source, part in zip(sources[1:], parts[1:], strict=True):
        _check_alike(parts[0], part, f"{sources[0]} and {source}")
    state = {}
    for name, first in parts[0].state.items():
        if not first.is_floating_point():
            state[name] = first
            continue
        terms = [part.state[name].double() * s for part, s in zip(parts, shares, strict=True)]
        state[name] = (torch.stack(terms).sum(0) / sum(shares)).to(first.dtype)
    return parts[0]._replace(state=state).build()


def read_weights(source: Path) -> Weights:
    """The weights of a run or model folder, or the averaged ones of a checkpoint.

    Raises:
        ValueError: it holds none, or those of a network that is not this package's.
    """
    if source.is_file():
        return _read_checkpoint(source)
    folder = model_folder(source)
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    _check_known(kind, folder)
    network = load_trained(NETWORKS[kind], folder)
    return Weights(kind, _own(network.config), network.state_dict())


def _read_checkpoint(path: Path) -> Weights:
    state = read_checkpoint(path)
    if "network" not in state:
        raise ValueError(f"{path} does not say which network it is of: train a step more with it")
    note = json.loads(state["network"])
    _check_known(note["class"], path)
    network = Weights(note["class"], _own(note["config"]), state["model"]).build()
    averaged = state["average"]["shadow_params"]
    with torch.no_grad():
        for parameter, mean in zip(network.parameters(), averaged, strict=True):
            parameter.copy_(mean)
    return Weights(note["class"], _own(note["config"]), network.state_dict())


def _own(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the constructor among a config's entries."""
    return {name: value for name, value in config.items() if not name.startswith("_")}


def _check_known(kind: object, source: Path) -> None:
    if kind not in NETWORKS:
        raise ValueError(f"{source} holds a {kind}; expected one of {', '.join(NETWORKS)}")


def _check_alike(first: Weights, other: Weights, names: str) -> None:
    """Raises ValueError, saying in what they differ, unless two networks are of one make."""
    if first.kind != other.kind:
        raise ValueError(f"{names} are different networks: {first.kind} and {other.kind}")
    # Thresholds are set after training, so they may differ.
    for name in {*first.config, *other.config} - {"thresholds"}:
        one, two = (json.dumps(each.config.get(name)) for each in (first, other))
        if one != two:
            raise ValueError(f"{names} were made with different {name}: {one} and {two}")
