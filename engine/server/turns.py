"""Turns: who is next, of all that wait for the engine. Any thread may put and take."""

import threading
from collections import deque
from typing import Generic, TypeVar

from engine.server.answering import BusyError

MAX_WAITING = 64  # requests of programs, in all
USUAL_WAIT_S = 5  # until a busy server is asked again

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """Items that wait: the window's own come first; then programs take turns, however much each of them asks."""

    def __init__(self) -> None:
        self._window: deque[Item] = deque()
        self._programs: dict[str, deque[Item]] = {}  # that have something waiting; the next in turn first
        self._changed = threading.Condition()

    def put(self, item: Item, program: str | None = None) -> None:
        """Let an item wait. program: None for the window's own. Raises BusyError where too many of programs wait."""
        with self._changed:
            if program is None:
                self._window.append(item)
            else:
                self._check_room()
                self._programs.setdefault(program, deque()).append(item)
            self._changed.notify()

    def take(self, seconds: float | None = None) -> Item | None:
        """The item whose turn it is, waited for; None if there was none in so many seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._window or self._programs, seconds):
                return None
            return self._window.popleft() if self._window else self._of_next_program()

    def drain(self) -> list[Item]:
        """All that waits, which then waits no more."""
        with self._changed:
            found = [*self._window, *(item for waiting in self._programs.values() for item in waiting)]
            self._window.clear()
            self._programs.clear()
            return found

    def of_programs(self) -> list[Item]:
        """All of programs that waits, and goes on waiting."""
        with self._changed:
            return [item for waiting in self._programs.values() for item in waiting]

    @property
    def window_waits(self) -> bool:
        """True if the window wants something."""
        return bool(self._window)

    def _of_next_program(self) -> Item:
        program, waiting = next(iter(self._programs.items()))
        item = waiting.popleft()
        del self._programs[program]
        if waiting:
            self._programs[program] = waiting
        return item

    def _check_room(self) -> None:
        if sum(map(len, self._programs.values())) >= MAX_WAITING:
            raise BusyError("{count} requests wait already. Try again later.", USUAL_WAIT_S, count=MAX_WAITING)
