"""The memory that this process and its helpers use, as the operating system says."""

import os
import sys
from pathlib import Path

_helpers: set[int] = set()  # numbers of processes that run for this one


def footprint() -> int:
    """Memory of this process and its helpers now, in bytes: the resident set on Linux, the physical footprint on
    macOS."""
    return _footprint()[0] + _helpers_footprint()


def peak_footprint() -> int:
    """The largest footprint of this process so far, and that of its helpers now, in bytes."""
    return _footprint()[1] + _helpers_footprint()


def count_helper(process: int) -> None:
    """Count a process, by its number, as part of this one from now on."""
    _helpers.add(process)


def discount_helper(process: int) -> None:
    """Count a process that has ended no more."""
    _helpers.discard(process)


def _helpers_footprint() -> int:
    return sum(map(footprint_of, tuple(_helpers)))


def _footprint() -> tuple[int, int]:
    if sys.platform == "darwin":  # Activity Monitor's "Memory": only the kernel knows it, the native library asks
        from engine.system.native_library import native_footprint

        return native_footprint()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now, peak = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def footprint_of(process: int) -> int:
    """Memory of another process of ours, by its number, in bytes, without files that it may share with this one; 0 for
    one that has ended."""
    if sys.platform == "darwin":
        from engine.system.native_library import footprint_of_process

        return footprint_of_process(process)
    try:
        _, resident, shared, *_ = map(int, Path(f"/proc/{process}/statm").read_text().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
