"""Downloading large files: ranged, parallel, resumed in the middle of a file after anything, checked before it counts.

A file on its way is `<name>.part`, and beside it `<name>.part.json` says how much of each piece is on disk. Only a file
with the right checksum gets its name. One event loop runs all connections, so that stopping is immediate.
"""

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import random
import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import httpx2

from engine.errors import AccessError, CancelledError, DiskFullError, DownloadError, SaidError
from engine.library.network import (
    AsyncTransport,
    is_of_certificates,
    origin,
    redirected,
    retry_after,
    status_name,
    unreachable,
)
from engine.text import Text, readable, text_of

MAX_REDIRECTS = 5
UNRANGED_ANSWERS = 3  # in answer to a range, before we believe that the server knows no ranges
HASH_BLOCK_BYTES = 2**22  # bytes between two looks at whether to stop
TICK_S = 0.2  # between reports
RATE_TICKS = 25  # reports over which the rate is averaged
PACKINGS = ("gzip", "deflate")  # that a proxy may put a whole file into, and that we can undo
BUSY_STATUSES = (HTTPStatus.ACCEPTED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch. sha256, or else git_sha1 (git's name of the content), is what it is checked against."""

    name: str
    url: str
    bytes: int
    sha256: str | None = None
    git_sha1: str | None = None

    @property
    def checksum(self) -> str | None:
        """Its SHA-256, or what git calls it; None where neither is known."""
        return self.sha256 or self.git_sha1

    def is_in(self, folder: Path) -> bool:
        """True if it is there, whole: nothing has this name before its checksum was right."""
        path = folder / self.name
        return path.is_file() and path.stat().st_size == self.bytes

    def bytes_in(self, folder: Path) -> int:
        """Bytes of it that need not be fetched again."""
        return self.bytes if self.is_in(folder) else sum(p.done for p in _read_record(self, folder) or ())


@dataclass(frozen=True)
class Transfer:
    """The manner of fetching. Sizes in bytes, times in seconds."""

    connections: int = 4
    piece: int = 64 * 2**20
    stall: float = 15.0  # without a byte, after which a connection is given up
    tries: int = 10  # that fail one after the other without a byte between them, before we give up
    pause: float = 1.0  # before the second try; doubled for each further one
    longest_pause: float = 60.0
    longest_asked: float = 900.0  # that a busy server's wish is waited for
    record: float = 5.0  # between two records of what is on disk


@dataclass(frozen=True)
class Progress:
    """The state of a download. stage: fetching, waiting (for what note says) or checking; bytes; rate in bytes/s."""

    file: str
    stage: str
    done: int
    total: int
    rate: float
    note: str = ""


def download(
    files: Sequence[RemoteFile],
    folder: Path,
    token: str | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    stop: threading.Event | None = None,
    transfer: Transfer | None = None,
    arrived: Callable[[RemoteFile], None] = lambda _: None,
) -> None:
    """Fetch what `folder` lacks of `files`, one after the other, each over several connections.

    token: sent to the scheme, host and port of a file's own url, never to where that redirects. stop: set it from any
    thread to pause; calling again resumes. arrived(file): a file is whole; what this raises ends the download.
    Raises CancelledError once stopped, AccessError, DiskFullError, DownloadError, and HubError where a proxy or a
    certificate that was set cannot be used; whatever has arrived is kept. One
    process at a time may download to a folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job = _Download(files, folder, token, progress, stop or threading.Event(), transfer or Transfer(), arrived)
    try:
        asyncio.run(job.run())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                "The disk of {folder} is full. What has arrived is kept: make room, and start it again to go on.",
                folder=folder,
            ) from error
        raise DownloadError(
            "{folder} cannot be written to ({reason}).", folder=folder, reason=error.strerror or error
        ) from error


# --------------------------------------------------------------------------------------- a file on its way
@dataclass
class _Piece:
    """Bytes `start` to `end` of a file, of which the first `done` are on disk."""

    start: int
    end: int
    done: int = 0

    @property
    def position(self) -> int:
        return self.start + self.done

    @property
    def left(self) -> int:
        return self.end - self.position


class _Partial:
    """`<name>.part` and its record. link: where the url led last, which may expire at any time."""

    def __init__(self, file: RemoteFile, folder: Path, piece: int):
        self.file, self.link, self.unranged = file, "", 0
        self.path, self._record = _part_paths(file, folder)
        recorded = _read_record(file, folder)
        self.pieces = recorded or [_Piece(at, min(at + piece, file.bytes)) for at in range(0, file.bytes, piece)]
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        os.ftruncate(self._descriptor, file.bytes)
        self.record()

    @property
    def done(self) -> int:
        return sum(piece.done for piece in self.pieces)

    def write(self, piece: _Piece, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._descriptor, rest, piece.position)
            piece.done += written
            rest = rest[written:]

    def give_up_ranges(self) -> None:
        self.pieces, self.unranged = [_Piece(0, self.file.bytes)], 0

    def record(self) -> None:
        """Put on disk what was written, then say so: a record is never ahead of the data, whatever dies."""
        pieces = [[p.start, p.end, p.done] for p in self.pieces]
        content = json.dumps({"checksum": self.file.checksum, "bytes": self.file.bytes, "pieces": pieces})
        fresh = self._record.with_name(f"{self._record.name}.new")
        try:
            os.fsync(self._descriptor)
            fresh.write_text(content)
            fresh.replace(self._record)
        except OSError:
            fresh.unlink(missing_ok=True)
            self._overwrite(content)

    def _overwrite(self, content: str) -> None:
        """Write the record in its own place, where a full disk still has room; at worst the one before it stays."""
        with contextlib.suppress(OSError), self._record.open("r+") as record:
            record.write(content)
            record.truncate()

    def close(self) -> None:
        self.record()
        os.close(self._descriptor)

    def finish(self) -> None:
        self.path.replace(self.path.with_name(self.file.name))
        self._record.unlink(missing_ok=True)

    def discard(self) -> None:
        self._record.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def _part_paths(file: RemoteFile, folder: Path) -> tuple[Path, Path]:
    return folder / f"{file.name}.part", folder / f"{file.name}.part.json"


def _read_record(file: RemoteFile, folder: Path) -> list[_Piece] | None:
    """The pieces of an earlier download of the same content; None if there was none, or its record makes no sense."""
    path, record = _part_paths(file, folder)
    try:
        content = json.loads(record.read_text())
        pieces = [_Piece(*map(int, piece)) for piece in content["pieces"]]
        whole = path.stat().st_size == content["bytes"] == file.bytes and content["checksum"] == file.checksum
    except (OSError, ValueError, KeyError, TypeError):
        return None
    ends = [0, *(p.end for p in pieces)]
    fits = ends[-1] == file.bytes and [p.start for p in pieces] == ends[:-1]
    return pieces if whole and fits and all(0 <= p.done <= p.end - p.start for p in pieces) else None


# ------------------------------------------------------------------------------------------------ the work
class _TryAgainError(SaidError):
    """A fault that another try may cure. after: seconds that the server asks us to wait."""

    def __init__(self, template: str, after: float = 0.0, /, **values: object):
        super().__init__(template, **values)
        self.after = after


class _NoRangesError(Exception):
    """The server sends whole files, whatever part is asked for."""


class _Download:
    """One call of `download`."""

    def __init__(
        self,
        files: Sequence[RemoteFile],
        folder: Path,
        token: str | None,
        progress: Callable[[Progress], None],
        stop: threading.Event,
        transfer: Transfer,
        arrived: Callable[[RemoteFile], None],
    ):
        self._files, self._folder, self._token, self._arrived = files, folder, token, arrived
        self._progress, self._stop, self._transfer = progress, stop, transfer
        self._total, self._before = sum(f.bytes for f in files), 0  # before: bytes of the files that are whole
        self._note, self._received = "", 0
        self._history: deque[tuple[float, int]] = deque(maxlen=RATE_TICKS)

    async def run(self) -> None:
        patience = httpx2.Timeout(self._transfer.stall, pool=None)
        client = httpx2.AsyncClient(transport=AsyncTransport(), timeout=patience, follow_redirects=False)
        async with client as self._client:
            for file in self._files:
                if not file.is_in(self._folder):
                    await self._file(file)
                self._arrived(file)
                self._before += file.bytes

    async def _file(self, file: RemoteFile) -> None:
        for piece in (self._transfer.piece, max(file.bytes, 1)):  # the second time without ranges to be wrong about
            partial = _Partial(file, self._folder, piece)
            try:
                await self._fill(partial)
            finally:
                partial.close()
            if await self._checksum_is_right(partial):
                return partial.finish()
            partial.discard()
        raise DownloadError(
            "{name} came twice with a wrong checksum, so it was thrown away. Try again later.", name=file.name
        )

    async def _fill(self, partial: _Partial) -> None:
        """Fetch all pieces. The first task that fails stops the others."""
        waiting = deque(piece for piece in partial.pieces if piece.left)
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(partial))
                connections = min(self._transfer.connections, len(waiting))
                workers = [group.create_task(self._work(partial, waiting)) for _ in range(connections)]
                await asyncio.gather(*workers)
                watch.cancel()
        except BaseExceptionGroup as failed:
            if not any(isinstance(error, _NoRangesError) for error in failed.exceptions):
                raise failed.exceptions[0] from None
            partial.give_up_ranges()
            await self._fill(partial)

    async def _watch(self, partial: _Partial) -> None:
        """Report, record, and look whether to stop."""
        recorded = monotonic()
        while True:
            self._report(partial, "waiting" if self._note else "fetching")
            if monotonic() - recorded >= self._transfer.record:
                partial.record()
                recorded = monotonic()
            await asyncio.sleep(TICK_S)

    def _report(self, partial: _Partial, stage: str) -> None:
        if self._stop.is_set():
            raise CancelledError("The download was paused.")
        now = monotonic()
        self._history.append((now, self._received))
        (then, received), seconds = self._history[0], now - self._history[0][0]
        rate = (self._received - received) / seconds if now > then else 0.0
        done = self._before + partial.done
        self._progress(Progress(partial.file.name, stage, done, self._total, rate, self._note))

    async def _work(self, partial: _Partial, waiting: deque[_Piece]) -> None:
        while waiting:
            await self._piece(partial, waiting.popleft())

    async def _piece(self, partial: _Partial, piece: _Piece) -> None:
        failures = 0
        while piece.left:
            before = self._received
            try:
                await self._request(partial, piece)
            except (_TryAgainError, httpx2.HTTPError, httpx2.InvalidURL) as error:
                partial.link = ""  # it may have expired
                if partial.unranged >= UNRANGED_ANSWERS:
                    raise _NoRangesError from error
                failures = 1 if self._received > before else failures + 1
                await self._pause(partial, failures, error)

    async def _pause(self, partial: _Partial, failures: int, error: Exception) -> None:
        reason = _reason(error, partial.link or partial.file.url, self._transfer.stall)
        if failures >= self._transfer.tries or is_of_certificates(error):
            raise DownloadError(
                "{name} does not come: {reason}. What has arrived is kept: start it again to continue.",
                name=partial.file.name,
                reason=reason,
            ) from error
        seconds = min(self._transfer.pause * 2 ** (failures - 1), self._transfer.longest_pause)
        seconds *= random.uniform(0.5, 1)  # so that connections that broke together do not come back together
        seconds = max(seconds, min(getattr(error, "after", 0.0), self._transfer.longest_asked))
        self._note = Text("{reason}; trying again", reason=reason)
        await asyncio.sleep(seconds)

    async def _request(self, partial: _Partial, piece: _Piece) -> None:
        """Ask for the rest of a piece and write what comes, nothing beyond its end."""
        async with self._answer(partial, piece) as response:
            _check(response, partial, piece)
            async for data in response.aiter_bytes():  # as they come, but for a file that a proxy packed
                if data:
                    self._note = ""
                    self._received += len(data)
                    partial.write(piece, data[: piece.left])
                if not piece.left:
                    return
        raise _TryAgainError("the server sent less than it said")

    @contextlib.asynccontextmanager
    async def _answer(self, partial: _Partial, piece: _Piece) -> AsyncIterator[httpx2.Response]:
        """The answer at the end of the redirects."""
        url, wanted = partial.link or partial.file.url, f"bytes={piece.position}-{piece.end - 1}"
        for _ in range(MAX_REDIRECTS):
            # Compressed, ranges would be ranges of something else.
            headers = {"Range": wanted, "Accept-Encoding": "identity"}
            if self._token and origin(url) == origin(partial.file.url):
                headers["Authorization"] = f"Bearer {self._token}"
            async with self._client.stream("GET", url, headers=headers) as response:
                if not response.has_redirect_location:
                    if url != partial.file.url:
                        partial.link = url
                    yield response
                    return
                url = redirected(url, response.headers["Location"])
        raise _TryAgainError("the server redirects in circles")

    async def _checksum_is_right(self, partial: _Partial) -> bool:
        file = partial.file
        if file.checksum is None:
            return True  # the size was right, and that is all that is known
        digest = hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % file.bytes, usedforsecurity=False)
        reported = monotonic()
        with partial.path.open("rb") as content:
            while block := content.read(HASH_BLOCK_BYTES):
                digest.update(block)
                if monotonic() - reported >= TICK_S:
                    self._report(partial, "checking")
                    reported = monotonic()
                await asyncio.sleep(0)
        return digest.hexdigest() == file.checksum


def _check(response: httpx2.Response, partial: _Partial, piece: _Piece) -> None:
    """Raises AccessError, DownloadError or _TryAgainError where what comes is not what was asked for."""
    file, status = partial.file, response.status_code
    if status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.OK) and _is_packed(response):
        _check_packed(response, partial, piece)
    elif status == HTTPStatus.PARTIAL_CONTENT:
        _check_part(response, partial, piece)
    elif status == HTTPStatus.OK:
        _check_whole(response, partial, piece)
    elif status in BUSY_STATUSES or status >= 500:
        raise _TryAgainError("the server is busy (status {status})", retry_after(response.headers), status=status)
    elif str(response.url) != file.url:
        raise _TryAgainError("the link expired (status {status})", status=status)
    else:
        raise _refused(file, status)


def _refused(file: RemoteFile, status: int) -> DownloadError:
    """The error for a status that another try will not change."""
    host = urlsplit(file.url).hostname
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return AccessError(
            "{host} does not hand {name} out to us (status {status}).", host=host, name=file.name, status=status
        )
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return DownloadError(
            "{host} has no {name} at {url} (status {status}).", host=host, name=file.name, url=file.url, status=status
        )
    return DownloadError(
        "{host} does not give {name}: it answers with status {status}.",
        host=host,
        name=file.name,
        status=status_name(status),
    )


def _check_part(response: httpx2.Response, partial: _Partial, piece: _Piece) -> None:
    """A part of the file. Mirrors leave out where it lies, or how large the file is: a checksum then decides."""
    partial.unranged = 0
    place, size = _content_range(response)
    length = _length(response)
    if place is None and (partial.file.checksum is None or length not in (None, piece.left)):
        raise _TryAgainError("the server sent another part of the file")
    if place not in (None, piece.position) or size not in (None, partial.file.bytes):
        raise _TryAgainError("the server sent another part of the file")


def _check_whole(response: httpx2.Response, partial: _Partial, piece: _Piece) -> None:
    """A whole file in answer to a range: a server without ranges, or a page of some network's login."""
    size = partial.file.bytes
    if _length(response) not in (None, size):
        raise _TryAgainError("the server sent something else of another length")
    if (piece.start, piece.end) == (0, size):
        piece.done = 0
        return
    partial.unranged += 1
    raise _TryAgainError("the server sent the whole file instead of a part")


def _check_packed(response: httpx2.Response, partial: _Partial, piece: _Piece) -> None:
    """Raises _TryAgainError for what a proxy packed, unless it is the whole file and its checksum is known."""
    packing = response.headers["Content-Encoding"].strip().lower()
    if packing not in PACKINGS or partial.file.checksum is None:
        raise _TryAgainError("a proxy packed the file in a way that cannot be undone ({packing})", packing=packing)
    if piece.start or piece.end != partial.file.bytes:
        partial.unranged += 1
        raise _TryAgainError("a proxy packed a part of the file")
    if piece.done and response.status_code == HTTPStatus.PARTIAL_CONTENT:
        piece.done = 0
        raise _TryAgainError("a proxy packed a part of the file")
    piece.done = 0


def _is_packed(response: httpx2.Response) -> bool:
    return response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def _length(response: httpx2.Response) -> int | None:
    """Bytes that the server says it sends; None where it does not say, or makes no sense."""
    said = response.headers.get("Content-Length", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else None


def _content_range(response: httpx2.Response) -> tuple[int | None, int | None]:
    """First byte and size of the whole file, from `bytes 0-99/1000`; None for what is not said. -1 makes no sense."""
    said = response.headers.get("Content-Range")
    if said is None:
        return None, None
    match = re.fullmatch(r"bytes\s+(\d{1,18})-\d{1,18}/(\d{1,18}|\*)", said.strip(), re.ASCII)
    if match is None:
        return -1, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _reason(error: Exception, url: str, stall: float) -> str:
    """The end of a sentence on why a connection failed."""
    if isinstance(error, httpx2.ReadTimeout):
        return Text("nothing came for {seconds} s", seconds=f"{stall:g}")
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        return unreachable(url, error)
    return text_of(error) if isinstance(error, _TryAgainError) else Text("the connection broke")


def describe(progress: Progress) -> str:
    """Progress in a few words."""
    amount = f"{readable(progress.done)} of {readable(progress.total)}"
    if progress.stage == "fetching":
        return f"{amount}, {readable(progress.rate)}/s, {progress.file}"
    return f"{amount}, {progress.note or f'checking {progress.file}'}"
