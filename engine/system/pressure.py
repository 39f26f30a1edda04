"""How short of memory the whole system is."""

import sys
from enum import IntEnum
from pathlib import Path

STALLED = 10.0  # per cent of the last 10 s in which something (warning) or everything (critical) waited for memory
LITTLE, NONE_LEFT = 0.08, 0.02  # of all memory, available: where a Linux without stall figures begins to suffer


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
    if waits.get("full", 0.0) >= STALLED or available < NONE_LEFT:
        return Pressure.CRITICAL
    if waits.get("some", 0.0) >= STALLED or available < LITTLE:
        return Pressure.WARNING
    return Pressure.NORMAL


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # not every kernel has it
        return ""
