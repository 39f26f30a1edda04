"""The memory that this machine has. No Qt."""

import os
from pathlib import Path


def memory_total() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def memory_available() -> int:
    """Bytes that could be used now without pushing others out; where the system does not say, three quarters of all."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return memory_total() * 3 // 4
