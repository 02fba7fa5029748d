"""What people read in ComfyUI's *Templates*, by the name that tests use, and search by."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TITLES = {
    "restore_portrait": "Restore a portrait",
    "restore_portrait_app": "Restore a portrait.app",
    "restore_every_face": "Restore every face of a photo",
    "calibrate_by_hand": "Restore by hand, every slider",
    "candidates": "Several candidates for one portrait",
    "batch_folder": "Restore a folder of photos",
    "video_frames": "Restore a video",
    "pipeline_taken_apart": "Restore step by step",
    "simulate_restore_compare": "Retouch, restore, measure",
    "retouch_portrait": "Retouch blemishes",
    "retouch_portrait_app": "Retouch blemishes.app",
    "retouch_and_restore": "Retouch, then look for it",
    "inpaint_portrait": "Fill a hole in a face",
}
# Words that people look for a node by; it, or a blueprint that holds it, is among the first three.
SOUGHT = {
    "undo": "MoFRRRestore",
    "unfilter": "MoFRRRestore",
    "whitening": "MoFRRRestore",
    "acne": "BPFReRetouch",
    "blemish": "BPFReRetouch",
    "skin": "BPFReRetouch",
    "slim": "MoFRRRestore",
    "big eyes": "MoFRRRestore",
}


def file_of(name: str) -> Path:
    """The workflow that the host lists."""
    return ROOT / "workflows" / f"{TITLES[name]}.json"


def blueprints_with(node: str) -> list[str]:
    """Names of the blueprints that hold a node."""
    held = {}
    for file in sorted((ROOT / "subgraphs").glob("*.json")):
        (inner,) = json.loads(file.read_text(encoding="utf-8"))["definitions"]["subgraphs"]
        held[file.stem] = {each["type"] for each in inner["nodes"]}
    return [name for name, types in held.items() if node in types]
