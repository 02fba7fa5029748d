import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def worker():
    """The embedded models behind the page."""
    from frr import hub
    from frr.app.work import Worker
    from frr.pipelines.bpfre.pipeline import BPFRePipeline
    from frr.pipelines.mofrr.pipeline import MoFRRPipeline

    mofrr = MoFRRPipeline.from_pretrained(hub.folder())
    bpfre = BPFRePipeline.from_pretrained(hub.folder(hub.BPFRE))
    for pipe in (mofrr, bpfre):
        pipe.set_progress_bar_config(disable=True)
    return Worker(mofrr, bpfre)


@pytest.fixture(scope="session")
def examples():
    from frr.commands.app import example_pictures

    return example_pictures()


@pytest.fixture(scope="session")
def temporary(tmp_path_factory):
    """The folder in which Gradio would keep files."""
    return tmp_path_factory.mktemp("gradio")


@pytest.fixture(scope="session")
def address(worker, examples, temporary):
    """A served page, on this machine alone."""
    pytest.importorskip("gradio", reason="gradio is not installed: the page was not tested")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(temporary))
        from frr.app.page import build
        from frr.app.serve import serve

        page = build(worker, examples)
        yield serve(page, port=0, block=False).rstrip("/")
        page.close()


@pytest.fixture(scope="session")
def shots(tmp_path_factory) -> Path:
    """Where screenshots are kept: FRR_SCREENSHOTS, or a temporary folder."""
    folder = Path(os.environ.get("FRR_SCREENSHOTS") or tmp_path_factory.mktemp("shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
