"""Room on the disk for what is made: looked at before anything is written, and said in words where it runs out."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import DiskFullError, FlashbulbError
from engine.system.folders import existing, free_bytes
from engine.text import readable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def written_bytes(folder: Path) -> int:
    """Size of the files in a folder, and below it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check_room(needed: int, out: Path) -> None:
    """Raises DiskFullError where the disk of `out` has less than `needed` bytes free."""
    folder, free = existing(out.absolute().parent), free_bytes(out.absolute().parent)
    if needed > free:
        raise DiskFullError(
            "The disk of {folder} has {free} free, and preparing needs about {needed}. Make room.",
            folder=folder,
            free=readable(free),
            needed=readable(needed),
        )


@contextmanager
def pausing(out: Path, partial: Path, lacking: Callable[[], int]) -> Iterator[None]:
    """An OSError inside of this block is said in words. lacking: bytes that are still to be written to `partial`.

    Raises DiskFullError, FlashbulbError.
    """
    try:
        yield
    except OSError as error:
        raise _paused(error, out, partial, max(lacking(), 0)) from error


def _paused(error: OSError, out: Path, partial: Path, lacking: int) -> FlashbulbError:
    if error.errno not in FULL:
        return FlashbulbError("{out} could not be written: {reason}.", out=out, reason=error.strerror or error)
    reason, free = error.strerror, readable(free_bytes(partial))
    if not lacking:  # what is needed meanwhile is not known
        return DiskFullError(
            "{out} could not be written: {reason}. {free} are free. Make room and prepare again: it resumes where it "
            "stopped. To give it up, delete {partial}.",
            out=out,
            reason=reason,
            free=free,
            partial=partial,
        )
    return DiskFullError(
        "{out} could not be written: {reason}. About {needed} more are needed and {free} are free. Make room and "
        "prepare again: it resumes where it stopped. To give it up, delete {partial}.",
        out=out,
        reason=reason,
        needed=readable(lacking),
        free=free,
        partial=partial,
    )
