"""Memory that is freed goes back to the system."""

import subprocess
import sys

import pytest

GROWING = """
import sys
import numpy as np
from engine.system.allocator import give_back_free_memory, long_lived
from engine.system.footprint import footprint

BLOCKS, BYTES = 400, 256 << 10


def grown() -> int:
    blocks = [None] * BLOCKS
    with long_lived():
        for size in range(1, 5):  # every block makes way for a larger one, as keys and values do
            for i in range(BLOCKS):
                blocks[i] = np.full(size * BYTES // 4, 1, np.uint8)
    kept = sum(block.nbytes for block in blocks)
    after = footprint()
    return after - before - kept


before = footprint()
print(grown())
del before
small = [bytearray(60_000) for _ in range(2000)]
held = footprint()
last = small[-1]
del small
give_back_free_memory()
print(held - footprint())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc alone keeps what is freed")
def test_what_grows_leaves_no_holes_and_what_is_freed_goes_back():
    done = subprocess.run([sys.executable, "-c", GROWING], capture_output=True, text=True, check=True)
    beside, back = map(int, done.stdout.split())
    assert beside < 4_000_000, "holes between blocks of 100 MB"
    assert back > 100_000_000, "of 120 MB that were freed below one that is still used"
