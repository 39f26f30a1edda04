"""No sleep while something is being worked on; on macOS no App Nap either, which slows a covered window's threads."""

import ctypes
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

USER_INITIATED = 0x00FFFFFF  # NSActivityUserInitiated: no App Nap, no idle sleep of the system; the screen may sleep
OBJC = "/usr/lib/libobjc.A.dylib"
FOUNDATION = "/System/Library/Frameworks/Foundation.framework/Foundation"
logger = logging.getLogger(__name__)


@contextmanager
def awake(reason: str) -> Iterator[None]:
    """Keep the system awake inside of this block. reason: what `pmset -g assertions` shows. Nothing elsewhere."""
    end = None
    if sys.platform == "darwin":
        try:
            end = begin_activity(reason)
        except (OSError, AttributeError) as error:  # the work matters more
            logger.warning("The system may go to sleep meanwhile: %s", error)
    try:
        yield
    finally:
        if end is not None:
            end()


def begin_activity(reason: str) -> Callable[[], None]:
    """NSProcessInfo's beginActivityWithOptions:reason:, without a binding for all of Cocoa. Returns what ends it."""
    objc = ctypes.CDLL(OBJC)
    ctypes.CDLL(FOUNDATION)
    pointer = ctypes.c_void_p
    objc.objc_getClass.restype = objc.sel_registerName.restype = objc.objc_autoreleasePoolPush.restype = pointer
    objc.objc_autoreleasePoolPop.argtypes = [pointer]

    def send(to: int, name: str, *arguments: Any, restype: Any = pointer) -> Any:
        """objc_msgSend, typed as the method is: an ARM processor passes variadic arguments in another way."""
        method = ctypes.CFUNCTYPE(restype, pointer, pointer, *(type(a) for a in arguments))(("objc_msgSend", objc))
        return method(to, objc.sel_registerName(name.encode()), *arguments)

    pool = objc.objc_autoreleasePoolPush()
    process = send(objc.objc_getClass(b"NSProcessInfo"), "processInfo")
    words = send(objc.objc_getClass(b"NSString"), "stringWithUTF8String:", ctypes.c_char_p(reason.encode()))
    activity = send(
        process, "beginActivityWithOptions:reason:", ctypes.c_uint64(USER_INITIATED), ctypes.c_void_p(words)
    )
    send(activity, "retain")
    objc.objc_autoreleasePoolPop(pool)

    def end() -> None:
        send(process, "endActivity:", ctypes.c_void_p(activity), restype=None)
        send(activity, "release", restype=None)

    return end
