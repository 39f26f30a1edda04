"""The number of files that this process may have open, which mlx-lm sets when it is imported."""

import resource
import sys

WANTED_FILES = 4096  # a checkpoint in shards, the window's own, and each reader's


def raise_file_limit() -> None:
    """Allow as many open files as are wanted and the system's hard limit lets. No limit is ever lowered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def guard_file_limit() -> None:
    """Let mlx-lm's import leave the limit alone.

    It would set (2048, 4096): an error where the hard limit is lower, and a limit lowered for good where it is higher.
    Nothing else is kept from setting limits, and mlx-lm only until it is imported.
    """
    original = resource.setrlimit

    def setrlimit(limit: int, limits: tuple[int, int], /) -> None:
        if sys._getframe(1).f_globals.get("__name__") != "mlx_lm.utils":
            return original(limit, limits)
        resource.setrlimit = original
        return raise_file_limit()

    if "mlx_lm.utils" not in sys.modules:
        resource.setrlimit = setrlimit
