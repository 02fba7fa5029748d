"""Makes the pictures beside the workflows by running them: COMFYUI_PICTURES=1 writes them anew."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frr import hub
from frr.pipelines.photos.drawings import panel

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
PORTRAIT, BLEMISHED, PAINTED = "example.png", "blemished.png", "painted.png"
EXPERTS = ("whitening", "smoothing", "face slimming", "eye enlarging", "shared")

# For each workflow the picture it works on, and what is shown after it: output by label.
SHOWN = {
    "restore_portrait": (PORTRAIT, {"after": ("3", 0)}),
    "pipeline_taken_apart": (
        PORTRAIT,
        {name: (str(5 + place), 1) for place, name in enumerate(EXPERTS)} | {"merged": ("10", 0)},
    ),
    "simulate_restore_compare": (PORTRAIT, {"retouched": ("3", 0), "restored": ("4", 0)}),
    "retouch_portrait": (
        BLEMISHED,
        {"E2D map": ("3", 2), "coarse": ("3", 1), "D2G map": ("3", 3), "retouched": ("3", 0)},
    ),
    "retouch_and_restore": (
        BLEMISHED,
        {"retouched": ("3", 0), "difference": ("5", 1), "restored": ("5", 0)},
    ),
    "inpaint_portrait": (PAINTED, {"mask": ("1", 1), "filled": ("3", 0)}),
}

pytestmark = pytest.mark.skipif(
    "COMFYUI_PICTURES" not in os.environ, reason="set COMFYUI_PICTURES=1 to make the pictures"
)


@pytest.fixture
def inputs(server, portrait, painted) -> dict[str, Image.Image]:
    """What the host can load, by name; painted.png has its hole in the alpha channel."""
    y, x = np.mgrid[: portrait.height, : portrait.width]
    hole = (np.hypot((x - 100) / 24, (y - 165) / 12) < 1) | (np.hypot(x - 150, y - 218) < 10)
    holed = portrait.convert("RGBA")
    holed.putalpha(Image.fromarray(np.where(hole, 0, 255).astype(np.uint8)))
    holed.save(server.base / "input" / PAINTED)
    return {PORTRAIT: portrait, BLEMISHED: painted[0], PAINTED: portrait}


@pytest.mark.parametrize("name", SHOWN)
def test_the_picture_of_a_workflow(server, prompt, inputs, name):
    source, outputs = SHOWN[name]
    if name == "inpaint_portrait" and not (hub.folder(hub.BPFRE) / "inpainter").is_dir():
        outputs = {"mask": outputs["mask"]}
    flow = prompt(name, **{"1.image": source})
    unseen = {key for key, node in flow.items() if node["class_type"] == "RestorationCompare"}
    flow = {
        key: node
        for key, node in flow.items()
        if key not in unseen
        and not any(isinstance(v, list) and v[0] in unseen for v in node["inputs"].values())
    }
    if len(outputs) == 1 and "mask" in outputs:
        flow = {"1": flow["1"]}
    kinds = server.json("/object_info")
    for place, output in enumerate(outputs.values()):
        images = list(output)
        if kinds[flow[output[0]]["class_type"]]["output"][output[1]] == "MASK":
            flow[f"{100 + place}"] = {"class_type": "MaskToImage", "inputs": {"mask": images}}
            images = [f"{100 + place}", 0]
        saved = {"filename_prefix": "picture", "images": images}
        flow[f"{200 + place}"] = {"class_type": "SaveImage", "inputs": saved}
    results = server.run(flow)["outputs"]
    pictures = [("before", inputs[source])]
    for place, label in enumerate(outputs):
        content = server.file(results[f"{200 + place}"]["images"][0])
        pictures.append((label, Image.open(io.BytesIO(content))))
    panel(pictures).save(WORKFLOWS / f"{name}.jpg", quality=88)
