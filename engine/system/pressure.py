"""The shortage of memory of the whole system."""

import sys
from enum import IntEnum
from pathlib import Path

STALL_PERCENT = 10.0  # of the last 10 s, in which something (warning) or everything (critical) waited for memory
WARNING_SHARE, CRITICAL_SHARE = 0.08, 0.02  # of all memory that is available: for a Linux without stall figures


class Pressure(IntEnum):
    """The levels of macOS, whose Activity Monitor shows them in green, yellow and red."""

    NORMAL = 1
    WARNING = 2
    CRITICAL = 4


def memory_pressure() -> Pressure:
    """The present level. Cheap enough to ask several times a second."""
    if sys.platform == "darwin":
        from engine.system.native_library import memory_pressure as native

        level = native()
        return Pressure(level) if level in list(Pressure) else Pressure.NORMAL
    return level_of(_read("/proc/pressure/memory"), _read("/proc/meminfo"))


def level_of(stalls: str, memory: str) -> Pressure:
    """The level that Linux's `/proc/pressure/memory` and `/proc/meminfo` amount to; either may be empty."""
    waits = {line.split()[0]: float(line.split("avg10=")[1].split()[0]) for line in stalls.splitlines()}
    fields = dict(line.split(":", 1) for line in memory.splitlines())
    sizes = {name: int(fields[name].split()[0]) for name in ("MemTotal", "MemAvailable") if name in fields}
    available = sizes["MemAvailable"] / sizes["MemTotal"] if len(sizes) == 2 else 1.0
    if waits.get("full", 0.0) >= STALL_PERCENT or available < CRITICAL_SHARE:
        return Pressure.CRITICAL
    if waits.get("some", 0.0) >= STALL_PERCENT or available < WARNING_SHARE:
        return Pressure.WARNING
    return Pressure.NORMAL


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # not every kernel has it
        return ""
