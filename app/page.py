"""The page: two tabs over a `Worker`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from ..pipelines.operations import label
from . import parts, words
from .pictures import as_png
from .work import Worker

WAITING = 16
"""Calls that may wait; photos are worked on one after the other."""


def build(worker: Worker, examples: Mapping[str, Mapping[str, Any]]) -> gr.Blocks:
    """The page.

    Args:
        worker: what does the work.
        examples: "restore" and "retouch" -> name -> a PIL picture to try it on.
    """
    with gr.Blocks(title=words.TITLE, analytics_enabled=False, delete_cache=(60, 60)) as page:
        gr.Markdown(words.INTRODUCTION)
        gr.Markdown(words.LIMITS, elem_classes="frr-limits")
        with gr.Tab("Restore"):
            _restore_tab(worker, examples["restore"])
        with gr.Tab("Retouch"):
            _retouch_tab(worker, examples["retouch"])
    page.queue(max_size=WAITING, default_concurrency_limit=1)
    return page


def _restore_tab(worker: Worker, examples: Mapping[str, Any]) -> None:
    names = list(worker.operations)
    with gr.Row():
        with gr.Column(scale=2):
            photo = _photo("restore", examples)
            button = gr.Button("Restore", variant="primary", elem_id="frr-restore")
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
            gr.Markdown("Say what to undo where you know it; *auto* leaves it to the model.")
            switches, degrees = zip(*(_override(name) for name in names), strict=True)
        with gr.Column(scale=3):
            comparison = parts.comparison(elem_id="frr-restored")
            verdict = parts.verdict(elem_id="frr-verdict")

    def restore(data: str, strength: float, *settings: Any) -> tuple[Any, Any]:
        chosen = dict(zip(names, settings[: len(names)], strict=True))
        known = dict(zip(names, settings[len(names) :], strict=True))
        wishes = {name: words.SWITCHES[text] for name, text in chosen.items()}
        return worker.restore(data, strength, wishes, {k: v for k, v in known.items() if v > 0})

    inputs = {"photo": photo, "strength": strength, **dict(zip(names, switches, strict=True))}
    inputs |= {f"{name}_degree": each for name, each in zip(names, degrees, strict=True)}
    _on_click(button, restore, inputs, [comparison, verdict])
    _forget(photo, comparison, verdict)


def _retouch_tab(worker: Worker, examples: Mapping[str, Any]) -> None:
    with gr.Row():
        with gr.Column(scale=2):
            photo = _photo("retouch", examples)
            button = gr.Button("Retouch", variant="primary", elem_id="frr-retouch")
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
            kinds = gr.CheckboxGroup(
                list(worker.kinds),
                value=list(worker.kinds),
                label="What is healed",
                visible=bool(worker.kinds),
            )
        with gr.Column(scale=3):
            comparison = parts.comparison(elem_id="frr-retouched")
            findings = gr.JSON(label="Regions healed", visible="hidden")

    def retouch(data: str, strength: float, kinds: list[str]) -> tuple[Any, Any]:
        return worker.retouch(data, strength, kinds)

    inputs = {"photo": photo, "strength": strength, "kinds": kinds}
    _on_click(button, retouch, inputs, [comparison, findings])
    _forget(photo, comparison)


def _photo(tab: str, examples: Mapping[str, Any]) -> gr.HTML:
    """The place for a photo, and buttons that put an example there."""
    photo = parts.photo(elem_id=f"frr-photo-{tab}")
    with gr.Row():
        for name, picture in examples.items():
            gr.Button(f"Example: {name}", size="sm").click(
                _giving(as_png(picture)), outputs=photo, api_visibility="private"
            )
    return photo


def _override(name: str) -> tuple[gr.Radio, gr.Slider]:
    """An operation's switch, and its degree where that is known."""
    said = label(name).capitalize()
    with gr.Row():
        switch = gr.Radio(
            list(words.SWITCHES),
            value=next(iter(words.SWITCHES)),
            label=said,
            scale=2,
            min_width=260,
            elem_id=f"frr-switch-{name}",
        )
        degree = gr.Slider(0, 1, 0, step=0.05, label="Degree, 0: auto", min_width=120)
    return switch, degree


def _forget(photo: gr.HTML, *results: gr.HTML) -> None:
    """Take an earlier photo's results off the page once another photo is chosen."""
    nothing = f"() => {json.dumps([None] * len(results))}"
    photo.change(None, outputs=list(results), js=nothing, api_visibility="private")


def _giving(value: str) -> Callable[[], str]:
    return lambda: value


def _on_click(
    button: gr.Button, work: Callable[..., Any], inputs: Mapping[str, Any], outputs: list[Any]
) -> None:
    """Run `work`, for clients under its own name; what a person can mend is told in words."""

    def told(*given: Any) -> Any:
        try:
            return work(*given)
        except (ValueError, TypeError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        except (RuntimeError, MemoryError) as error:
            raise gr.Error(f"The photo could not be worked on: {error}") from error

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in inputs]
    named: Any = told
    named.__signature__ = inspect.Signature(parameters)  # what clients name
    button.click(
        named,
        list(inputs.values()),
        outputs,
        api_name=work.__name__,
        show_progress_on=outputs[0],
        concurrency_id="photo",
        concurrency_limit=1,
    )
