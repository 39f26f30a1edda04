"""Work away from the GUI's thread, one call after the other."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal

from app.host.deadline import Deadline
from engine.system.threads import start_thread

Outcome = Callable[[Any], object]


@dataclass
class Task:
    """A call on its way. `done` is set when it has ended, however it ended."""

    call: Callable[[], object]
    succeeded: Outcome | None
    failed: Outcome | None
    done: threading.Event = field(default_factory=threading.Event)


class Worker(QObject):
    """A thread that does what it is given in order. Outcomes come back on the thread that made the worker.

    What does not end in time is left behind: the thread does not keep the process alive.
    """

    _reported = Signal(object)

    def __init__(self, name: str, parent: QObject | None = None):
        super().__init__(parent)
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._open = True
        self._reported.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._thread = start_thread(name, self._run)

    def submit(
        self, call: Callable[[], object], succeeded: Outcome | None = None, failed: Outcome | None = None
    ) -> Task:
        """Do `call()`; then, on our own thread, `succeeded(result)` or `failed(error)`."""
        task = Task(call, succeeded, failed)
        if self._open:
            self._tasks.put(task)
        else:
            task.done.set()
        return task

    def tell(self, outcome: Callable[[], object]) -> None:
        """From the worker's thread, between the ends of its calls: do this on ours."""
        with suppress(RuntimeError):  # we are gone, and the thread was left behind
            self._reported.emit(outcome)

    def finish(self) -> None:
        """Do what was given, and nothing after that. Outcomes are not told any more. Harmless when repeated."""
        if self._open:
            self._open = False
            self._tasks.put(None)

    def shutdown(self, deadline: Deadline | None = None) -> bool:
        """Finish, and wait for it. Returns whether it has ended. Harmless when repeated."""
        self.finish()
        return (deadline or Deadline.of_the_end()).join(self._thread)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            outcome = _outcome_of(task)
            task.done.set()
            if outcome is not None:
                self.tell(outcome)

    def _deliver(self, outcome: Callable[[], None]) -> None:
        if self._open:
            outcome()


def _outcome_of(task: Task) -> Callable[[], object] | None:
    try:
        result = task.call()
    except BaseException as error:  # whatever it is: what waits for it must hear of it, and the thread goes on
        return partial(task.failed or _raise, error)
    return partial(task.succeeded, result) if task.succeeded else None


def _raise(error: BaseException) -> None:
    """Raise what nobody takes care of: it is a bug, and is seen as one."""
    raise error
