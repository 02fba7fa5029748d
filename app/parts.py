"""The page's own components: a photo that stays in the page, a before / after slider, bars.

They are plain `gr.HTML` whose values are data. Gradio writes a file beside the source of every
class that is derived from a component, so none is.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from .pictures import MAX_BYTES


@cache
def asset(name: str) -> str:
    """The text of a file in `assets`."""
    return (Path(__file__).parent / "assets" / name).read_text(encoding="utf-8")


def photo(**given: Any) -> gr.HTML:
    """A photo that the page holds as a data URL and gives with each call."""
    return gr.HTML(
        label="Photo",
        html_template=asset("photo.html"),
        js_on_load=asset("photo.js"),
        max_bytes=MAX_BYTES,
        **given,
    )


def comparison(**given: Any) -> gr.HTML:
    """A `work.Comparison` under a slider."""
    return gr.HTML(
        label="Before and after",
        html_template=asset("comparison.html"),
        js_on_load=asset("comparison.js"),
        **given,
    )


def verdict(**given: Any) -> gr.HTML:
    """A list of `work.Bar`."""
    return gr.HTML(label="Verdict", html_template=asset("verdict.html"), js_on_load=None, **given)
