"""The flash reader: scattered rows of a file into memory, many at once and past the system's cache.

The paper's section 3.1: flash reaches its throughput only with large chunks and many threads. A batch of rows is
submitted at once, sorted, its neighbours joined into larger reads, and spread over a pool of native threads, or, where
Linux reads directly, over asynchronous reads, which take half of the processor time; Python and its lock are out of the
way until the batch is complete. The native library is `native/reader.c`; where it is missing,
`open_reader` gives the same interface in plain Python.
"""

import logging

from engine.flash.native_reader import Reader
from engine.system import native_library

logger = logging.getLogger(__name__)


def open_reader(threads: int = 32, gap: int = 0):
    """A `Reader`, or a `PythonReader` with the same interface where the native library is missing."""
    if native_library.load_library() is not None:
        return Reader(threads, gap)
    logger.warning("The native flash reader is missing or outdated: reading with Python threads, which is slower.")
    from engine.flash.python_reader import PythonReader  # built on this module

    return PythonReader(threads, gap)
