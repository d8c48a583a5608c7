"""What becomes of freed memory. glibc gives large blocks back to the kernel, which clears every page of them when they
are asked for again: of a CNN over 32 pictures that was half of the time."""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST = 1 << 30  # bytes of a block that is kept
OWN = frozenset(["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])


def keep_freed_memory() -> None:
    """For this process, where its C library is glibc. What the user has set counts."""
    libc = ctypes.CDLL(None) if os.name == "posix" else None
    if hasattr(libc, "gnu_get_libc_version") and not OWN & os.environ.keys():
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
