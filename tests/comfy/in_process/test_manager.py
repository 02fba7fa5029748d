"""ComfyUI's own memory manager, progress and interrupt with the pack's networks."""

import comfy.model_management as management
import comfy.utils
import pytest
import torch

ALL_ON = dict.fromkeys(("whitening", "smoothing", "face_slimming", "eye_enlarging"), "on")


def loaded(model) -> set[str]:
    """The networks that have weights on the card."""
    return {part for part, patcher in model.patchers.items() if patcher.loaded_size() > 0}


def test_networks_are_the_hosts_own_patchers(model):
    kinds = {type(patcher) for patcher in model.get_models()}
    assert len(kinds) == 1 and kinds.pop().__module__ == "comfy.model_patcher"
    assert not loaded(model)


def test_only_what_is_needed_is_loaded(model, restore, pictures):
    restore(pictures, smoothing="on")
    assert loaded(model) == {"router", "smoothing_expert"}
    assert all(
        model.patchers[part].loaded_size() == model.patchers[part].model_size()
        for part in loaded(model)
    )


def test_memory_for_one_expert_is_enough_for_four(model, restore, pictures, card):
    expected = restore(pictures, **ALL_ON)[0]
    everything = sum(patcher.model_size() for patcher in model.get_models())
    card.used()  # looks once more: the manager last asked before the last network came
    assert card.largest > 0.9 * everything, "with room enough all stay on the card"
    management.unload_all_models()
    largest = max(patcher.model_size() for patcher in model.get_models())
    card.budget, card.largest = int(largest * 1.11), 0  # the manager wants a tenth to spare
    needs = [model.bytes_for_picture(part, 64, 64) for part in model.patchers]
    card.budget += 2 * max(needs)
    result = restore(pictures, **ALL_ON)[0]
    assert torch.equal(result, expected)
    assert 0 < card.largest <= card.budget < everything


def test_a_network_that_was_evicted_in_part_is_whole_again(model, restore, pictures):
    expected = restore(pictures, smoothing="on")[0]
    patcher = model.patchers["smoothing_expert"]
    freed = patcher.partially_unload(patcher.offload_device, patcher.model_size() // 2)
    assert freed > 0 and patcher.loaded_size() < patcher.model_size()
    assert torch.equal(restore(pictures, smoothing="on")[0], expected)
    assert patcher.loaded_size() == patcher.model_size()


def test_free_gives_everything_back(model, restore, pictures, card):
    expected = restore(pictures, **ALL_ON)[0]
    management.unload_all_models()
    assert not loaded(model) and card.used() == 0
    assert torch.equal(restore(pictures, **ALL_ON)[0], expected)


def test_no_memory_at_all_still_loads_whole(model, restore, pictures, monkeypatch):
    monkeypatch.setattr(management, "vram_state", management.VRAMState.NO_VRAM)
    monkeypatch.setattr(management, "is_device_cpu", lambda device: False)
    restore(pictures, smoothing="on")
    patcher = model.patchers["smoothing_expert"]
    assert patcher.loaded_size() == patcher.model_size()


def test_out_of_memory_halves_the_batch(model, restore, pictures, monkeypatch):
    expected = restore(pictures, smoothing="on")[0]
    expert = model.pipeline.smoothing_expert
    answer, seen = expert.answer, []

    def limited(photo, *rest):
        if len(photo) > 1:
            raise torch.OutOfMemoryError("planted")
        seen.append(len(photo))
        return answer(photo, *rest)

    monkeypatch.setattr(expert, "answer", limited)
    assert torch.allclose(restore(pictures, smoothing="on")[0], expected, atol=1e-4)
    assert seen == [1, 1]


def test_interrupt_is_honoured_within_one_step(model, restore, pictures, monkeypatch):
    expert = model.pipeline.smoothing_expert
    answer, calls = expert.answer, []

    def watched(*given):
        calls.append(1)
        management.interrupt_current_processing()
        return answer(*given)

    monkeypatch.setattr(expert, "answer", watched)
    with pytest.raises(management.InterruptProcessingException):
        restore(pictures, smoothing="on")
    assert len(calls) == 1
    assert not management.processing_interrupted()


def test_progress_reaches_the_host(restore, pictures, monkeypatch):
    told = []

    def hook(value, total, preview, node_id=None):
        told.append((value, total, preview))

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    restore(pictures, smoothing="on", steps=3)
    assert told[-1][0] == told[-1][1] == 3 + 1
    assert not any(preview is not None for _, _, preview in told)  # they answer at once


def test_the_retoucher_is_the_hosts(retoucher, retouch, restore, model, pictures, card):
    patcher = retoucher.patchers["retoucher"]
    assert type(patcher) is type(model.get_models()[0]) and not loaded(retoucher)
    expected = retouch(pictures)
    assert not torch.equal(expected[0], pictures)
    assert patcher.loaded_size() == patcher.model_size()
    largest = max(each.model_size() for each in model.get_models())
    card.budget = largest + patcher.model_size() // 2
    restore(pictures, **ALL_ON)
    assert patcher.loaded_size() < patcher.model_size(), "the experts needed its room"
    card.budget = 2**40
    again = retouch(pictures)
    for first, second in zip(expected.args, again.args, strict=True):
        assert first == second if isinstance(first, str) else torch.equal(first, second)
    management.unload_all_models()
    assert not loaded(retoucher) and card.used() == 0


def test_out_of_memory_halves_the_retouchers_batch(retoucher, retouch, pictures, monkeypatch):
    expected = retouch(pictures)[0]
    network = retoucher.pipeline.retoucher
    forward, seen = network.forward, []

    def limited(photo, **options):
        if len(photo) > 1:
            raise torch.OutOfMemoryError("planted")
        seen.append(len(photo))
        return forward(photo, **options)

    monkeypatch.setattr(network, "forward", limited)
    assert torch.allclose(retouch(pictures)[0], expected, atol=1e-4)
    assert seen == [1, 1]


def test_an_interrupt_stops_before_the_next_window(retoucher, retouch, monkeypatch):
    network = retoucher.pipeline.retoucher
    forward, seen = network.forward, []

    def watched(photo, **options):
        seen.append(len(photo))
        if len(seen) == 2:
            management.interrupt_current_processing()
        return forward(photo, **options)

    monkeypatch.setattr(network, "forward", watched)
    with pytest.raises(management.InterruptProcessingException):
        retouch(torch.rand(1, 1200, 3000, 3), working_size=1200)
    assert len(seen) == 2 and not management.processing_interrupted()
