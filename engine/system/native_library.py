"""The native library: finding it, loading it, and the signatures of its functions."""

import ctypes
import functools
import logging
import resource
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

logger = logging.getLogger(__name__)

VERSION = 11  # of the native interface
RUSAGE_WORDS, RUSAGE_FOOTPRINT = 12, 9  # of macOS's rusage_info_v0, as words of 8 bytes: all, and ri_phys_footprint's


def native_footprint() -> tuple[int, int]:
    """Memory of this process now and at its highest, in bytes: physical footprint on macOS, resident set on Linux.

    Without the native library both are the peak resident set: never too little.
    """
    library = load_library()
    current, peak = ctypes.c_int64(), ctypes.c_int64()
    if library is not None and library.fb_footprint(ctypes.byref(current), ctypes.byref(peak)) == 0:
        return current.value, peak.value
    unit = 1 if sys.platform == "darwin" else 1024
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return resident, resident


def footprint_of_process(process: int) -> int:
    """Physical footprint of another process on macOS, in bytes; 0 for one that has ended, or anywhere else."""
    ask = getattr(ctypes.CDLL(None), "proc_pid_rusage", None)
    usage = (ctypes.c_uint64 * RUSAGE_WORDS)()
    if ask is None or ask(ctypes.c_int(process), ctypes.c_int(0), ctypes.byref(usage)) != 0:
        return 0
    return int(usage[RUSAGE_FOOTPRINT])


def memory_pressure() -> int:
    """The shortage of memory of macOS: 1 normal, 2 warning, 4 critical. On Linux always 1: engine.system.pressure."""
    library = load_library()
    return 1 if library is None else library.fb_memory_pressure()


def reclaimable_percent() -> int:
    """The percentage of macOS's memory that is free, or that the system can reclaim at once; 0 anywhere else."""
    ask, level = getattr(ctypes.CDLL(None), "sysctlbyname", None), ctypes.c_uint32()
    size = ctypes.c_size_t(ctypes.sizeof(level))
    if ask is None or ask(b"kern.memorystatus_level", ctypes.byref(level), ctypes.byref(size), None, 0) != 0:
        return 0
    return min(100, level.value)


# The native library.

READ_FUNCTION = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, use_errno=True
)


class Statistics(ctypes.Structure):
    """The `fb_statistics` of the native library."""

    _fields_ = [(name, ctypes.c_int64) for name in ("bytes", "device_bytes", "reads", "in_flight")]
    _fields_ += [(name, ctypes.c_double) for name in ("busy_s", "p50_s", "p99_s")]


class Matrix(ctypes.Structure):
    """A matrix, plain or of quantised weights, or one in each slot; the fields are described in `native/products.c`."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("weight", "scales", "biases")]
    _fields_ += [(f"{name}_slot", ctypes.c_int64) for name in ("weight", "scales", "biases")]
    _fields_ += [(f"{name}_row", ctypes.c_int64) for name in ("weight", "scales")]
    _fields_ += [(name, ctypes.c_int32) for name in ("rows", "columns", "bits", "group", "mode", "kind")]


class Result(ctypes.Structure):
    """The `fb_result` of the native library."""

    _fields_ = [(name, ctypes.c_int64) for name in ("bytes", "device_bytes", "reads", "error_offset")]
    _fields_ += [(name, ctypes.c_double) for name in ("seconds", "max_latency_s")]
    _fields_ += [(name, ctypes.c_int32) for name in ("error", "cancelled")]


@functools.cache
def load_library() -> ctypes.CDLL | None:
    """The native library beside this package, installed or editable; None if it is missing or of another version."""
    name = "_reader.dylib" if sys.platform == "darwin" else "_reader.so"
    site = [Path(sysconfig.get_path(kind), "engine", "flash") for kind in ("platlib", "purelib")]
    package = find_spec("engine.flash")
    beside = package.submodule_search_locations if package else None
    for folder in [*map(Path, beside or ()), *site]:
        if (folder / name).is_file():
            return open_library(folder / name)
    return None


def open_library(path: Path) -> ctypes.CDLL | None:
    """A native library, its functions declared; None if it cannot be loaded or is of another version."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        logger.warning("%s cannot be loaded: %s", path, error)
        return None
    if library.fb_version() != VERSION:
        return None
    pointer, number, integer = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    signatures = {
        "fb_reader_new": (pointer, integer, number, number, READ_FUNCTION),
        "fb_reader_stop": (None, pointer),
        "fb_reader_release": (None, pointer),
        "fb_reader_statistics": (None, pointer, pointer),
        "fb_file_open": (integer, pointer, ctypes.c_char_p, integer, pointer),
        "fb_file_size": (number, pointer),
        "fb_file_alignment": (number, pointer),
        "fb_file_direct": (integer, pointer),
        "fb_file_close": (None, pointer),
        "fb_register": (integer, pointer, pointer, number),
        "fb_unregister": (None, pointer, pointer, number),
        "fb_submit": (integer, pointer, pointer, pointer, pointer, number, pointer, number, number, pointer),
        "fb_wait": (integer, pointer, ctypes.c_double, pointer),
        "fb_cancel": (None, pointer),
        "fb_ticket_release": (None, pointer),
        "fb_multiply": (integer, pointer, pointer, number, pointer, pointer, number, pointer, integer),
        "fb_multiply_gated": (integer, *[pointer] * 4, number, pointer, pointer, number, pointer, integer),
        "fb_multiply_many": (integer, pointer, number, number, pointer, number, pointer, integer),
        "fb_add_rows": (integer, pointer, pointer, number, pointer, pointer, number, pointer, integer),
        "fb_add_many": (integer, pointer, number, number, pointer, number, pointer, integer),
        "fb_attend": (integer, pointer, pointer, pointer, number, number, pointer, pointer, integer),
        "fb_attend_many": (integer, *[pointer] * 3, *[number] * 4, pointer, number, number, pointer, pointer, integer),
        "fb_norm": (None, pointer, number, number, ctypes.c_float, integer, *[pointer] * 3, integer),
        "fb_sum": (ctypes.c_float, pointer, number, integer),
        "fb_use_lanes": (integer, integer),
        "fb_footprint": (integer, pointer, pointer),
        "fb_memory_pressure": (integer,),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
