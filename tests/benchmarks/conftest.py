"""The benchmarks are scripts beside the package: they are imported from the checkout."""

import sys

import pytest


@pytest.fixture(scope="session", autouse=True)
def _benchmarks_importable(root):
    sys.path.append(str(root))
    yield
    sys.path.remove(str(root))
