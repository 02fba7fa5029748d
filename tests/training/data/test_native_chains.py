"""Chains: what the versions of a photo share, and in what they differ."""

import json
import pickle
from concurrent.futures import Future
from itertools import permutations

import numpy as np
import pytest
import torch
from alike import assert_alike, assert_files_alike

from frr.pipelines.operations import OPERATIONS
from frr.training.data import native_chains, pools
from frr.training.data.faces import to_signed
from frr.training.data.native_batches import ChainBatch, ChainPools, presence
from frr.training.data.native_capture import crop, largest_side, native_side, open_faces, send
from frr.training.data.native_chains import (
    GEOMETRIC,
    ChainSource,
    make_chain,
    pack_traces,
    unpack_traces,
)
from frr.training.stages.native_flow import move
from frr.training.stages.running import make_pool


@pytest.fixture(scope="module")
def chains(native_pool):
    return ChainPools((native_pool,))


@pytest.fixture(scope="module")
def lossless(native_faces):
    """Chains of files that do not travel."""
    source = ChainSource(open_faces(native_faces, ["real"]), "seen", 160, 1024, journeys=False)
    return source(np.random.default_rng(5), 3)


def test_each_version_adds_one_operation(chains):
    batch = chains.at(range(6))
    assert batch.order.sort(1).values.eq(torch.arange(4)).all()
    applied, _ = presence(batch)
    assert applied.sum(2).eq(torch.arange(5.0)).all()
    assert (batch.effects[applied == 0] == 0).all() and (batch.effects[applied > 0] > 0).any()
    for chain in range(6):
        for version in range(4):
            added = applied[chain, version + 1] - applied[chain, version]
            assert added.argmax() == batch.order[chain, version] and added.sum() == 1


@pytest.mark.parametrize("versions", [2, 3, 5])
def test_weights_of_presence_leave_nothing_to_the_others(versions):
    spans = range(5 - versions + 1)
    order = torch.tensor(list(permutations(range(4)))).repeat(len(spans), 1)
    first = torch.tensor(spans).repeat_interleave(24)
    effects = torch.ones(len(order), versions, 4)
    batch = native_batch(order, effects, torch.zeros(len(order), 0), first)
    applied, weights = presence(batch)
    for operation in range(4):
        others = applied.sum(2) - applied[..., operation]
        for number in range(4):
            here = others == number
            present, absent = (
                weights[..., operation][here & (applied[..., operation] == state)].sum()
                for state in (1, 0)
            )
            assert present == pytest.approx(float(absent))


def native_batch(order, effects, rest, first=0):
    rows = torch.as_tensor(first).expand(len(order))[:, None] + torch.arange(effects.shape[1])
    return ChainBatch(order, rows, effects, *[rest] * 7)


def test_a_span_of_a_chain_is_what_stands_there(chains):
    whole, part = chains.at([3, 1]), chains.at([3, 1], [2, 0], 3)
    assert part.rows.tolist() == [[2, 3, 4], [0, 1, 2]]
    for name in ("effects", "traces", "spectrum", "fine", "colour", "flows"):
        every, some = getattr(whole, name), getattr(part, name)
        assert torch.equal(some[0], every[0, 2:]) and torch.equal(some[1], every[1, :3])
    assert len(part.view().side) == 6


def test_a_stranger_is_the_same_in_all_versions(chains):
    """The versions of a face differ by as much less as there is of the stranger in them."""
    alone = chains.draw(np.random.default_rng(4), 6)
    half = chains.draw(np.random.default_rng(4), 6, strangers=0.5)
    change = [(b.colour[:, 1:] - b.colour[:, :1]).abs().mean() for b in (alone, half)]
    assert change[1] < change[0]
    for name in ("traces", "spectrum", "fine"):
        assert (getattr(half, name) - getattr(alone, name)).abs().mean() > 0.1, name


def test_what_is_not_felt_has_no_weight():
    order = torch.arange(4)[None]
    effects = torch.full((1, 5, 4), 0.01)
    applied, weights = presence(native_batch(order, effects, torch.zeros(1, 0)))
    assert (weights[applied > 0] == 0).all() and (weights[applied == 0] > 0).all()


def test_without_a_journey_versions_differ_by_their_operations_alone(lossless):
    small = to_signed(lossless.colour)
    for chain in range(3):
        for version in range(4):
            name = OPERATIONS[int(lossless.order[chain, version])]
            before, after = small[chain, version], small[chain, version + 1]
            change = (after - before).abs().mean()
            effect = lossless.effects[chain, version + 1, OPERATIONS.index(name)]
            assert (change > 0) or effect < 0.05, name


def test_flows_undo_what_moved(lossless):
    small, undone = to_signed(lossless.colour), 0
    for chain in range(3):
        for version in range(4):
            name = OPERATIONS[int(lossless.order[chain, version])]
            if name not in GEOMETRIC:
                continue
            place = GEOMETRIC.index(name)
            flow = lossless.flows[chain, version + 1, place][None]
            assert (lossless.flows[chain, version, place] == 0).all()
            if lossless.effects[chain, version + 1, OPERATIONS.index(name)] < 0.3:
                continue
            truth, photo = (blurred(small[chain, row][None]) for row in (version, version + 1))
            left = (move(photo, flow) - truth).square().mean()
            assert left < (photo - truth).square().mean(), name
            undone += 1
    assert undone


def blurred(photo):
    return torch.nn.functional.avg_pool2d(photo, 5, 1, 2)


def test_tiles_are_of_the_version_that_smoothing_adds(lossless):
    before, after = to_signed(lossless.tiles).unbind(1)
    rough = [
        (each - torch.roll(each, 1, -1)).square().mean((1, 2, 3, 4)) for each in (before, after)
    ]
    strong = lossless.effects.amax(1)[:, OPERATIONS.index("smoothing")] > 0.3
    assert strong.any() and (rough[1] < rough[0])[strong].all()


def test_traces_survive_packing():
    traces = torch.linspace(-3.5, 5.5, 1001)
    assert (unpack_traces(pack_traces(traces)) - traces).abs().max() < 0.0181
    assert unpack_traces(pack_traces(torch.tensor([9.0]))) == pytest.approx(5.5)


def test_the_same_seed_makes_the_same_chain(native_faces):
    face = open_faces(native_faces, ["real"]).read(0)
    first, second = (make_chain(np.random.default_rng(3), face, 0, 160) for _ in range(2))
    for name, one, other in zip(first._fields, first, second, strict=True):
        assert_alike(one, other, name)


def test_several_processes_make_the_same_pool(native_faces, tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(pools, "FILE_ITEMS", 1)
    for folder, processes in (("one", 1), ("two", 2)):
        settings = {"items": 2, "sources": "real", "side": 160, "processes": processes}
        *_, last = make_pool("native", settings, tmp_path / folder, native_faces)
        assert last == (2, 2)
    for path in (tmp_path / "one").glob("*.safetensors"):
        assert_files_alike(path, tmp_path / "two" / path.name)


class InThisProcess:
    """An executor that pickles what it is given, as one with processes would."""

    def __init__(self, count, context):
        assert count == 2 and context.get_start_method() == "spawn"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, function, *arguments):
        job = Future()
        function, arguments = pickle.loads(pickle.dumps((function, arguments)))
        job.set_result(function(*arguments))
        return job

    def shutdown(self, cancel_futures):
        assert cancel_futures


def test_a_face_that_cannot_be_retouched_is_named_and_left_out(native_faces, monkeypatch, caplog):
    calls = []

    def fail_once(rng, face, number, side, **options):
        calls.append(face.name)
        if len(calls) == 1:
            raise IndexError("odd")
        return make_chain(rng, face, number, side, **options)

    monkeypatch.setattr(native_chains, "make_chain", fail_once)
    source = ChainSource(open_faces(native_faces, ["real"]), "seen", 160, 1024, True)
    assert len(source(np.random.default_rng(0), 1).order) == 1
    assert len(calls) == 2 and calls[0] in caplog.text


def test_sources_are_drawn_by_their_shares(native_faces):
    faces = open_faces(native_faces, ["real:3", "drawn/drawn_[01]*:1"])
    assert len(faces) == 5
    np.testing.assert_allclose(faces.shares, [0.25] * 3 + [0.125] * 2)
    assert faces.read(3).name == "drawn_0.png"
    left = open_faces(native_faces, ["real"], without=["*_1.png", "*_2*"])
    assert [path.name for path in left.files] == ["real_0.png"]
    alone = open_faces(native_faces / "drawn")
    assert len(alone) == 3 and alone.read(0).points.max() < 1.2


@pytest.mark.parametrize(
    "sources, said",
    [
        (["nowhere"], "not a folder"),
        (["real/x*"], "holds no face"),
        (["real:0"], "above 0"),
        (["real:much"], "above 0"),
    ],
)
def test_sources_that_cannot_be_used_are_named(native_faces, sources, said):
    with pytest.raises(ValueError, match=said):
        open_faces(native_faces, sources)


def test_native_sides_lie_between_200_and_a_little_above_what_is_stored(native_faces):
    rng = np.random.default_rng(0)
    sides = [native_side(rng, 512) for _ in range(4000)]
    assert 200 <= min(sides) < 215 and 540 < max(sides) <= 574
    assert np.median(sides) == pytest.approx(np.sqrt(200 * 573), rel=0.04)
    assert native_side(rng, 100) == 200
    assert largest_side(open_faces(native_faces, ["real"]).read(0)) == 197


def test_crops_carry_points_with_them():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 240), torch.linspace(-1, 1, 240), indexing="ij")
    points = torch.tensor([[[0.4, 0.6], [0.7, 0.3]]])
    spots = sum(
        torch.exp(-((x - 2 * p[0] + 1) ** 2 + (y - 2 * p[1] + 1) ** 2) / 0.003) for p in points[0]
    )
    photo = (spots * 2 - 1).expand(1, 3, -1, -1)
    for seed in range(12):
        cut, moved, _ = crop(np.random.default_rng(seed), photo, points)
        side = cut.shape[-1]
        for row, column in ((moved[0] * side).flip(-1)).round().long().tolist():
            assert cut[0, 0, row, column] > 0.8, seed


def test_without_journeys_files_stay():
    photo = torch.ones(2, 3, 64, 64)
    sent, quality = send(np.random.default_rng(0), photo, 64, journeys=False)
    assert torch.equal(sent, photo) and quality == 0


def test_a_pool_says_what_it_was_made_of(native_pool):
    note = json.loads((native_pool / "pool.json").read_text())
    assert note["stage"] == "native" and set(note["data"]) == {"real", "drawn"}
    assert note["settings"]["sources"] == ["real:3", "drawn:1"]
