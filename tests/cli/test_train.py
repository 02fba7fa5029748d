import json
from pathlib import Path

import pytest

from frr.models.mofrr_router import RetouchRouter

QUICK = ["--set", "steps=2", "--set", "size=64", "--set", "batch_size=1", "--set", "log_every=1"]


def test_trains_a_stage_into_a_model_folder(frr, faces):
    shown = frr("train", "router", "--faces", faces, "--run", "run", *QUICK)
    assert f"wrote {Path('run/model')}" in shown.stdout
    settings = json.loads(Path("run/config.json").read_text())
    assert settings["stage"] == "router" and settings["settings"]["size"] == 64
    assert len(Path("run/log.jsonl").read_text().splitlines()) == 2
    router = RetouchRouter.from_pretrained("run/model")
    assert len(router.config.operations) == 4


def test_a_run_is_continued_only_when_told(frr, faces):
    arguments = ["train", "router", "--faces", faces, "--run", "run", *QUICK]
    frr(*arguments)
    assert "resume" in frr(*arguments, status=1).stderr
    frr(*arguments, "--resume", "--set", "steps=3")
    assert json.loads(Path("run/log.jsonl").read_text().splitlines()[-1])["step"] == 3


@pytest.mark.parametrize(
    ("arguments", "complaint", "status"),
    [
        (["nonsense"], "unknown stage 'nonsense'", 1),
        (["router", "--set", "speed=9"], "unknown setting 'speed'", 1),
        (["router", "--set", "steps=many"], "steps='many'", 1),
        (["router", "--set", "steps"], "NAME=VALUE", 2),
        (["expert"], "operation=NAME", 1),
    ],
)
def test_wrong_arguments_are_refused(frr, faces, arguments, complaint, status):
    shown = frr("train", *arguments, "--faces", faces, "--run", "run", status=status)
    assert complaint in shown.stderr
