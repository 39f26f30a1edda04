"""The origin of memory: what stays long must not lie between what is soon freed, or neither goes back.

Linux's malloc gives memory back from the end of its heap alone. A KV cache that grows there leaves a hole behind every
time, and the process keeps them all.
"""

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt's names, of malloc.h
USUAL_BYTES = 4 << 20  # a block as large as this is mapped by itself: mapping takes longer than the heap
LONG_LIVED_BYTES = 64 << 10  # the same, of what stays
TRIM_BYTES = 1 << 20  # free at the heap's end, beyond which it goes back


@contextmanager
def long_lived() -> Iterator[None]:
    """Blocks that are allocated meanwhile, by whatever thread, are mapped one by one where the system can: each goes
    back as a whole when it is freed. Of no effect on macOS, where MLX allocates from Metal."""
    library = _malloc()
    if library is None:
        yield
        return
    library.mallopt(TRIM_THRESHOLD, TRIM_BYTES)
    library.mallopt(MMAP_THRESHOLD, LONG_LIVED_BYTES)
    try:
        yield
    finally:
        library.mallopt(MMAP_THRESHOLD, USUAL_BYTES)


def give_back_free_memory() -> None:
    """Return to the system what was freed, also from the middle of the heap. Some milliseconds."""
    library = _malloc()
    if library is not None:
        library.malloc_trim(0)


@functools.cache
def _malloc() -> ctypes.CDLL | None:
    """The C library, if its malloc is glibc's."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
