"""The memory that this machine has for this process. No Qt."""

import os
from pathlib import Path

from engine.system import native_library
from engine.system.control_group import groups_above, own_group

USUAL_PERCENT = 75  # of memory that is available, where the system does not say


def memory_total() -> int:
    """Bytes of memory that this process may use: the machine's, or less where its control group has a limit."""
    limits = (group.limit for group in groups_above(own_group()))
    return min((os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *(limit for limit in limits if limit)))


def memory_available() -> int:
    """Bytes that could be used now without pushing others out: what is free, and what the system can reclaim; where it
    does not say, three quarters of all."""
    rooms = (group.free for group in groups_above(own_group()))
    return min((_machine_available(), *(room for room in rooms if room is not None)))


def _machine_available() -> int:
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return memory_total() * (native_library.reclaimable_percent() or USUAL_PERCENT) // 100
