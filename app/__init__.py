"""The application: a window around the engine. Imports the engine; nothing imports it."""

import ctypes
import sys

if sys.version_info < (3, 12):
    # PySide6 6.12.0 is built as if these were immortal, which they are from Python 3.12 on: under an older Python each
    # call that returns one of them takes a reference away, and after some thousands of calls the process dies. So give
    # them more references than can be taken.
    for constant in (None, True, False):
        ctypes.c_ssize_t.from_address(id(constant)).value += 1 << 40
