"""The machine of a benchmark: its name and its drive's, room for files, a cap on memory, the system's counters."""

import ctypes
import os
import platform
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import FlashbulbError
from engine.flash.profile import drive_of
from engine.flash.reader import Reader, ReadFile
from engine.system.control_group import FIRST, SECOND, ControlGroup, own_group
from engine.text import readable

FOLDER_PREFIX = "flashbulb-bench-"
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
RESERVE_BYTES = 2_000_000_000  # bytes of the disk that a benchmark leaves free


def describe(folder: Path) -> dict[str, Any]:
    """The machine's and drive's names and sizes, for a result's head."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "drive": drive_of(folder),
        "backend": _backend(),
        "mlx": version("mlx"),
        "load": round(os.getloadavg()[0], 2),
    }


def _backend() -> str:
    import mlx.core as mx

    return "Metal" if mx.metal.is_available() else "CPU"


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    elif sys.platform == "darwin":
        name, size = ctypes.create_string_buffer(256), ctypes.c_size_t(256)
        libc = ctypes.CDLL(None)
        if libc.sysctlbyname(b"machdep.cpu.brand_string", name, ctypes.byref(size), None, 0) == 0:
            return name.value.decode()
    return platform.machine()


def device_bytes() -> int | None:
    """Bytes that this process has had read from a device, by the operating system's count; None if it keeps none."""
    if sys.platform == "linux":
        with suppress(OSError):
            fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
            return int(fields["read_bytes"])
    elif sys.platform == "darwin":
        usage = (ctypes.c_uint64 * 64)()  # struct rusage_info_v2: a UUID of 16 bytes, then counters
        if ctypes.CDLL(None).proc_pid_rusage(os.getpid(), 2, usage) == 0:
            return usage[2 + 16]  # ri_diskio_bytesread
    return None


def bytes_each(before: int | None, after: int | None, count: int = 1) -> float | None:
    """The bytes that each of `count` runs had read between two counts; None where nothing counts them."""
    return None if before is None or after is None else (after - before) / count


@contextmanager
def scratch(parent: Path, needed: int) -> Iterator[Path]:
    """An empty folder below `parent` with room for `needed` bytes; whatever happens, it is removed.

    Raises FlashbulbError if there is too little room.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_forgotten(parent)
    free = shutil.disk_usage(parent).free
    if free < needed + RESERVE_BYTES:
        raise FlashbulbError(
            "This benchmark writes {needed} to {parent}, and leaves {reserve} free: {free} are free now. Make room, "
            "choose another folder with --folder, or a smaller shape.",
            needed=readable(needed),
            parent=parent,
            reserve=readable(RESERVE_BYTES),
            free=readable(free),
        )
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=parent))
    try:
        with _ended_in_order():
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_random(path: Path, size: int) -> None:
    """A file of random bytes, on the drive when this returns and, where the system can be asked, in no cache."""
    rng = np.random.default_rng()
    with path.open("wb") as file:
        for start in range(0, size, 1 << 26):
            file.write(rng.bytes(min(1 << 26, size - start)))
        file.flush()
        os.fsync(file.fileno())
    forget_cached(path)


def forget_cached(path: Path) -> None:
    """Ask the system, where it can be asked, to keep nothing of a file in its cache."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def open_direct(reader: Reader, path: Path, cached: bool) -> ReadFile:
    """A reader's file. Raises FlashbulbError where its reads would come from memory, unless that is wanted."""
    file = reader.open(path)
    if not file.direct and not cached:
        raise FlashbulbError(
            "The file system of {folder} has no direct reads, so memory would be measured instead of the drive. "
            "Choose a folder on the drive with --folder.",
            folder=path.parent.parent,
        )
    return file


def _remove_forgotten(parent: Path) -> None:
    """Folders of benchmarks that were killed."""
    for folder in parent.glob(f"{FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (ValueError, OSError):
            continue


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM unwinds the stack, so that files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def memory_cap(limit: int | None) -> Iterator[Path | None]:
    """A control group whose processes share `limit` bytes of memory, without swap; its folder, or None without one.

    Linux only, and only where this process may make one. A process joins by writing its id to `cgroup.procs` there.
    """
    group = own_group() if limit is not None and sys.platform == "linux" else None
    if group is None or limit is None:
        yield None
        return
    child = ControlGroup(group.folder / f"{FOLDER_PREFIX}{os.getpid()}", group.files)
    try:
        child.folder.mkdir()
        for name in group.files.limits:  # the second, swap, is missing where the kernel does not count it
            with suppress(OSError):
                (child.folder / name).write_text(str(limit if name != "memory.swap.max" else 0))
        yield child.folder if limit - 4096 <= (child.limit or 0) <= limit else None
    except OSError:
        yield None
    finally:
        with suppress(OSError):
            child.folder.rmdir()


def lower_cap(folder: Path, more: int) -> None:
    """Let the processes of a control group, by its folder, take `more` bytes beside those that they use, but for files
    that are cached and could be read again: less than `memory_cap` let them."""
    set_cap(folder, used_in(folder) + more)


def used_in(folder: Path) -> int:
    """Bytes that the processes of a control group use, but for files that are cached and could be read again."""
    group = _group_of(folder)
    counts = group.counts()
    return group.used() - counts[group.files.cached] + counts[group.files.mapped]


def set_cap(folder: Path, limit: int) -> None:
    """Let the processes of a control group, by its folder, use `limit` bytes. Raises OSError where they use more."""
    files = _group_of(folder).files
    names = [name for name in (files.limits if files is FIRST else files.limits[:1]) if (folder / name).exists()]
    for name in names + names[::-1]:  # memory and swap together are never less than memory alone
        with suppress(OSError):
            (folder / name).write_text(str(limit))
    if _group_of(folder).limit != limit // PAGE_BYTES * PAGE_BYTES:
        raise OSError(f"{folder} has no limit of {limit} bytes")


def _group_of(folder: Path) -> ControlGroup:
    return ControlGroup(folder, FIRST if (folder / FIRST.limits[0]).exists() else SECOND)
