"""Contexts on disk: a file for each conversation, and beside them blocks of tokens, which those that begin alike share.
No MLX: the window deletes them, too.

A block's name is its checksum. A conversation's file names its blocks; its head and the rest have checksums of their
own. Each file is written beside and takes its name when it is on disk: what a crash leaves is whole, or nobody's.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock

import msgspec

from engine.system.files import BLOCK_BYTES, make_private_folder, write_private

BLOCK_TOKENS = 256
VERSION = 1  # of the files
CONTEXT_SUFFIX, BLOCK_SUFFIX, FRESH_SUFFIX = ".context", ".block", ".new"
LEDGER = "written.json"
MAX_SET_BACK_S = 2 * 86_400  # by which a clock is taken to have been set back
DIGEST_BYTES, LENGTH_BYTES, NAME_BYTES = 32, 8, 64
FINGERPRINT_BYTES = 1 << 16  # of a file, at its beginning and at its end


class DamagedContextError(Exception):
    """A kept context that cannot be read, or is not what was written."""


@dataclass(frozen=True)
class Limits:
    """disk_bytes: of all files; the contexts used longest ago make way. day_bytes: written a day, beyond which nothing
    is kept: flash wears."""

    disk_bytes: int = 4_000_000_000
    day_bytes: int = 1_000_000_000


class RowShape(msgspec.Struct, frozen=True):
    """An array [*leading, tokens, width] that has a row for each token. bytes: of one row of `width` numbers."""

    dtype: str
    leading: tuple[int, ...]
    width: int
    bytes: int

    @property
    def token_bytes(self) -> int:
        """Bytes of one token in all rows."""
        count = self.bytes
        for size in self.leading:
            count *= size
        return count


class Head(msgspec.Struct, frozen=True):
    """The beginning of a conversation's file.

    model: the fingerprint of the model and of what else its numbers depend on. tokens: in the context. points: after
    how many of them a seeded answer may go on. stops: the other points that there is a way back to, where it is not to
    each. rows: arrays of a block, one after the other. blocks: names, of BLOCK_TOKENS tokens each. pools: bundles that
    were in memory, by layer. rest: the checksum of what follows the head.
    """

    model: str
    tokens: list[int]
    points: list[int]
    stops: list[int] | None
    rows: list[RowShape]
    blocks: list[str]
    pools: list[list[int]]
    rest: bytes = b""
    version: int = VERSION

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return BLOCK_TOKENS * sum(shape.token_bytes for shape in self.rows)

    def reach(self, common: int, seeded: bool) -> int:
        """The most tokens, up to `common`, to which there is a way back."""
        points = {*(self.stops if self.stops is not None else [common]), len(self.tokens), 0}
        wanted = {*self.points, 0} if seeded else points
        reachable = wanted if self.stops is None else wanted & points
        return max(point for point in reachable if point <= min(common, len(self.tokens)))


@dataclass
class KeptContexts:
    """The files of one folder, which is made when something is written. Any thread may use it.

    clock: seconds since 1970. wanted: False where nothing is to be written.
    """

    folder: Path
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.time
    wanted: bool = True
    _lock: RLock = field(default_factory=RLock, repr=False)
    _heads: dict[Path, tuple[tuple[int, ...], Head | None]] = field(default_factory=dict, repr=False)
    _deleted: set[Path] = field(default_factory=set, repr=False)

    # ------------------------------------------------------------------ reading
    def heads(self, model: str) -> list[tuple[Path, Head]]:
        """The contexts of a model, by their files; those that are damaged are passed over."""
        with self._lock:
            found = {path: self._head(path) for path in self._files(CONTEXT_SUFFIX)}
            self._heads = {path: known for path, known in self._heads.items() if path in found}
        return [(path, head) for path, head in found.items() if head is not None and head.model == model]

    def file_of(self, conversation: str) -> Path:
        """The file of a conversation's context, whether it is there or not."""
        return self.folder / (hashlib.sha256(conversation.encode()).hexdigest()[:32] + CONTEXT_SUFFIX)

    def trouble_with(self, conversation: str, model: str) -> str:
        """The reason why a conversation's own file is of no use: "damaged", or "other" where it is another model's;
        empty where it is fine, or where there is none."""
        path = self.file_of(conversation)
        with self._lock:
            if not path.is_file():
                return ""
            head = self._head(path)
        return "damaged" if head is None else "" if head.model == model else "other"

    def rest_of(self, path: Path, head: Head) -> bytes:
        """The part that follows the head. Raises DamagedContextError."""
        content = _read(path)
        start = DIGEST_BYTES + LENGTH_BYTES
        length = int.from_bytes(content[DIGEST_BYTES:start], "big")
        rest = content[start + length :]
        if hashlib.sha256(rest).digest() != head.rest:
            raise DamagedContextError(f"{path.name} is not what was written")
        return rest

    def check_block(self, name: str, size: int) -> Path:
        """The file of a block of `size` bytes, which is what was written; what is not is deleted, for the next writing.
        Raises DamagedContextError."""
        path, digest, found = self._block(name), hashlib.sha256(), 0
        try:
            with path.open("rb") as file:
                while content := file.read(BLOCK_BYTES):
                    digest.update(content)
                    found += len(content)
        except OSError as error:
            raise DamagedContextError(f"{path.name} cannot be read") from error
        if found != size or digest.hexdigest() != name:
            self.discard(path)
            raise DamagedContextError(f"{path.name} is not what was written")
        return path

    def discard(self, path: Path) -> None:
        """Delete a file that turned out to be damaged."""
        with self._lock:
            _unlink(path)

    def touch(self, path: Path) -> None:
        """A context was used."""
        with suppress(OSError):
            os.utime(path, (self.clock(), self.clock()))

    # ------------------------------------------------------------------ writing
    def write(
        self,
        conversation: str,
        head: Head,
        rest: bytes,
        block: Callable[[int], bytes],
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Head | None:
        """Keep a conversation's context, in the place of what was kept of it.

        head: with the names of the blocks that are known; block(number): the bytes of any block. interrupted: asked
        between two blocks. Returns the head as it was written; None where there is no room, the day has had its share,
        or somebody interrupted. Raises OSError.
        """
        path = self.file_of(conversation)
        with self._lock:
            if path in self._deleted or not self.wanted:
                return None
            make_private_folder(self.folder)
            with self._alone() as alone:
                return self._write(path, head, rest, block, interrupted) if alone else None

    def _write(
        self, path: Path, head: Head, rest: bytes, block: Callable[[int], bytes], interrupted: Callable[[], bool]
    ) -> Head | None:
        """The same, while no other process writes here."""
        count = len(head.tokens) // BLOCK_TOKENS
        known = [name if self._block(name).is_file() else "" for name in head.blocks[:count]]
        known += [""] * (count - len(known))
        whole = len(rest) + len(msgspec.msgpack.encode(head)) + count * (NAME_BYTES + DIGEST_BYTES)  # at most
        size = whole + known.count("") * head.block_bytes
        if not self._spend(size):
            return None
        if not self._make_room(size, path, set(known)):
            self._spend(-size)
            return None
        try:
            while "" in known:
                if interrupted():
                    self._spend(-whole - known.count("") * head.block_bytes)
                    return None
                known[known.index("")] = self._write_block(block(known.index("")))
            written = msgspec.structs.replace(head, blocks=known, rest=hashlib.sha256(rest).digest())
            self._write_file(path, written, rest)
        except OSError:
            self._sweep()  # on a full disk, what is of no use is in the way
            raise
        self._sweep()
        return written

    def delete(self, conversation: str) -> None:
        """Delete a conversation's context, and keep none of it until `restore`. What cannot be deleted is left."""
        path = self.file_of(conversation)
        with self._lock:
            self._deleted.add(path)
            _unlink(path)
            self._sweep_alone()

    def restore(self, conversation: str) -> None:
        """A deleted conversation is there again: its context may be kept."""
        with self._lock:
            self._deleted.discard(self.file_of(conversation))

    def delete_all(self) -> None:
        """Delete every context."""
        with self._lock:
            for suffix in (CONTEXT_SUFFIX, BLOCK_SUFFIX, FRESH_SUFFIX):
                for path in self._files(suffix):
                    _unlink(path)

    def keep_only(self, conversations: Collection[str]) -> None:
        """Delete the contexts of all other conversations, and what a crash has left behind."""
        with self._lock:
            for path in set(self._files(CONTEXT_SUFFIX)) - {self.file_of(each) for each in conversations}:
                _unlink(path)
            self._sweep_alone()

    @property
    def disk_bytes(self) -> int:
        """Bytes of all files."""
        return sum(map(_size, (*self._files(CONTEXT_SUFFIX), *self._files(BLOCK_SUFFIX))))

    # ------------------------------------------------------------------ files
    def _files(self, suffix: str) -> list[Path]:
        return [path for path in self.folder.glob(f"*{suffix}") if path.is_file()]

    def _block(self, name: str) -> Path:
        return self.folder / f"{name}{BLOCK_SUFFIX}"

    def _head(self, path: Path) -> Head | None:
        """The head of a file, None for a damaged one; read again where the file has changed."""
        with suppress(OSError):
            status = path.stat()
            changed = status.st_ino, status.st_size, status.st_mtime_ns
            if path not in self._heads or self._heads[path][0] != changed:
                self._heads[path] = changed, _read_head(path)
            return self._heads[path][1]
        return None

    def _write_block(self, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        if not self._block(name).is_file():
            write_private(self._block(name), [content])
        return name

    def _write_file(self, path: Path, head: Head, rest: bytes) -> None:
        encoded = msgspec.msgpack.encode(head)
        length = len(encoded).to_bytes(LENGTH_BYTES, "big")
        write_private(path, [hashlib.sha256(length + encoded).digest(), length, encoded, rest])
        self.touch(path)
        self._heads.pop(path, None)

    def _make_room(self, size: int, path: Path, needed: set[str]) -> bool:
        """Delete what was used longest ago until so many bytes fit. path, needed: the file that is written anew, and
        blocks that must stay. Returns whether they fit."""
        if size > self.limits.disk_bytes:
            return False
        others = sorted(set(self._files(CONTEXT_SUFFIX)) - {path}, key=_time)
        while self.disk_bytes + size > self.limits.disk_bytes and others:
            _unlink(others.pop(0))
            self._sweep(needed)
        return self.disk_bytes + size <= self.limits.disk_bytes

    def _sweep(self, needed: Collection[str] = ()) -> None:
        """Delete blocks that no file names, and files that were never finished."""
        heads = (self._head(path) for path in self._files(CONTEXT_SUFFIX))
        named = {name for head in heads if head is not None for name in head.blocks} | set(needed)
        for path in self._files(BLOCK_SUFFIX):
            if path.name.removesuffix(BLOCK_SUFFIX) not in named:
                _unlink(path)
        for path in self._files(FRESH_SUFFIX):
            _unlink(path)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """True while no other process writes here, or deletes what another one is about to need."""
        try:
            descriptor = os.open(self.folder, os.O_RDONLY)
        except OSError:  # there is no folder
            yield False
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(descriptor)

    def _sweep_alone(self) -> None:
        """Sweep, but for a folder where another process is writing: it does that itself."""
        with self._alone() as alone:
            if alone:
                self._sweep()

    def _day_after(self, last: str) -> str:
        """Today; a clock that was set back a little, or a journey, gives no other share: then it is still that day."""
        now = self.clock()
        return last if _day_of(now) < last <= _day_of(now + MAX_SET_BACK_S) else _day_of(now)

    def _spend(self, size: int) -> bool:
        """Count bytes as written today. Returns whether the day has them left."""
        ledger = self.folder / LEDGER
        try:
            day, written = msgspec.json.decode(ledger.read_bytes(), type=tuple[str, int])
        except (OSError, msgspec.DecodeError):
            day, written = "", 0
        today = self._day_after(day)
        total = max(0, size + (written if day == today else 0))
        if total > self.limits.day_bytes:
            return False
        write_private(ledger, [msgspec.json.encode((today, total))])
        return True


def _day_of(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def _read_head(path: Path) -> Head | None:
    try:
        with path.open("rb") as file:
            digest, length = file.read(DIGEST_BYTES), file.read(LENGTH_BYTES)
            encoded = file.read(min(int.from_bytes(length, "big"), path.stat().st_size))
        if hashlib.sha256(length + encoded).digest() != digest:
            return None
        head = msgspec.msgpack.decode(encoded, type=Head)
    except (OSError, msgspec.DecodeError):
        return None
    return head if head.version == VERSION else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedContextError(f"{path.name} cannot be read") from error


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _time(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def fingerprint(files: Sequence[Path], *details: object) -> str:
    """A name for a model that no other has: by its files' names, sizes, times, beginnings and ends, and by details.
    To read all of it would take longer than to prefill. Raises OSError."""
    digest = hashlib.sha256(repr(details).encode())
    for path in files:
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}".encode())
        with path.open("rb") as file:
            digest.update(file.read(FINGERPRINT_BYTES))
            file.seek(max(0, status.st_size - FINGERPRINT_BYTES))
            digest.update(file.read(FINGERPRINT_BYTES))
    return digest.hexdigest()
