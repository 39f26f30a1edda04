"""The programs that are connected: as they call themselves, and how many of their requests are under way."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SHOWN_S = 60.0  # a program is connected for so long after its last request
MAX_NAME_CHARACTERS = 60  # characters
MAX_PROGRAMS = 100  # that are remembered
NAMELESS = "unknown"


@dataclass(frozen=True)
class Program:
    """A program that is connected. under_way: its requests that have no answer yet."""

    name: str
    under_way: int


def program_of(headers: Mapping[str, str]) -> str:
    """The name of a request's program: the title that it gives itself, or the first word of its user agent without a
    version."""
    said = headers.get("x-title") or headers.get("user-agent", "").split(" ")[0]
    name, slash, version = said.rpartition("/")
    named = name if slash and version[:1].isdigit() else said
    return "".join(c for c in named if c.isprintable())[:MAX_NAME_CHARACTERS].strip() or NAMELESS


class Programs:
    """Counts requests by program. Any thread may look."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: dict[str, int] = {}
        self._seen: dict[str, float] = {}

    def began(self, name: str) -> None:
        """A request of a program is there."""
        with self._lock:
            self._under_way[name] = self._under_way.get(name, 0) + 1
            self._see(name)

    def ended(self, name: str) -> None:
        """A request of it is over."""
        with self._lock:
            self._under_way[name] -= 1
            if not self._under_way[name]:
                del self._under_way[name]
            self._see(name)

    def connected(self) -> list[Program]:
        """Those that are connected now, by name."""
        with self._lock:
            recent = {name for name, moment in self._seen.items() if self._clock() - moment < SHOWN_S}
            names = sorted(recent | self._under_way.keys())
            return [Program(name, self._under_way.get(name, 0)) for name in names]

    def _see(self, name: str) -> None:
        self._seen.pop(name, None)
        self._seen[name] = self._clock()
        if len(self._seen) > MAX_PROGRAMS:
            del self._seen[next(iter(self._seen))]
