"""The whole application in a process of its own, with a person before it.

    python -m tests.end_to_end.person DAY --data-dir FOLDER

The person presses keys and buttons, each when what the last one asked for is there. DAY names a function of `days` or
`hosting`. What was seen is printed as one JSON object at the end.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app import __main__ as application
from app.chat.message import Answer
from app.conversations.conversation import Message
from app.host.engine_host import State
from app.window import MainWindow

TICK_MS = 10
PATIENCE_S = 40  # for one thing: MLX alone takes a while to import on a busy machine
Condition = Callable[[], object]
COMMAND, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


class Person(QObject):
    """Goes through a day, a generator that acts and yields what to wait for. `seen`: what there is to tell of it."""

    def __init__(self, window: MainWindow, day: Callable[["Person"], Iterator[Condition]]):
        super().__init__(window)
        self.window, self.seen = window, {}
        self._day = day(self)
        self._wait: Condition | None = lambda: True
        self._since = time.monotonic()
        self._timer = QTimer(self, interval=TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        try:
            if self.window.host.state is State.FAILED:
                raise RuntimeError("the model could not be loaded")
            if self._wait():
                self._wait, self._since = next(self._day, None), time.monotonic()
            elif time.monotonic() - self._since > PATIENCE_S:
                raise TimeoutError
        except Exception as error:  # nobody would close the window
            self.seen["failure"] = f"{error!r}, line {self._line()}"
            self._wait = None
            self.window.quit()
        if self._wait is None:
            self._timer.stop()

    def _line(self) -> int | None:
        """The line of `days.py` that we are at."""
        generator = self._day
        while (inner := generator.gi_yieldfrom) is not None:
            generator = inner
        return generator.gi_frame.f_lineno if generator.gi_frame else None

    # ------------------------------------------------------------------ hands
    def press(self, key: Qt.Key, modifiers=Qt.KeyboardModifier.NoModifier, widget: QWidget | None = None) -> None:
        """Press a key where the focus is, or in a widget."""
        QTest.keyClick(widget or QApplication.focusWidget() or self.window, key, modifiers)

    def type(self, text: str, widget: QWidget | None = None) -> None:
        QTest.keyClicks(widget or QApplication.focusWidget(), text)

    def click(self, widget: QWidget) -> None:
        if not (widget.isVisible() and widget.isEnabled()):
            raise RuntimeError(f"nobody could click on {widget.accessibleName() or widget}")
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton)

    def ask(self, text: str) -> None:
        entry = self.window.chat.composer.entry
        self.click(entry.viewport())
        self.type(text, entry)
        self.press(Qt.Key.Key_Return, widget=entry)

    def back(self) -> bool:
        """At the main window, where a window manager would lead us: an offscreen desktop has none."""
        self.window.activateWindow()
        return self.window.isActiveWindow()

    # ------------------------------------------------------------------ eyes
    def gone(self) -> bool:
        """The application has ended: nobody is there to see it."""
        return False

    def ready(self) -> bool:
        return self.window.host.state is State.READY

    def writing(self) -> bool:
        """Some of the answer is there; or all of it, if it was short."""
        return bool(self.answer().text) or self.ready()

    def answer(self) -> Message:
        return self.window.chat.conversation.path()[-1]

    def last(self) -> Answer:
        """The answer as it is shown."""
        return self.window.chat.transcript.messages()[-1]

    def conversation(self) -> list[list]:
        return [[m.role, m.text, m.finish] for m in self.window.chat.conversation.path()]

    def titles(self) -> list[str]:
        return [head.title for head in self.window.sidebar.model.heads()]


def main() -> int:
    from tests.end_to_end import days, hosting

    day, *arguments = sys.argv[1:]
    present = []
    started = MainWindow.start

    def start(window: MainWindow) -> None:
        started(window)
        present.append(Person(window, (vars(days) | vars(hosting))[day]))

    MainWindow.start = start
    code = application.main(arguments)
    threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    print(json.dumps({**present[0].seen, "threads": threads}))
    return code


if __name__ == "__main__":
    sys.exit(main())
