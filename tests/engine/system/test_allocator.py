"""Memory that is freed goes back to the system."""

import subprocess
import sys

import pytest

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
