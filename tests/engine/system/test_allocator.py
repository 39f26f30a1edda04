"""Memory that is freed goes back to the system."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.system.allocator import (
    HUGE_PAGE_BYTES,
    MAX_SEAM_BYTES,
    begin_in_huge_pages,
    huge_spans,
    keep_in_huge_pages,
)
from engine.system.footprint import footprint

FREEING = """
import sys
import numpy as np
from engine.system.allocator import give_back_free_memory, long_lived
from engine.system.footprint import footprint

spent = np.full(24 << 20, 1, np.uint8)  # malloc takes blocks as large as this from its heap, once one was freed
del spent

def freed(blocks: list) -> int:
    last = np.full(1 << 20, 1, np.uint8)  # behind them in the heap, and used on
    before = footprint()
    blocks.clear()
    if "trim" in sys.argv:
        give_back_free_memory()
    return before - footprint() if last.any() else 0


def made() -> list:
    return [np.full(256 << 10, 1, np.uint8) for _ in range(200)]


if "mapped" in sys.argv:
    with long_lived():
        blocks = made()
else:
    blocks = made()
print(freed(blocks))
"""


def freed(*how: str) -> int:
    """Bytes of 52 MB that went back to the system when they were freed."""
    done = subprocess.run([sys.executable, "-c", FREEING, *how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc alone keeps what is freed")
@pytest.mark.parametrize("how", ["mapped", "trim"])
def test_what_is_freed_goes_back(how):
    assert freed() < 10_000_000, "else there is nothing to do"
    assert freed(how) > 45_000_000


UNIT = HUGE_PAGE_BYTES // 4


@given(cells=st.lists(st.booleans(), max_size=40), seams=st.lists(st.integers(0, MAX_SEAM_BYTES), min_size=40))
def test_the_huge_pages_are_those_of_which_every_part_is_a_block_s(cells, seams):
    """Of quarters of huge pages, each is a block or nothing; a block ends a little before the next one."""
    blocks = [(i * UNIT, UNIT - seam) for i, (cell, seam) in enumerate(zip(cells, seams, strict=False)) if cell]
    full = {i for i in range(len(cells) // 4) if all(cells[4 * i : 4 * i + 4])}
    ends = {i for i in full if 4 * i + 4 == len(cells) or not cells[4 * i + 4]}  # here a seam is missing at the end
    found = list(huge_spans(reversed(blocks)))
    pages = {(start + offset) // HUGE_PAGE_BYTES for start, size in found for offset in range(0, size, HUGE_PAGE_BYTES)}
    assert full - {i for i in ends if seams[4 * i + 3]} == pages
    assert all(start % HUGE_PAGE_BYTES == size % HUGE_PAGE_BYTES == 0 for start, size in found)
    assert all(a + b < c for (a, b), (c, _) in pairwise(found))


def place_of(array: np.ndarray) -> tuple[int, int]:
    return array.ctypes.data, array.nbytes


def test_what_is_moved_to_huge_pages_is_the_same():
    arrays = [np.random.default_rng(i).integers(0, 255, 5 << 20, np.uint8) for i in range(4)]
    before, held = [array.copy() for array in arrays], footprint()
    keep_in_huge_pages(map(place_of, arrays))
    assert abs(footprint() - held) < HUGE_PAGE_BYTES
    assert all(map(np.array_equal, arrays, before))


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no such pages")
def test_zeros_take_no_memory_until_they_are_written_to():
    array = np.full(32 << 20, 0, np.uint8)
    held = footprint()
    begin_in_huge_pages(place_of(array))
    assert footprint() < held - array.nbytes / 2
    assert not array.any()
    array[:] = 7
    assert (array == 7).all()
    assert abs(footprint() - held) < HUGE_PAGE_BYTES
