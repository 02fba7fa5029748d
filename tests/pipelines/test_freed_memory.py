"""Freed memory that a process keeps, counted in page faults."""

import platform
import subprocess
import sys

import pytest

from frr.pipelines import freed_memory

COUNT = """
import importlib.util, resource, sys
spec = importlib.util.spec_from_file_location("freed_memory", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
if sys.argv[2] == "keep":
    assert module.keep_freed_memory()
def call():
    blocks = [b"x" * (3 << 20) for _ in range(8)]
call(), call()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    call()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    command = [sys.executable, "-c", COUNT, freed_memory.__file__, mode]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc's malloc")
def test_calls_find_the_memory_that_calls_before_them_freed():
    assert faults("keep") < 100
    assert faults("give back") > 4 * 8 * 700  # pages of 4 KiB in 3 MiB: 768


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", lambda name: pytest.fail("was opened"))
    assert not freed_memory.keep_freed_memory()
