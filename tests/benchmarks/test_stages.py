"""Every moment, and every operation, of a call belongs to one stage."""

import itertools

import pytest
import torch
from torch import nn

from frr.training.publishing.assemble_mofrr import fresh_pipeline


class Toy:
    def outer(self):
        return self.inner() + self.inner()

    def inner(self):
        return 1


def test_the_innermost_stage_gets_the_time():
    from benchmarks.stages import REST, Meter, Stage, metered

    toy, ticks = Toy(), itertools.count()
    meter = Meter(lambda: next(ticks))
    with metered([Stage("outer", toy, "outer"), Stage("inner", toy, "inner")], meter):
        assert toy.outer() == 2
    # Read at: start, outer begins, inner begins, ends, begins, ends, outer ends, end.
    assert meter.totals() == {REST: 2, "outer": 3, "inner": 2}
    assert vars(toy) == {}  # nothing is left behind


def test_a_stage_that_fails_is_left():
    from benchmarks.stages import Meter, Stage, metered

    class Broken:
        def fail(self):
            raise ValueError("broken")

    broken = Broken()
    with (
        pytest.raises(ValueError, match="broken"),
        metered([Stage("x", broken, "fail")], Meter(lambda: 0)),
    ):
        broken.fail()
    assert vars(broken) == {}


def test_macs_of_convolution_product_and_attention_worked_by_hand():
    from benchmarks.stages import mac_counter

    convolution = nn.Conv2d(3, 8, 3, padding=1, bias=False).requires_grad_(False)
    linear = nn.Linear(6, 10, bias=False).requires_grad_(False)
    query, key = torch.rand(1, 2, 5, 4), torch.rand(1, 2, 7, 4)
    with torch.no_grad():
        with mac_counter() as counter:
            convolution(torch.rand(2, 3, 16, 12))
        assert counter.get_total_flops() / 2 == 2 * 16 * 12 * 8 * 3 * 9
        with mac_counter() as counter:
            linear(torch.rand(5, 6))
        assert counter.get_total_flops() / 2 == 5 * 6 * 10
        with mac_counter() as counter:
            nn.functional.scaled_dot_product_attention(query, key, key)
        assert counter.get_total_flops() / 2 == 2 * (5 * 7 * 4 + 5 * 7 * 4)


def test_the_stages_of_a_pipeline_add_up_to_all_its_macs():
    from benchmarks.matrix import macs_and_peak
    from benchmarks.stages import REST, by_part, mac_counter, modules_of, stages_of
    from benchmarks.workloads import restoring

    pipe = fresh_pipeline()
    pipe.set_progress_bar_config(disable=True)
    for network in modules_of(pipe):
        network.requires_grad_(False)
    work = restoring(pipe, torch.rand(1, 3, 64, 64), {"whitening", "face_slimming"})
    macs, peak = macs_and_peak(work, stages_of(pipe))
    with torch.no_grad(), mac_counter() as counter:
        work()
    assert sum(macs.values()) == counter.get_total_flops() / 2
    assert macs[REST] == macs["whitening: wavelets"] == 0
    assert macs["whitening: denoiser"] == macs["face_slimming: denoiser"] > 0
    assert "smoothing: denoiser" not in macs and "face_slimming: warp head" in macs
    assert by_part(macs)["denoiser"] == 2 * macs["whitening: denoiser"]
    assert peak > 64 * 64 * 3 * 4
