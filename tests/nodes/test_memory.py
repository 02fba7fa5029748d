"""The host's memory: one network at a time, what fits, what does not, and interruption."""

import gc
import weakref

import pytest
import torch

from frr.pipelines.operations import OPERATIONS

ALL_ON = dict.fromkeys(OPERATIONS, "on")


def parts(memory, model):
    names = {patcher: part for part, patcher in model.patchers.items()}
    return [names[patcher] for patcher, _ in memory.loads]


def test_four_operations_fit_where_one_expert_does(restore, model, pictures, memory):
    expected = restore(pictures, model, **ALL_ON)[0]
    memory.reset()
    memory.budget = max(patcher.model_size() for patcher in model.get_models())
    assert torch.equal(restore(pictures, model, **ALL_ON)[0], expected)
    assert memory.largest <= memory.budget
    assert parts(memory, model) == list(model.patchers)  # router, experts, merger: each in turn


def test_only_what_is_needed_is_loaded(restore, model, pictures, memory):
    restore(pictures, model, **{**dict.fromkeys(ALL_ON, "off"), "smoothing": "on"})
    assert parts(memory, model) == ["router", "smoothing_expert", "shared_expert", "merger"]


def test_every_network_is_the_hosts(model):
    networks = len(model.pipeline.expert_names) + 2  # router and merger
    assert len(model.get_models()) == networks == len(model.patchers)
    for part, patcher in model.patchers.items():
        assert patcher.model.network is getattr(model.pipeline, part)
        assert not any(p.requires_grad for p in patcher.model.parameters())
        assert patcher.model.get_dtype() == torch.float32


def test_more_pictures_ask_for_more_room(restore, model, pictures, memory):
    restore(pictures[:1], model, **ALL_ON)
    one = [needed for _, needed in memory.loads]
    memory.reset()
    restore(pictures, model, **ALL_ON)
    assert [needed for _, needed in memory.loads] == [2 * needed for needed in one]


def test_a_long_clip_is_worked_on_in_parts(restore, model, memory):
    clip = torch.rand(12, 32, 32, 3)
    expected = restore(clip, model, **ALL_ON)[0]
    memory.reset()
    memory.total = 2 * 5 * model.bytes_for_picture("whitening_expert", 32, 32)
    assert torch.allclose(restore(clip, model, **ALL_ON)[0], expected, atol=1e-4)
    asked = [
        need for patcher, need in memory.loads if patcher is model.patchers["whitening_expert"]
    ]
    assert asked == [5 * model.bytes_for_picture("whitening_expert", 32, 32)]


def fail_beyond(monkeypatch, network, pictures, pixels=10**9):
    """The network runs out of memory on more pictures, or on larger ones."""
    prepare, seen = network.prepare, []

    def limited(photo, *rest):
        if len(photo) > pictures or photo[0, 0].numel() > pixels:
            raise torch.OutOfMemoryError("planted")
        seen.append(tuple(photo.shape))
        return prepare(photo, *rest)

    monkeypatch.setattr(network, "prepare", limited)
    return seen


def test_out_of_memory_halves_the_batch(restore, model, monkeypatch, memory):
    pictures = torch.rand(5, 32, 32, 3)
    expected = restore(pictures, model, **ALL_ON)[0]
    seen = fail_beyond(monkeypatch, model.pipeline.smoothing_expert, 2)
    memory.reset()
    result = restore(pictures, model, **ALL_ON)[0]
    assert [shape[0] for shape in seen] == [2, 2, 1]  # of 5, 3 and 2 at once only the last fit
    assert memory.emptied == 2
    assert torch.allclose(result, expected, atol=1e-4)


def test_then_the_tile(restore, model, monkeypatch):
    pictures = torch.rand(1, 256, 256, 3, generator=torch.Generator().manual_seed(2))
    given = {**dict.fromkeys(ALL_ON, "off"), "smoothing": "on", "working_size": 256}
    expected = restore(pictures, model, **given)[0]
    seen = fail_beyond(monkeypatch, model.pipeline.smoothing_expert, 1, 200 * 200)
    result = restore(pictures, model, **given)[0]
    assert {shape[2:] for shape in seen} == {(128, 128)} and len(seen) > 4
    change, wanted = result - pictures, expected - pictures
    assert (change - wanted).abs().mean() < 0.5 * wanted.abs().mean()


def test_then_a_clear_error(restore, model, pictures, monkeypatch):
    fail_beyond(monkeypatch, model.pipeline.smoothing_expert, 0)
    with pytest.raises(RuntimeError, match="even with one picture at a time"):
        restore(pictures, model, **ALL_ON)


def test_other_errors_come_through(restore, model, pictures, monkeypatch):
    def broken(*given):
        raise KeyError("planted")

    monkeypatch.setattr(model.pipeline.smoothing_expert, "prepare", broken)
    with pytest.raises(KeyError, match="planted"):
        restore(pictures, model, **ALL_ON)


def test_an_interrupt_is_honoured_within_one_step(
    restore, model, pictures, monkeypatch, memory, interrupted
):
    denoise, steps = model.pipeline.whitening_expert.denoise, []

    def watched(*given):
        steps.append(1)
        memory.interrupted = len(steps) == 3
        return denoise(*given)

    monkeypatch.setattr(model.pipeline.whitening_expert, "denoise", watched)
    with pytest.raises(interrupted):
        restore(pictures, model, steps=20, **ALL_ON)
    assert len(steps) == 3


def test_no_module_keeps_a_model(nodes, pictures, decisions, memory):
    import frr_tiny_pipeline  # the conftest's

    from frr.nodes.mofrr_model import MoFRRModel

    held = MoFRRModel(frr_tiny_pipeline.build(), "tiny")
    watched = [weakref.ref(held), *(weakref.ref(p.model) for p in held.get_models())]
    nodes["MoFRRRoute"].execute(pictures, held, 0, "pictures")
    memory.reset()
    del held
    gc.collect()
    assert [each() for each in watched] == [None] * len(watched)
