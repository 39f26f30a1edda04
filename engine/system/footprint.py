"""What the operating system says this process uses."""

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
    return tuple(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
