"""`frr app`: restore and retouch photos in a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .. import hub
from . import options
from .demo import portrait, retouch_portrait

if TYPE_CHECKING:
    from PIL import Image


@click.command(short_help="Restore and retouch photos in a browser.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, help="0: a free one.")
@click.option(
    "--name", "names", multiple=True, help="Another host name under which pages may call it."
)
@click.option("--bpfre", default=hub.BPFRE, show_default=True, help="Model that retouches.")
@options.model
def app(
    host: str,
    port: int,
    names: Sequence[str],
    bpfre: str,
    model: str,
    device: str | None,
    dtype: str,
) -> None:
    """Serve a page that restores and retouches photos, to this machine alone unless told else.

    Photos are worked on in memory; nothing is written to a disk. Stop it with Ctrl-C.
    """
    try:
        from ..app.page import build
        from ..app.serve import serve
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}: pip install 'frr[app]'") from error
    from ..app.work import Worker

    worker = Worker(
        options.load_pipeline(model, device, dtype), options.load_bpfre(bpfre, device, dtype)
    )
    page = build(worker, example_pictures())
    click.echo(f"serving http://{host}:{port or '(a free port)'}", err=True)
    serve(page, host, port, names)


def example_pictures() -> dict[str, dict[str, Image.Image]]:
    """Pictures to try each tab on: a public-domain portrait, retouched or painted by ours."""
    import numpy as np

    from ..pipelines.photos.drawings import to_picture, to_tensor
    from ..pipelines.simulate.blemishes.painter import paint, sample_blemishes

    face = portrait(512)
    blemished = paint(to_tensor(face), [sample_blemishes(np.random.default_rng(3))], by_kind=False)
    return {
        "restore": {"retouched": retouch_portrait(face), "untouched": face},
        "retouch": {"blemishes": to_picture(blemished.image[0])},
    }
