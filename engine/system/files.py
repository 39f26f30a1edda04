"""Files that are there whole or not at all, and files that one process holds at a time."""

import fcntl
import os
from pathlib import Path
from typing import TextIO

from engine.errors import FlashbulbError


def write_whole(path: Path, text: str) -> None:
    """Write a file in one step: it is there whole, or as it was before."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def hold(path: Path, doing: str) -> TextIO:
    """A file that no other process holds until it is closed, or this process ends in whatever way.

    doing: what holding it means, for the message. Raises FlashbulbError if another process has it, OSError.
    """
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise FlashbulbError("Another Flashbulb is {doing}. Wait for it, or stop it.", doing=doing) from error
    return file
