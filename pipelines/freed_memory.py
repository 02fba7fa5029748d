"""Freed memory kept for the next call: without that, a restoration on a CPU waits for pages."""

import ctypes
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt
NEVER = 2**31 - 1
LARGEST = (2**30, 2**25)  # bytes of a block that is kept; old versions of glibc take the second


def keep_freed_memory() -> bool:
    """Have this process keep the memory it frees, instead of giving it back to the system.

    A call of a pipeline on a CPU takes and frees hundreds of tensors. By default glibc hands their
    memory back, and the next call pays for every page anew. It concerns the whole process, so
    programs call it (as `frr` does), libraries should not. The environment says the same:
    MALLOC_TRIM_THRESHOLD_=2147483647 MALLOC_MMAP_THRESHOLD_=1073741824.

    Returns:
        Whether it was done; False where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    kept = any(library.mallopt(MMAP_THRESHOLD, size) for size in LARGEST)
    return bool(kept and library.mallopt(TRIM_THRESHOLD, NEVER))
