"""Checking a checkpoint's files against the checksums that the Hub gave them, where those are known.

In the Hub's cache each file is a link to what its checksum is called; beside a download of ours they are noted.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import CheckpointError
from engine.store.installed import DOWNLOAD_FILE
from engine.store.mlx_folder import MlxFolder
from engine.system.documents import DOWNLOAD_AGAIN, parsing, try_read
from engine.system.files import file_blocks

SHA256, GIT_SHA1 = 64, 40  # hexadecimal digits


@dataclass(frozen=True)
class Verified:
    """The names of the files whose checksums match, and of those for which none is known."""

    matching: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    name: str
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True)
class _Noted:
    files: list[_File]


def verify_checkpoint(folder: Path, progress: Callable[[float], None] = lambda _: None) -> Verified:
    """Read every file of a checkpoint's folder. progress(share) may raise CancelledError.

    Raises CheckpointError for the first file that is not what the Hub has, or whose header is damaged.
    """
    MlxFolder.open(folder)
    files = sorted(
        path for path in folder.iterdir() if path.is_file() and path.name != DOWNLOAD_FILE and path.name[0] != "."
    )
    known, matching, unknown = _checksums(folder), [], []
    total, done = max(1, sum(path.stat().st_size for path in files)), 0
    for path in files:
        if path.name not in known:
            unknown.append(path.name)
            done += path.stat().st_size
            continue
        digest = _digest(path, len(known[path.name]))
        with parsing(path, CheckpointError, DOWNLOAD_AGAIN):
            for block in file_blocks(path):
                digest.update(block)
                done += len(block)
                progress(done / total)
        if digest.hexdigest() != known[path.name]:
            raise CheckpointError(
                "{path} is damaged: its checksum is not the Hub's. {cure}", path=path, cure=DOWNLOAD_AGAIN
            )
        matching.append(path.name)
    progress(1.0)
    return Verified(tuple(matching), tuple(unknown))


def _digest(path: Path, digits: int) -> "hashlib._Hash":
    """A fresh digest: SHA-256, or git's SHA-1 of a file's length and content."""
    if digits == SHA256:
        return hashlib.sha256()
    return hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)


def _checksums(folder: Path) -> dict[str, str]:
    """By the files' names."""
    return dict(_of_download(folder)) | dict(_of_links(folder))


def _of_links(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.iterdir():
        if path.is_symlink() and _is_checksum(target := path.readlink().name):
            yield path.name, target


def _of_download(folder: Path) -> Iterator[tuple[str, str]]:
    noted = try_read(folder / DOWNLOAD_FILE, _Noted)
    for file in noted.files if noted else ():
        checksum = file.sha256 or file.git_sha1
        if checksum and _is_checksum(checksum):
            yield file.name, checksum


def _is_checksum(text: str) -> bool:
    return re.fullmatch(rf"[0-9a-f]{{{SHA256}}}|[0-9a-f]{{{GIT_SHA1}}}", text) is not None
