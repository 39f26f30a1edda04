"""Files that are there whole or not at all, and files that one process holds at a time."""

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from engine.errors import FlashbulbError

BLOCK_BYTES = 1 << 22
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700  # nothing for other users


def make_private(path: Path) -> None:
    """A file that only its user reads and writes, made if it is not there. Raises OSError if it cannot be made."""
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT, PRIVATE_FILE))
    _close_to_others(path, PRIVATE_FILE)


def make_private_folder(folder: Path) -> None:
    """A folder that only its user enters, made if it is not there; one that is shared, or a home, stays as it is.

    Raises OSError if it cannot be made.
    """
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    shared = folder.stat().st_mode & stat.S_ISVTX
    if not shared and folder.resolve() not in (Path.home().resolve(), Path("/")):
        _close_to_others(folder, PRIVATE_FOLDER)


def _close_to_others(path: Path, own: int) -> None:
    """own: the bits that its user has, whatever the umask is."""
    with suppress(OSError):  # of somebody else, or on a drive that knows no users
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~(stat.S_IRWXG | stat.S_IRWXO) | own)


def stamp(path: Path) -> tuple[int, int]:
    """The state of a file, which changes with it: bytes, and nanoseconds of its last change. Raises OSError."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def write_whole(path: Path, text: str, *, private: bool = False) -> None:
    """Write a file in one step: it is there whole, or as it was before. private: only its user reads it."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        if private:
            make_private(fresh)
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def write_private(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file that only its user reads, in one step, and its name to the disk as well: a crash or a power cut
    leaves all of it, or what was there before. Raises OSError."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        make_private(fresh)
        with fresh.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def file_blocks(path: Path) -> Iterator[bytes]:
    """A file's content, block by block. Raises OSError."""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


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
