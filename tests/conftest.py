"""What every test needs: no network, an empty model cache, fixed seeds."""

import atexit
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest
from workers import (
    pytest_collection_modifyitems,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
    share_the_cores,
)

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_xdist_auto_num_workers",
    "pytest_xdist_make_scheduler",
]

share_the_cores()
CACHE = tempfile.mkdtemp(prefix="frr-tests-")
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)
os.environ["HF_HOME"] = CACHE
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["DIFFUSERS_VERBOSITY"] = "error"

_connect = socket.socket.connect


def _connect_inside(self: socket.socket, address):
    """Connect to this machine only."""
    if self.family != getattr(socket, "AF_UNIX", None) and address[0] not in ("127.0.0.1", "::1"):
        raise RuntimeError(f"a test tried to reach {address}: tests need no network")
    return _connect(self, address)


socket.socket.connect = _connect_inside


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout the tests stand in."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _seeded():
    """Start each test from the same random state."""
    import numpy as np
    import torch

    torch.manual_seed(0)
    np.random.seed(0)
