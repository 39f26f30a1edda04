"""Turns: who is next, of all that wait for the engine. Any thread may put and take."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from engine.server.answering import BusyError

MAX_WAITING = 64  # requests of programs, in all
MAX_AHEAD = 4  # items in a row that are taken out of turn
USUAL_WAIT_S = 5  # until a busy server is asked again

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """Items that wait: the window's own come first; then programs take turns, however much each of them asks.

    ready: true of an item that takes no other model than the one in memory. A program whose next item is ready may go
    ahead of others, MAX_AHEAD times in a row. cancelled: true of an item that nobody waits for any more.
    """

    def __init__(
        self, ready: Callable[[Item], bool] = lambda _: True, cancelled: Callable[[Item], bool] = lambda _: False
    ) -> None:
        self._ready, self._cancelled = ready, cancelled
        self._ahead = 0  # items taken out of turn, in a row
        self._window: deque[Item] = deque()
        self._programs: dict[str, deque[Item]] = {}  # that have something waiting; the next in turn first
        self._changed = threading.Condition()

    def put(self, item: Item, program: str | None = None) -> list[Item]:
        """Let an item wait. program: None for the window's own. Raises BusyError where too many of programs wait.
        Returns those that were cancelled and make way for it: they wait no more."""
        with self._changed:
            if program is None:
                self._window.append(item)
                gone = []
            else:
                gone = self._make_room()
                self._programs.setdefault(program, deque()).append(item)
            self._changed.notify()
            return gone

    def take(self, seconds: float | None = None) -> Item | None:
        """The item whose turn it is, waited for; None if there was none in so many seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._window or self._programs, seconds):
                return None
            return self._window.popleft() if self._window else self._of_next_program()

    def drain(self) -> list[Item]:
        """All that waits, which then waits no more."""
        with self._changed:
            found = [*self._window, *self._all_of_programs()]
            self._window.clear()
            self._programs.clear()
            return found

    def of_window(self) -> list[Item]:
        """All of the window's that waits, and goes on waiting."""
        with self._changed:
            return [*self._window]

    def of_programs(self) -> list[Item]:
        """All of programs that waits, and goes on waiting."""
        with self._changed:
            return self._all_of_programs()

    @property
    def window_waits(self) -> bool:
        """True if the window wants something."""
        return bool(self._window)

    def _of_next_program(self) -> Item:
        first = next(iter(self._programs))
        ready = (name for name, waiting in self._programs.items() if self._ready(waiting[0]))
        program = next(ready, first) if self._ahead < MAX_AHEAD else first
        self._ahead = 0 if program == first else self._ahead + 1
        waiting = self._programs[program]
        item = waiting.popleft()
        del self._programs[program]
        if waiting:
            self._programs[program] = waiting
        return item

    def _make_room(self) -> list[Item]:
        """Take out what was cancelled, where there is no room. Raises BusyError."""
        waiting = self._all_of_programs()
        if len(waiting) < MAX_WAITING:
            return []
        gone = [item for item in waiting if self._cancelled(item)]
        if not gone:
            raise BusyError("{count} requests wait already. Try again later.", USUAL_WAIT_S, count=MAX_WAITING)
        left = {name: deque(each for each in items if each not in gone) for name, items in self._programs.items()}
        self._programs = {name: items for name, items in left.items() if items}
        return gone

    def _all_of_programs(self) -> list[Item]:
        return [item for waiting in self._programs.values() for item in waiting]
