"""Runs the tests of `in_process` in a process of their own, in which ComfyUI is imported."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATIENCE = float(os.environ.get("COMFYUI_TIMEOUT", "180"))


def test_the_hosts_own_memory_manager(comfyui, python, tmp_path):
    command = [
        python,
        "-P",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
    ]
    environment = {**os.environ, "FRR_IN_HOST": "1", "COMFYUI_PATH": str(comfyui)}
    environment["PYTHONPATH"] = str(HERE.parent)  # comfy_host
    done = subprocess.run(
        [
            *command,
            "--rootdir",
            str(HERE / "in_process"),
            "-c",
            os.devnull,
            str(HERE / "in_process"),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
