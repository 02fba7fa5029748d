from pathlib import Path

import click
import pytest

from frr import hub
from frr.commands.photos import Problems, find, plan
from frr.commands.restoring import Settings


def test_help_lists_every_command(frr):
    shown = frr("--help").stdout
    for name in ("demo", "restore", "simulate", "calibrate", "train", "evaluate", "export", "card"):
        assert f"\n  {name} " in shown
        assert f"frr {name}" in " ".join(frr(name, "--help").stdout.split()).replace("main", "frr")
    assert "..." not in shown.split("Commands:")[1]


def test_folders_are_listed_once_and_in_order(tmp_path):
    for name in ("b.png", "a.png", "a.json", "lone.json", ".hidden"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "inner").mkdir()
    problems = Problems()
    found = find([tmp_path / "b.png", tmp_path, tmp_path / "inner"], problems)
    assert [path.name for path in found] == ["b.png", "a.png", "lone.json"]
    assert problems.count == 1
    with pytest.raises(click.exceptions.Exit):
        problems.end()


def test_names_never_collide():
    photos = [Path("x/a.png"), Path("y/a.jpg"), Path("y/a-2.png"), Path("z/a.png")]
    targets = [job.target.name for job in plan(photos, Path("out"), "png")]
    assert targets == ["a.png", "a-2.png", "a-2-2.png", "a-3.png"]


def test_working_size_zero_is_the_photos_own():
    fixed = (None, {}, 1, 1.0, 1, 0)
    sizes = {None: "config", 0: None, 128: 128}
    for given, expected in sizes.items():
        assert Settings(*fixed, given, True).arguments()["working_size"] == expected


def test_an_unknown_embedded_model_is_named():
    with pytest.raises(FileNotFoundError, match="no embedded model named 'huge'"):
        hub.folder("huge")
