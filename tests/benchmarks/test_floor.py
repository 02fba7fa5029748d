"""The floor runs what a call ran, and nothing else."""

import torch
import torch.nn.functional as F
from torch import nn


def layers():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.GroupNorm(2, 4), nn.SiLU(), nn.Conv2d(4, 4, 3, padding=1)
    )


def test_it_replays_exactly_the_recorded_calls():
    from benchmarks.floor import Floor, record

    network, photo = layers(), torch.rand(2, 3, 8, 8).to(memory_format=torch.channels_last)
    query = torch.rand(1, 2, 5, 4)

    def work():
        F.scaled_dot_product_attention(query, query, query)
        return query @ query.transpose(-1, -2), network(photo)

    calls = record(work)
    attention, product, *convolutions = (call.function for call in calls)
    assert attention is F.scaled_dot_product_attention and "matmul" in product.__name__
    assert convolutions == [torch.conv2d] * 2
    assert record(Floor(calls)) == calls  # same functions, shapes, strides, options, in order
    strides = calls[2].arguments[0].stride
    assert strides == photo.stride()
    assert calls[2].arguments[1] is network[0].weight and calls[3].arguments[2] is network[3].bias


def test_what_is_no_convolution_product_or_attention_is_left_out():
    from benchmarks.floor import record

    assert record(lambda: F.silu(torch.rand(3)).sum() + F.group_norm(torch.rand(1, 4, 2), 2)) == []


def test_tensors_shown_many_times_over_can_be_replayed():
    from benchmarks.floor import Floor, record

    tokens = torch.rand(1, 3, 4).expand(5, -1, -1)
    weight = torch.rand(2, 4)
    calls = record(lambda: F.linear(tokens, weight))
    Floor(calls)()
    assert calls[0].arguments[0].stride == (0, 4, 1)
