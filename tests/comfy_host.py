"""A real ComfyUI on the CPU, in a folder of its own, spoken to as its frontend does.

COMFYUI_TIMEOUT is the seconds that anything may take (default 180).
"""

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = float(os.environ.get("COMFYUI_TIMEOUT", "180"))
PACK = "ComfyUI-FRR"

# Centres of the eyes and corners of the mouth in scikit-image's astronaut (NASA, public domain).
POINTS = ((203.5, 100.5), (247.0, 103.5), (203.0, 140.0), (244.5, 141.0))
POINTS_IN_MESH = (468, 473, 61, 291)


def astronaut(size: int = 256):
    """The astronaut's face as an aligned crop."""
    import torch
    from skimage import data

    from frr.pipelines.photos.drawings import to_picture
    from frr.pipelines.photos.faces import align_points, crop

    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1) / 255
    place = align_points(torch.tensor(POINTS), POINTS_IN_MESH)
    return to_picture(crop(photo, [place], size)[0] * 2 - 1)


def blemished(portrait):
    """An aligned portrait with painted blemishes, and what it should become."""
    import numpy as np

    from frr.pipelines.photos.drawings import to_picture, to_tensor
    from frr.pipelines.simulate.blemishes.painter import paint, sample_blemishes

    chosen = sample_blemishes(np.random.default_rng(3))
    painted = paint(to_tensor(portrait), [chosen], by_kind=False)
    return to_picture(painted.image[0]), to_picture(painted.target[0])


def make_base(base: Path) -> Path:
    """A folder as the host wants it, with the pack in it and a picture to work on."""
    for name in ("custom_nodes", "input", "output", "models", "user", "temp"):
        (base / name).mkdir(parents=True)
    (base / "custom_nodes" / PACK).symlink_to(ROOT)
    (base / "custom_nodes" / "a-host-shims").symlink_to(ROOT / "tests" / "comfy" / "host_shims")
    astronaut().save(base / "input" / "example.png")
    return base


class Server:
    """A running ComfyUI, spoken to as its frontend does."""

    def __init__(self, comfyui: Path, python: str, base: Path, *options: str):
        self.base, self.log_file = base, base / "server.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        command = [python, str(comfyui / "main.py"), "--cpu", "--base-directory", str(base)]
        command += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
        command += ["--listen", "127.0.0.1", "--port", str(self.port), "--disable-auto-launch"]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self._log = self.log_file.open("w")
        self.process = subprocess.Popen(
            [*command, *options], cwd=base, stdout=self._log, stderr=self._log, env=environment
        )
        self._wait_until_ready()

    def _wait_until_ready(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log()
            with contextlib.suppress(OSError):
                self.get("/system_stats")
                return
            time.sleep(0.3)
        self.stop()
        raise AssertionError(f"the host did not start in {PATIENCE} s:\n{self.log()}")

    def log(self) -> str:
        return self.log_file.read_text()[-6000:]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
            return answer.read()

    def json(self, path: str):
        return json.loads(self.get(path))

    def post(self, path: str, content) -> tuple[int, dict]:
        """The status and the answer, also where the host refuses."""
        data = json.dumps(content).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def queue(self, prompt: dict) -> str:
        """Queue a prompt that is valid; its id."""
        given = {"prompt": prompt, "client_id": uuid.uuid4().hex}
        status, answer = self.post("/prompt", given)
        assert status == 200 and not answer.get("node_errors"), answer
        return answer["prompt_id"]

    def wait(self, prompt_id: str) -> dict:
        """The history entry of a prompt once it has ended."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            entry = self.json(f"/history/{prompt_id}").get(prompt_id)
            if entry and entry.get("status", {}).get("status_str"):
                return entry
            assert self.process.poll() is None, self.log()
            time.sleep(0.1)
        raise AssertionError(f"the prompt did not end in {PATIENCE} s:\n{self.log()}")

    def run(self, prompt: dict) -> dict:
        """Run a prompt that succeeds; its history entry."""
        entry = self.wait(self.queue(prompt))
        assert entry["status"]["status_str"] == "success", entry["status"]
        return entry

    def file(self, result: dict) -> bytes:
        """A picture or video as the frontend fetches it."""
        return self.get(f"/view?{urlencode(result)}")
