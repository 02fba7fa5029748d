"""The operations are one list: a line more, and pipeline, nodes, simulator, CLI and card follow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from frr.pipelines.operations import LABELS, OPERATIONS, label

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = shutil.ignore_patterns(".*", "tests", "docs", "*.safetensors", "*.png", "*.jpg")


def test_names_and_labels():
    assert tuple(LABELS) == OPERATIONS
    shipped = ("whitening", "smoothing", "face_slimming", "eye_enlarging")
    assert OPERATIONS[:4] == shipped  # further ones follow: routers' outputs go by place
    assert label("face_slimming") == "face slimming"
    assert label("not_in_the_list") == "not in the list"


def test_a_fifth_line_is_enough(tmp_path):
    """Its algorithms are registered already: the line is all that is missing."""
    copy = Path(shutil.copytree(ROOT, tmp_path / "frr", ignore=NOT_COPIED))
    file = copy / "pipelines" / "operations.py"
    lines = file.read_text().replace("\n}\n", '\n    "lip_tinting": "lip tinting",\n}\n', 1)
    file.write_text(lines)
    (tmp_path / "work").mkdir()
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    script = ROOT / "tests" / "fifth_operation.py"
    command = [sys.executable, "-W", "ignore", "-P", str(script), str(tmp_path / "work")]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **threads}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
