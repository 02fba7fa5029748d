"""How many processes share the tests, on how many threads each, and which tests stay together."""

import os

import pytest

TOGETHER = ("tests/comfy/",)
"""Folders that one process goes through: what they share, a running ComfyUI, is there once."""
FIRST = (
    *TOGETHER,
    *(
        f"tests/{place}"
        for place in ("test_", "app/", "pipelines/repository/", "training/", "cli/")
    ),
)
"""What takes long is begun first, so that no process waits for another at the end."""
FILES = 4
"""So many files that are named are worth a process, which needs seconds to import torch."""


def cores() -> int:
    """Those that this process may use."""
    asked = getattr(os, "sched_getaffinity", None)
    return len(asked(0)) if asked else os.cpu_count() or 1


def share_the_cores() -> None:
    """One of several processes gets its share of the cores; call it before torch is imported."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        share = cores() // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`: all cores, but a few files that are named stay in the process that asks."""
    named = [f"{config.rootpath}/{place}" for place in TOGETHER]
    files = {config.invocation_params.dir / name.partition("::")[0] for name in config.args}
    alone = [each for each in files if each.suffix == ".py" or f"{each}/".startswith(tuple(named))]
    if len(alone) < len(files):
        return cores()
    worth = min(cores(), len(files) // FILES)
    return worth if worth > 1 else 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """A file's tests stay together, since they share what is slow to make; some folders' do."""
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return next((place for place in TOGETHER if file.startswith(place)), file)

    return Files(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> int:
        found = (place for place, begin in enumerate(FIRST) if item.nodeid.startswith(begin))
        return next(found, len(FIRST))

    items.sort(key=turn)
