"""Work away from the GUI's thread, one call after the other."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from PySide6.QtCore import QObject, Qt, Signal


@dataclass
class Task:
    """A call on its way. `done` is set when it has ended, however it ended."""

    call: Callable
    succeeded: Callable | None
    failed: Callable | None
    done: threading.Event = field(default_factory=threading.Event)


class Worker(QObject):
    """A thread that does what it is given in order. Outcomes come back on the thread that made the worker."""

    _reported = Signal(object)

    def __init__(self, name: str, parent: QObject | None = None):
        super().__init__(parent)
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._open = True
        self._reported.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def submit(self, call: Callable, succeeded: Callable | None = None, failed: Callable | None = None) -> Task:
        """Do `call()`; then, on our own thread, `succeeded(result)` or `failed(error)`."""
        task = Task(call, succeeded, failed)
        if self._open:
            self._tasks.put(task)
        else:
            task.done.set()
        return task

    def tell(self, outcome: Callable[[], None]) -> None:
        """From the worker's thread, between the ends of its calls: do this on ours."""
        self._reported.emit(outcome)

    def shutdown(self) -> None:
        """Finish what was given, and end. Outcomes are not told any more. Harmless when repeated."""
        if self._open:
            self._open = False
            self._tasks.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                result = task.call()
                outcome = partial(task.succeeded, result) if task.succeeded else None
            except Exception as error:
                outcome = partial(task.failed or _raise, error)
            task.done.set()
            if outcome is not None:
                self._reported.emit(outcome)

    def _deliver(self, outcome: Callable[[], None]) -> None:
        if self._open:
            outcome()


def _raise(error: Exception) -> None:
    """What nobody takes care of is a bug, and is seen as one."""
    raise error
