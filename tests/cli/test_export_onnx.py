"""`frr export --onnx`: files that say what their networks say."""

import re

import pytest


def test_networks_that_denoise_are_refused_by_name(frr, model):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    shown = frr("export", "--model", model, "-o", "made", "--onnx", status=1)
    assert "read photos at their own size" in shown.stderr


def test_files_agree_with_their_networks(frr):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from frr import MoFRRPipeline, hub

    # as it is shipped, with one network of each kind: eyes are enlarged by another FlowExpert
    pipe = MoFRRPipeline.from_pretrained(hub.folder(), eye_enlarging_expert=None)
    pipe.save_pretrained("shipped")
    shown = frr("export", "--model", "shipped", "-o", "made", "--without-code", "--onnx").stdout
    lines = re.findall(r"(\w+)\.onnx: differs from its network by (\S+) of (\S+)", shown)
    names = [name for name, *_ in lines]
    assert names[0] == "router"
    assert {"whitening_expert", "smoothing_expert", "face_slimming_expert"} < set(names)
    assert all(float(largest) < 1e-3 * max(1.0, float(scale)) for _, largest, scale in lines)
    session = runtime.InferenceSession("made/onnx/router.onnx")
    seen = ["traces", "colour", "side", "spectrum", "fine"]
    assert [each.name for each in session.get_inputs()] == seen
    tile = runtime.InferenceSession("made/onnx/smoothing_expert.onnx").get_inputs()[0]
    assert not any(isinstance(tile.shape[place], int) for place in (0, 2, 3))  # of any size
