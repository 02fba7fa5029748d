"""Beside what people restore faces with: `python -m benchmarks.peers`, from the checkout's root.

Times the networks of GFPGAN v1.4, RestoreFormer and CodeFormer, with random weights, beside the
shipped models on one photo of 512 px and on eight, in turns, in one run: only what they cost is
compared, nothing of what they make of a photo. They solve another task, blind restoration of bad
photos, so that the ratios say what undoing retouching costs, not who restores better. It needs
`pip install spandrel spandrel_extra_arches` and their torchvision; what is missing is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from torch import Tensor, nn

from frr import BPFRePipeline, hub
from frr.pipelines.freed_memory import keep_freed_memory

from .activations import Peak
from .sparse import MEBIBYTE, ROOT, bytes_of, photo
from .stages import mac_counter, modules_of
from .timing import Clock, clock_of, take_turns
from .workloads import forced, make_pipeline, restoring

SIDE = 512
OPERATIONS = (0, 1, 2, 4)
REFERENCE = "MoFRR, 2 operations"
MARKS = ("<!-- peers -->", "<!-- end of peers -->")
NO_SEEDVR2 = "SeedVR2 is left out: no package that pip installs holds its network"


class Peer(NamedTuple):
    """Something to time.

    Attributes:
        work: what it does for B 3 H W in [0, 1].
        weights: bytes of its parameters and buffers.
    """

    work: Callable[[Tensor], Any]
    weights: int


class Row(NamedTuple):
    """What one of them costs.

    Attributes:
        seconds: of one photo, by photos at a time.
        macs: multiply-accumulates of one photo.
        peak: bytes of weights, and of tensors that are alive at once for one photo.
    """

    name: str
    seconds: Mapping[int, float]
    macs: float
    peak: int


def ours(device: torch.device) -> Iterator[tuple[str, Peer]]:
    """The shipped models."""
    pipe = make_pipeline("tiny", device)
    weights = sum(bytes_of(network) for network in modules_of(pipe))
    for count in OPERATIONS:
        names = forced(pipe, count)
        work = lambda image, names=names: restoring(pipe, image, names)()  # noqa: E731
        yield f"MoFRR, {count} operation{'s' * (count != 1)}", Peer(work, weights)
    bpfre: Any = BPFRePipeline.from_pretrained(hub.folder(hub.BPFRE)).to(device)
    bpfre.set_progress_bar_config(disable=True)
    weights = sum(bytes_of(network) for network in modules_of(bpfre))
    yield "BPFRe", Peer(lambda image: bpfre(image, output_type="pt"), weights)


def peers(device: torch.device, say: Callable[[str], None]) -> Iterator[tuple[str, Peer]]:
    """The others' networks, at the settings of their published weights."""
    for name, make in {"GFPGAN v1.4": _gfpgan, "RestoreFormer": _restoreformer}.items():
        yield from _peer(name, make, device, say)
    yield from _peer("CodeFormer", _codeformer, device, say)
    say(NO_SEEDVR2)


def _peer(
    name: str, make: Callable[[], nn.Module], device: torch.device, say: Callable[[str], None]
) -> Iterator[tuple[str, Peer]]:
    try:
        torch.manual_seed(0)
        network = make().to(device).eval().requires_grad_(False)
    except (ImportError, RuntimeError) as error:  # torchvision of another torch is one
        say(f"{name} is left out: {str(error).splitlines()[0]}")
        return
    yield name, Peer(lambda image: network(image * 2 - 1), bytes_of(network))


def _gfpgan() -> nn.Module:
    from spandrel.architectures.GFPGAN import GFPGAN

    options = {"num_style_feat": 512, "channel_multiplier": 2, "num_mlp": 8}
    flags = {"input_is_latent": True, "different_w": True, "sft_half": True}
    return GFPGAN(out_size=SIDE, decoder_load_path=None, fix_decoder=False, **options, **flags)


def _restoreformer() -> nn.Module:
    """The network of RestoreFormer; RestoreFormer++ has cross attention at one more scale."""
    from spandrel.architectures.RestoreFormer import RestoreFormer

    sizes = {"n_embed": 1024, "embed_dim": 256, "z_channels": 256, "resolution": SIDE}
    return RestoreFormer(**sizes, ch_mult=(1, 2, 2, 4, 4, 8), attn_resolutions=(16,), head_size=8)


def _codeformer() -> nn.Module:
    from spandrel_extra_arches.architectures.CodeFormer import CodeFormer

    return CodeFormer(dim_embd=512, n_head=8, n_layers=9, codebook_size=1024)


@torch.no_grad()
def measure(
    jobs: Mapping[str, Peer], batches: Sequence[int], repeats: int, clock: Clock, image: Tensor
) -> list[Row]:
    """What each costs; every size of batch is timed in turns."""
    seconds: dict[str, dict[int, float]] = {name: {} for name in jobs}
    for batch in batches:
        images = image.repeat(batch, 1, 1, 1)
        works = {name: (lambda job=job, i=images: job.work(i)) for name, job in jobs.items()}
        many = batch > 1
        for name, each in take_turns(works, 1 if many else repeats, clock, int(not many)).items():
            seconds[name][batch] = each / batch
    return [
        Row(name, each, _macs(jobs[name], image), _peak(jobs[name], image))
        for name, each in seconds.items()
    ]


def _macs(job: Peer, image: Tensor) -> float:
    with mac_counter() as counter:
        job.work(image)
    return counter.get_total_flops() / 2


def _peak(job: Peer, image: Tensor) -> int:
    with Peak() as peak:
        job.work(image)
    return job.weights + peak.most


def table(rows: Sequence[Row], batches: Sequence[int]) -> str:
    """Markdown: a line for each, times as ratios to two operations undone, too."""
    base = next(row for row in rows if row.name == REFERENCE)
    many = [f"images/s at batch {batch}" for batch in batches]
    heads = ("", "seconds a photo", f"times {REFERENCE}", "GMACs", "peak memory", *many)
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        first = row.seconds[batches[0]]
        cells = (
            row.name,
            f"{first:.3f}",
            f"{first / base.seconds[batches[0]]:.2g}",
            f"{row.macs / 1e9:.1f}",
            f"{row.peak / MEBIBYTE:.0f} MiB",
            *(f"{1 / row.seconds[batch]:.2f}" for batch in batches),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Folder for peers.json and peers.md.")
@click.option("--batches", default="1,8", show_default=True, help="Photos at a time.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Of torch. [default: torch's]")
@click.option("--clock", type=click.Choice(["auto", "cpu", "wall"]), default="auto")
@click.option("--device", help="[default: cuda where there is one, else cpu]")
@click.option("--readme", is_flag=True, help="Renew the table in README.md, too.")
def main(out: Path | None, batches: str, readme: bool, **given: Any) -> None:
    """Time ours and the others' in one run."""
    from .run import conditions, put_between_marks

    keep_freed_memory()
    if given["threads"]:
        torch.set_num_threads(given["threads"])
    device = torch.device(given["device"] or ("cuda" if torch.cuda.is_available() else "cpu"))
    clock, counts = clock_of(device, given["clock"]), [int(item) for item in batches.split(",")]
    jobs = {**dict(ours(device)), **dict(peers(device, click.echo))}
    rows = measure(jobs, counts, given["repeats"], clock, photo(SIDE).to(device))
    about = f"{SIDE} px; the others' weights are random; {conditions(device, clock)}."
    text = f"{table(rows, counts)}\n\n{about}"
    click.echo(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        record = {"about": about, "rows": [row._asdict() for row in rows]}
        (out / "peers.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        (out / "peers.md").write_text(f"# Beside others\n\n{text}\n", encoding="utf-8")
    if readme:
        put_between_marks(ROOT / "README.md", text, MARKS)


if __name__ == "__main__":
    main()
