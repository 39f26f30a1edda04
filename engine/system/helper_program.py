"""The program of a helper process: what it may do, and how it is asked.

It reads requests from standard input and writes replies to standard output, each as 8 bytes of length and then JSON. It
has little memory, writes no files and starts no other processes, and ends when its input does.
"""

import contextlib
import json
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

LENGTH_BYTES = 8
MEMORY_BYTES = 512_000_000  # of address space; a Python with Jinja has 50 MB


def run(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Reply to what is read from standard input, until that ends."""
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    for kind, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _limit(kind, value)
    while (request := _read(requests)) is not None:
        reply = json.dumps(answer(request)).encode()
        replies.write(len(reply).to_bytes(LENGTH_BYTES, "big") + reply)
        replies.flush()


def _limit(kind: int, value: int) -> None:
    """Lower a soft limit, where the system lets us: what it does not enforce, the parent watches."""
    _, hard = resource.getrlimit(kind)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


@contextlib.contextmanager
def limited_time(seconds: float) -> Iterator[None]:
    """A block that may take so much processor time, in whole seconds: then the system ends this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds))
    try:
        yield
    finally:
        _limit(resource.RLIMIT_CPU, resource.RLIM_INFINITY)


def _read(requests: BinaryIO) -> dict[str, Any] | None:
    header = requests.read(LENGTH_BYTES)
    if len(header) < LENGTH_BYTES:
        return None
    content: dict[str, Any] = json.loads(requests.read(int.from_bytes(header, "big")))
    return content
