"""Serving the page."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
from starlette.middleware import Middleware

from .guard import FRAMES, Guard
from .parts import asset
from .pictures import MAX_BYTES

LOCAL = "127.0.0.1"
LIMIT = MAX_BYTES * 4 // 3 + 2**16
"""Bytes of a request: a photo as a data URL, and settings."""
SPACES = f"{FRAMES} https://huggingface.co https://*.hf.space"


def serve(
    page: gr.Blocks,
    host: str = LOCAL,
    port: int | None = None,
    names: Sequence[str] = (),
    block: bool = True,
) -> str:
    """Serve a page that `build` made, and return its address.

    Args:
        page: the page.
        host: address to listen on.
        port: 0 or None takes a free one.
        names: host names of the server beside `host`; given, the page may stand in a Space.
        block: whether to wait until the server is stopped.

    Raises:
        OSError: the port is taken.
    """
    local = host in (LOCAL, "localhost", "::1")
    frames = SPACES if names else FRAMES
    guard = Middleware(Guard, local=local, names=names, limit=LIMIT, frames=frames)
    _, address, _ = page.launch(
        server_name=host,
        server_port=port or None,
        app_kwargs={"middleware": [guard]},
        theme=gr.themes.Default(font="system-ui", font_mono="monospace"),
        css=asset("page.css"),
        max_file_size=MAX_BYTES,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        share=False,
        ssr_mode=False,
        quiet=True,
        prevent_thread_lock=True,
    )
    if block:
        page.block_thread()
    return address
