"""The origin of memory: what stays long must not lie between what is soon freed, or neither goes back.

Linux's malloc gives memory back from the end of its heap alone. A KV cache that grows there leaves a hole behind every
time, and the process keeps them all.
"""

import ctypes
import functools
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt's names, of malloc.h
USUAL_BYTES = 4 << 20  # a block as large as this is mapped by itself: mapping takes longer than the heap
LONG_LIVED_BYTES = 64 << 10  # the same, of what stays
TRIM_BYTES = 1 << 20  # free at the heap's end, beyond which it goes back
HUGE_PAGE_BYTES = 2 << 20
MAX_SEAM_BYTES = 8 << 10  # between two blocks that were mapped side by side: the rest of a page, and malloc's own
MADV_DONTNEED, MADV_HUGEPAGE, MADV_COLLAPSE = 4, 14, 25  # Linux's names; the last one from 6.1 on

Block = tuple[int, int]  # address, bytes


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


def keep_in_huge_pages(blocks: Iterable[Block]) -> None:
    """Move blocks, all of which are in use, to huge pages, where the system has such and offers them: a processor then
    reads weights at a rate that is nearly a tenth higher. Takes a quarter of a second for each gigabyte, longer in a
    virtual machine that its host has yet to give that memory."""
    _advise(huge_spans(blocks), MADV_COLLAPSE)


def begin_in_huge_pages(block: Block) -> None:
    """The same of one block that holds nothing but zeros, in no time: it takes no memory until it is written to."""
    spans = list(huge_spans([block]))
    _advise(spans, MADV_DONTNEED)
    _advise(spans, MADV_HUGEPAGE)


def _advise(spans: Iterable[Block], advice: int) -> None:
    """Advice that the system may leave: all then stays as it is."""
    if sys.platform == "linux":
        advise = ctypes.CDLL(None).madvise
        for address, size in spans:
            advise(ctypes.c_void_p(address), ctypes.c_size_t(size), advice)


def huge_spans(blocks: Iterable[Block]) -> Iterator[Block]:
    """The huge pages that lie within blocks, those that lie side by side taken together."""
    start = end = 0
    for address, size in [*sorted(blocks), (sys.maxsize, 0)]:
        if address - end > MAX_SEAM_BYTES:
            first, last = -(-start // HUGE_PAGE_BYTES), end // HUGE_PAGE_BYTES
            if first < last:
                yield first * HUGE_PAGE_BYTES, (last - first) * HUGE_PAGE_BYTES
            start = address
        end = max(end, address + size)


@functools.cache
def _malloc() -> ctypes.CDLL | None:
    """The C library, if its malloc is glibc's."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
