"""Helper processes: what strangers wrote is run or looked at in one, with limits. It is kept, and never left behind.

`engine.system.helper_program` says what such a process may do. What it cannot forbid itself everywhere, memory and
time, is watched from here as well.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from threading import Event, Lock
from time import monotonic
from typing import Any

from engine.errors import CancelledError
from engine.system.footprint import count_helper, discount_helper, footprint_of
from engine.system.helper_program import LENGTH_BYTES, MEMORY_BYTES

PATIENCE_S = 20.0  # for a reply, however busy the machine is
LOOK_S = 0.01  # between two looks at whether it was cancelled, and at the helper's memory
CHUNK_BYTES = 1_000_000


class Helper:
    """A helper process: started when it is first needed, and again where it had to be ended. Threads take turns.

    program: its module, which calls `engine.system.helper_program.run`.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = Lock()

    def warm(self) -> None:
        """Start the process, without waiting until it is ready."""
        with self._turn:
            self._running()

    def close(self) -> None:
        """End the process, whatever it does. It starts again when it is needed."""
        with self._turn:
            self._end()

    def ask(self, request: dict[str, Any], cancelled: Event | None = None) -> dict[str, Any]:
        """The reply to a request, as the program gives it; else `{"fault", "reason", "line"}`, of a process that ended
        or had to be: it took too much time or memory. Raises CancelledError."""
        with self._turn:
            try:
                return self._exchange(request, cancelled)
            except _GoneError as gone:
                return {"fault": gone.fault, "reason": "its process ended", "line": 0}

    def _exchange(self, request: dict[str, Any], cancelled: Event | None) -> dict[str, Any]:
        content = json.dumps(request).encode()
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        done = False
        try:
            watch = _Watch(process, cancelled)
            _write(process.stdin.fileno(), len(content).to_bytes(LENGTH_BYTES, "big") + content, watch)
            length = int.from_bytes(_read(process.stdout.fileno(), LENGTH_BYTES, watch), "big")
            reply: dict[str, Any] = json.loads(_read(process.stdout.fileno(), length, watch))
            done = True
            return reply
        finally:
            if not done:
                self._end()  # what it would still say belongs to nobody

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = _start(self._program)
            count_helper(self._process.pid)
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()
        discount_helper(process.pid)


def _start(program: str) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in ("TZ", "LANG", "LC_ALL") if name in os.environ}
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=kept | path,
        cwd="/",  # nothing is imported from wherever we were started, which may be a model's folder
        bufsize=0,
    )
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
    return process


class _GoneError(Exception):
    """The process ended, or had to be."""

    def __init__(self, fault: str):
        super().__init__(fault)
        self.fault = fault


class _Watch:
    """Looks now and then at whether to go on waiting for a process."""

    def __init__(self, process: subprocess.Popen[bytes], cancelled: Event | None):
        self._process, self._cancelled = process, cancelled
        self._until = monotonic() + PATIENCE_S

    def look(self) -> None:
        """Raises CancelledError, or _GoneError for a process that takes too much."""
        if self._cancelled is not None and self._cancelled.is_set():
            raise CancelledError("The work was cancelled before it was complete.")
        if footprint_of(self._process.pid) > MEMORY_BYTES:
            raise _GoneError("memory")
        if monotonic() > self._until:
            raise _GoneError("time")

    def end(self) -> str:
        """The fault for which a process ended by itself, or by the system."""
        return "time" if self._process.wait(PATIENCE_S) == -signal.SIGXCPU else "memory"


def _write(pipe: int, content: bytes, watch: _Watch) -> None:
    view = memoryview(content)
    while view:
        watch.look()
        if _ready(pipe, select.POLLOUT):
            try:
                view = view[os.write(pipe, view[:CHUNK_BYTES]) :]
            except OSError as error:
                raise _GoneError("error") from error


def _read(pipe: int, length: int, watch: _Watch) -> bytes:
    content = bytearray()
    while len(content) < length:
        if not _ready(pipe, select.POLLIN):
            watch.look()
        elif part := os.read(pipe, min(length - len(content), CHUNK_BYTES)):
            content += part
        else:
            raise _GoneError(watch.end())
    return bytes(content)


def _ready(pipe: int, event: int) -> bool:
    poll = select.poll()
    poll.register(pipe, event)
    return bool(poll.poll(1000 * LOOK_S))
