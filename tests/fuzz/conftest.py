"""Sizes of the fuzzing: small and seeded with the other tests, large by `python -m tests.fuzz`."""

import os
import signal
from collections import Counter

import pytest

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # it comes with the `test` extra
    collect_ignore_glob = ["test_*.py"]

EXAMPLES = int(os.environ.get("FRR_FUZZ_EXAMPLES", "0"))
HANG_SECONDS = 120
TRIED: Counter[str] = Counter()

if "settings" in globals():
    common = {"deadline": None, "database": None, "print_blob": True}
    common["suppress_health_check"] = list(HealthCheck)
    settings.register_profile("small", max_examples=14, derandomize=True, **common)
    settings.register_profile("large", max_examples=max(1, EXAMPLES), **common)
    settings.load_profile("large" if EXAMPLES else "small")


@pytest.fixture
def tried(request):
    """`tried()`: counts an example, and ends one that takes longer than anything should."""

    def hang(*_):
        raise TimeoutError(f"an example took more than {HANG_SECONDS} s")

    def count() -> None:
        TRIED[request.node.name] += 1
        if hasattr(signal, "SIGALRM"):
            signal.signal(signal.SIGALRM, hang)
            signal.alarm(HANG_SECONDS)

    yield count
    if hasattr(signal, "SIGALRM"):
        signal.alarm(0)


def pytest_terminal_summary(terminalreporter):
    if EXAMPLES:
        for name, number in sorted(TRIED.items()):
            terminalreporter.write_line(f"tried {number:7d} {name}")
