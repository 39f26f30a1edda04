"""The memory that this process uses, as the operating system says."""

import os
import sys
from pathlib import Path


def footprint() -> int:
    """Memory of this process now, in bytes: the resident set on Linux, the physical footprint on macOS."""
    return _footprint()[0]


def peak_footprint() -> int:
    """The largest `footprint()` of this process so far, in bytes."""
    return _footprint()[1]


def _footprint() -> tuple[int, int]:
    if sys.platform == "darwin":  # Activity Monitor's "Memory": only the kernel knows it, the native library asks
        from engine.system.native_library import native_footprint

        return native_footprint()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now, peak = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def footprint_of(process: int) -> int:
    """Memory of another process of ours, by its number, in bytes; 0 for one that has ended."""
    if sys.platform == "darwin":
        from engine.system.native_library import footprint_of_process

        return footprint_of_process(process)
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
