"""The pack in a real server: what it shows, that workflows run and restore as the pipeline does."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_bpfre
import torch
from PIL import Image
from templates import TITLES, file_of

from frr import BPFRePipeline, MoFRRPipeline, hub
from frr.pipelines.simulate.recipe import OPERATIONS, Recipe
from frr.pipelines.simulate.simulator import retouch

HERE = Path(__file__).resolve().parent
SNAPSHOT = HERE / "object_info.json"
SETTLED = ("model_name",)  # what the host's folders, not the pack, decide


@pytest.fixture(scope="module")
def pipe():
    """The embedded model outside the host."""
    pipe = MoFRRPipeline.from_pretrained(hub.folder())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def pixels(content: bytes | Image.Image) -> torch.Tensor:
    """A picture as 1 3 H W in [0, 1], as the host reads it."""
    picture = content if isinstance(content, Image.Image) else Image.open(io.BytesIO(content))
    array = np.asarray(picture.convert("RGB")).astype(np.float32) / 255.0
    return torch.from_numpy(array).permute(2, 0, 1)[None]


def saved(server, entry, node: str) -> torch.Tensor:
    return pixels(server.file(entry["outputs"][node]["images"][0]))


def nodes_of(server) -> dict:
    everything = server.json("/object_info")
    return {
        name: info for name, info in everything.items() if info["python_module"].endswith("FRR")
    }


def test_object_info_is_the_committed_snapshot(server):
    """To renew the file, delete it and run this test."""
    shown = nodes_of(server)
    text = json.dumps(shown, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(text, encoding="utf-8")
        pytest.fail(f"{SNAPSHOT.name} was written; look at it, commit it, run again")
    assert shown == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_the_pack_loads_without_a_word_of_warning(server):
    log = server.log_file.read_text()
    assert "IMPORT FAILED" not in log and "Traceback" not in log


def test_pages_scripts_and_words_are_served(server):
    assert b"# BPFRe Retouch" in server.get("/extensions/ComfyUI-FRR/docs/BPFReRetouch.md")
    assert b"# MoFRR Restore" in server.get("/extensions/ComfyUI-FRR/docs/MoFRRRestore.md")
    assert "/extensions/ComfyUI-FRR/js/frr.js" in server.json("/extensions")
    words = server.json("/i18n")
    assert words["zh"]["nodeDefs"]["MoFRRRestore"]["display_name"] == "MoFRR 还原"
    templates = server.json("/workflow_templates")["ComfyUI-FRR"]
    assert set(templates) == set(TITLES.values())


def test_restore_gives_what_the_pipeline_gives(server, prompt, portrait, pipe):
    changed = {"3.whitening": "on", "3.smoothing": "on", "3.seed": 11, "3.strength": 0.9}
    entry = server.run(prompt("restore_portrait", **changed))
    result = saved(server, entry, "5")
    wishes = {"whitening": True, "smoothing": True}
    generator = torch.Generator().manual_seed(11)
    how: dict[str, Any] = {"num_inference_steps": 2, "strength": 0.9, "output_type": "pt"}
    expected = pipe(portrait, operations=wishes, generator=generator, **how)
    assert (result - expected.images).abs().max() <= 1.5 / 255  # what PNG keeps
    assert (result - pixels(portrait)).abs().max() > 4 / 255
    bars = entry["outputs"]["3"]["mofrr_verdict"][0]["operations"]
    assert [bar["operation"] for bar in bars] == list(OPERATIONS)
    probabilities = [bar["probability"] for bar in bars]
    assert probabilities == pytest.approx(expected.routing[0].tolist(), abs=2e-3)


def test_taken_apart_gives_the_same_picture_to_the_bit(server, prompt):
    wishes = {"whitening": "on", "smoothing": "on"}
    whole = server.run(prompt("restore_portrait", **{f"3.{k}": v for k, v in wishes.items()}))
    apart = server.run(prompt("pipeline_taken_apart"))
    last = max(apart["outputs"], key=int)
    assert torch.equal(saved(server, whole, "5"), saved(server, apart, last))


def test_simulate_restore_compare(server, prompt, portrait, pipe):
    flow = prompt("simulate_restore_compare")
    flow["90"] = {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "a"}}
    flow["91"] = {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "b"}}
    flow["92"] = {"class_type": "PreviewAny", "inputs": {"source": ["3", 2]}}
    entry = server.run(flow)
    recipe = Recipe.from_json(entry["outputs"]["92"]["text"][0])
    retouched = (retouch(pixels(portrait) * 2 - 1, [recipe]).image + 1) / 2
    assert (saved(server, entry, "90") - retouched).abs().max() <= 1.5 / 255
    generator = torch.Generator().manual_seed(0)
    expected = pipe(
        retouched.clamp(0, 1), operations=set(OPERATIONS), generator=generator, output_type="pt"
    )
    assert (saved(server, entry, "91") - expected.images).abs().max() <= 2.5 / 255
    report = entry["outputs"]["5"]["frr_report"]
    assert report[0].startswith("before: PSNR") and report[1].startswith("after: PSNR")


@pytest.fixture(scope="module")
def bpfre():
    """The embedded retoucher outside the host."""
    return BPFRePipeline.from_pretrained(hub.folder(hub.BPFRE))


def test_retouch_gives_what_the_pipeline_gives(server, prompt, painted, bpfre):
    blemished, target = painted
    flow = prompt("retouch_portrait", **{"1.image": "blemished.png", "3.strength": 0.8})
    flow["90"] = {"class_type": "MaskPreview", "inputs": {"mask": ["3", 2]}}
    entry = server.run(flow)
    expected = bpfre(blemished, strength=0.8, output_type="pt")
    result, before = saved(server, entry, "5"), pixels(blemished)
    assert (result - expected.images).abs().max() <= 1.5 / 255  # what PNG keeps
    wrong, left = (float((each - pixels(target)).square().mean()) for each in (before, result))
    assert left < 0.6 * wrong
    shown = saved(server, entry, "90")[:, 0]
    assert (shown - (expected.blemish_maps[:, 0] / 0.25).clamp(0, 1)).abs().max() <= 1.5 / 255
    kept = ((expected.images - before).abs().amax(1, keepdim=True) == 0).expand_as(before)
    assert kept.any() and torch.equal(result[kept], before[kept])


def test_retouch_then_restore(server, prompt, painted, bpfre):
    blemished, _ = painted
    entry = server.run(prompt("retouch_and_restore", **{"1.image": "blemished.png"}))
    report = entry["outputs"]["6"]["frr_report"]
    change = bpfre(blemished, output_type="pt").images - pixels(blemished)
    decibels = float(-10 * change.square().mean().log10())
    assert float(report[0].split()[2]) == pytest.approx(decibels, abs=0.02)
    assert "mofrr_verdict" in entry["outputs"]["5"] and report[1].startswith("after: PSNR")


@pytest.fixture
def bpfre_models(server):
    """Models of random weights in the host's folder: with and without an inpainter."""
    folder = server.base / "models" / "bpfre"
    tiny_bpfre.pipeline().save_pretrained(folder / "both")
    tiny_bpfre.pipeline(inpainter=None).save_pretrained(folder / "one")
    yield
    shutil.rmtree(folder)


def test_inpaint_gives_what_the_pipeline_gives(server, prompt, portrait, bpfre_models):
    hole = np.zeros((portrait.height, portrait.width), np.uint8)
    hole[150:180, 90:140] = 255
    painted = portrait.convert("RGBA")
    painted.putalpha(Image.fromarray(255 - hole))
    painted.save(server.base / "input" / "painted.png")
    entry = server.run(
        prompt("inpaint_portrait", **{"1.image": "painted.png", "2.model_name": "both"})
    )
    result, before = saved(server, entry, "5"), pixels(portrait)
    expected = tiny_bpfre.pipeline().inpaint(portrait, Image.fromarray(hole), output_type="pt")
    assert (result - expected.images).abs().max() <= 1.5 / 255
    outside = torch.from_numpy(hole == 0).expand_as(result)
    assert torch.equal(result[outside], before[outside])
    assert (result - before).abs()[~outside].mean() > 4 / 255


def test_a_model_without_an_inpainter_says_so(server, prompt, bpfre_models):
    error = error_of(server, prompt("inpaint_portrait", **{"2.model_name": "one"}))
    assert error["node_id"] == "3"
    assert "the model 'one' has no inpainter" in error["exception_message"]
    error = error_of(server, prompt("inpaint_portrait", **{"2.model_name": "both"}))
    assert "Load Image gives an empty one" in error["exception_message"], "nothing was painted"


def error_of(server, flow: dict) -> dict:
    """What went wrong in a prompt that is valid but fails."""
    entry = server.wait(server.queue(flow))
    assert entry["status"]["status_str"] == "error"
    (error,) = [data for name, data in entry["status"]["messages"] if name == "execution_error"]
    return error


def put_in_a_photo(server, portrait, flow: dict) -> Image.Image:
    """A photo with the portrait in it, as the flow's picture, and its box as node 80."""
    photo = Image.new("RGB", (420, 320), (90, 120, 150))
    photo.paste(portrait.resize((200, 200)), (30, 60))
    photo.save(server.base / "input" / "photo.png")
    flow["1"]["inputs"]["image"] = "photo.png"
    flow["80"] = {
        "class_type": "PrimitiveBoundingBox",
        "inputs": {"x": 80, "y": 90, "width": 95, "height": 120},
    }
    return photo


def test_a_face_in_a_box_is_retouched(server, prompt, painted):
    flow = prompt("retouch_portrait")
    photo = put_in_a_photo(server, painted[0], flow)
    flow["3"]["inputs"]["boxes"] = ["80", 0]
    change = (saved(server, server.run(flow), "5") - pixels(photo)).abs().amax(1)[0]
    assert change[:, 260:].max() == 0 and change[100:260, 50:210].max() > 20 / 255


def test_faces_of_a_photo_in_a_box(server, prompt, portrait):
    flow = prompt("restore_every_face")
    photo = put_in_a_photo(server, portrait, flow)
    flow["3"]["inputs"]["boxes"] = ["80", 0]
    for name in OPERATIONS:
        flow["4"]["inputs"][name] = "on"
    entry = server.run(flow)
    change = (saved(server, entry, "6") - pixels(photo)).abs().amax(1)[0]
    assert change[:, 260:].max() == 0 and change[100:220, 80:180].max() > 4 / 255


def test_video_frames(server, prompt, portrait):
    write_clip(server.base / "input" / "clip.mp4", portrait, frames=3)
    flow = prompt("video_frames", **{"4.whitening": "on", "4.smoothing": "on"})
    entry = server.run(flow)
    (video,) = entry["outputs"]["6"]["images"]
    (server.base / "out.mp4").write_bytes(server.file(video))
    before = read_clip(server.base / "input" / "clip.mp4")
    after = read_clip(server.base / "out.mp4")
    assert after.shape == before.shape == (3, 128, 128, 3)
    assert np.abs(after.astype(int) - before).mean() > 1


def write_clip(file, picture, frames):
    av = pytest.importorskip("av")
    small = picture.resize((128, 128))
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 128, 128, "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_image(small)))
        container.mux(stream.encode())


def read_clip(file) -> np.ndarray:
    import av

    with av.open(str(file)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_the_same_prompt_again_is_cached(server, prompt):
    flow = prompt("restore_portrait")
    server.run(flow)
    entry = server.run(flow)
    (cached,) = [data for name, data in entry["status"]["messages"] if name == "execution_cached"]
    assert set(flow) <= set(cached["nodes"])
    other = server.run(prompt("restore_portrait", **{"3.strength": 0.35}))
    (cached,) = [data for name, data in other["status"]["messages"] if name == "execution_cached"]
    assert {"1", "2"} <= set(cached["nodes"]) and not {"3", "4", "5"} & set(cached["nodes"])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("2.model_name", "gone"),
        ("3.steps", 0),
        ("3.strength", 1.5),
        ("3.whitening", "maybe"),
        ("3.working_size", 31),
        ("3.working_size", 99999),
        ("3.samples", 17),
        ("3.model", ["1", 0]),
    ],
)
def test_bad_inputs_are_refused_at_their_input(server, prompt, place, value):
    flow = prompt("restore_portrait", **{place: value})
    for other in ("7", "8", "9"):  # the host runs what is valid: here nothing else is asked for
        del flow[other]
    status, answer = server.post("/prompt", {"prompt": flow, "client_id": "t"})
    assert status == 400
    node, _, name = place.partition(".")
    blamed = [error["extra_info"]["input_name"] for error in answer["node_errors"][node]["errors"]]
    assert blamed == [name]


def test_what_only_running_shows_is_told_with_the_way_out(server, prompt):
    flow = prompt("restore_every_face")
    flow["80"] = {
        "class_type": "PrimitiveBoundingBox",
        "inputs": {"x": 0, "y": 0, "width": 9, "height": 9},
    }
    flow["4"]["inputs"]["mask"] = ["81", 0]
    flow["81"] = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 48, "height": 48}}
    flow["3"]["inputs"]["boxes"] = ["80", 0]
    error = error_of(server, flow)
    assert error["node_id"] == "4" and "resize it first" in error["exception_message"]


def test_interrupt_stops_within_steps_and_the_server_goes_on(server, prompt):
    import time

    forced = {f"3.{name}": "on" for name in OPERATIONS}
    flow = prompt("restore_portrait", **forced, **{"3.samples": 16, "3.seed": 5})
    prompt_id = server.queue(flow)
    while not server.json("/queue")["queue_running"]:
        time.sleep(0.02)
    time.sleep(0.2)
    server.post("/interrupt", {"prompt_id": prompt_id})
    entry = server.wait(prompt_id)
    names = [name for name, _ in entry["status"]["messages"]]
    assert "execution_interrupted" in names and "execution_success" not in names
    server.run(prompt("restore_portrait"))


def test_free_takes_everything_back_and_the_next_prompt_loads_again(server, prompt):
    server.run(prompt("restore_portrait", **{"3.seed": 21}))
    status, _ = server.post("/free", {"unload_models": True, "free_memory": True})
    assert status == 200
    server.run(prompt("restore_portrait", **{"3.seed": 22}))


def test_a_picture_carries_its_workflow(server, prompts):
    workflow = json.loads(file_of("restore_portrait").read_text(encoding="utf-8"))
    given = {"prompt": prompts["restore_portrait"], "client_id": "t"}
    given["extra_data"] = {"extra_pnginfo": {"workflow": workflow}}
    _, answer = server.post("/prompt", given)
    entry = server.wait(answer["prompt_id"])
    content = server.file(entry["outputs"]["5"]["images"][0])
    texts = Image.open(io.BytesIO(content)).text
    stored = json.loads(texts["prompt"])
    for node in stored.values():
        node.pop("is_changed", None)  # the host's own note
    assert stored == prompts["restore_portrait"]
    assert json.loads(texts["workflow"])["nodes"] == workflow["nodes"]


@pytest.mark.parametrize("name", TITLES)
def test_a_template_runs_as_it_is_and_changes_the_picture(server, prompts, name):
    """On a fresh host, with nothing but the pack: what the first run shows."""
    flow = json.loads(json.dumps(prompts[name]))
    entry = server.run(flow)
    source = flow["1"]["inputs"].get("image", "frr_batch/portrait.png")
    for node in (key for key, each in flow.items() if each["class_type"] == "SaveImage"):
        before = pixels((server.base / "input" / source).read_bytes())
        pictures = entry["outputs"][node]["images"]
        shown = pixels(server.file(pictures[-1]))  # the picture, or a sheet that compares
        assert shown.shape != before.shape or (shown - before).abs().max() > 8 / 255
