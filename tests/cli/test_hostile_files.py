"""Files that are no photos: named in a line, never waited for, never given to another program."""

import io
import os
from pathlib import Path

import pytest
from PIL import EpsImagePlugin, Image


@pytest.fixture
def options(model):
    return ["-o", "out", "--model", model, "--strength", "0"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_and_devices_are_not_waited_for(frr, photo, model, options):
    os.mkfifo("pipe.png")
    shown = frr("restore", "pipe.png", "/dev/zero", photo, *options, status=1)
    assert shown.stderr.count("is no regular file") == 2
    assert Path("out/one.png").is_file()
    shown = frr("restore", photo, "--reference", "pipe.png", *options, "--overwrite", status=1)
    assert "is no regular file" in shown.stderr


def test_what_starts_a_program_is_refused_unopened(frr, photo, options, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("Ghostscript was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", fail)
    buffer = io.BytesIO()
    Image.open(photo).save(buffer, "EPS")
    Path("picture.png").write_bytes(buffer.getvalue())
    shown = frr("restore", "picture.png", *options, status=1)
    assert "cannot be read as a picture" in shown.stderr


def test_names_that_are_too_long_are_named(frr, photo, options):
    long = "n" * 300
    shown = frr("restore", f"{long}.png", photo, *options, status=1)
    assert "too long" in shown.stderr and Path("out/one.png").is_file()
    for arguments in (["-o", long], ["-o", "two", "--model", long]):
        shown = frr("restore", photo, *options[2:], *arguments, status=1)
        assert "Error: " in shown.stderr and "too long" in shown.stderr
    at_limit = photo.with_name("m" * 251 + ".png")
    at_limit.write_bytes(photo.read_bytes())
    shown = frr("restore", at_limit, *options[2:], "-o", "three", status=1)
    assert "too long" in shown.stderr and not list(Path("three").glob("*"))
