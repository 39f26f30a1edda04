"""The whole application in a process of its own, with somebody at the keyboard.

    python -m tests.end_to_end.drive --data-dir DIR [--model MODEL]

Types a message, watches the answer stream in, stops a second one with Esc, and closes the window. Prints what was seen
as one JSON object.
"""

import json
import sys
import threading

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtTest import QTest

from app import __main__ as application
from app.engine_host import State
from app.window import MainWindow

TICK_MS = 10
ATTEMPTS = 10  # a short answer may be complete before Esc is pressed: then ask again


class Somebody(QObject):
    """Does one thing after the other, each when the window is ready for it."""

    def __init__(self, window: MainWindow):
        super().__init__(window)
        self.window, self.seen = window, {"growth": []}
        self._steps = self._script()
        self._wait = next(self._steps)
        self._timer = QTimer(self, interval=TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        try:
            if self.window.host.state is State.FAILED:
                raise RuntimeError("the model could not be loaded")
            if self._wait():
                self._wait = next(self._steps, None)
        except Exception as error:  # nobody would close the window
            self.seen["failure"] = repr(error)
            self._wait = None
            self.window.quit()
        if self._wait is None:
            self._timer.stop()

    def _script(self):
        """Yields what to wait for; acts in between."""
        yield self._is(State.READY)
        self._ask("Hi, how are you today?")
        yield self._answered
        self.seen["first"] = self._last_turn()
        for attempt in range(ATTEMPTS):
            self._ask("What do you like to do for fun?")
            yield self._streaming_or_done
            QTest.keyClick(self.window, Qt.Key.Key_Escape)
            yield self._is(State.READY)
            self.seen["stopped"], self.seen["attempts"] = self._last_turn(), attempt + 1
            if self.seen["stopped"]["finish_reason"] == "cancelled":
                break
        self.window.quit()

    def _ask(self, text: str) -> None:
        entry = self.window.chat.composer.entry
        QTest.keyClicks(entry, text)
        QTest.keyClick(entry, Qt.Key.Key_Return)

    def _is(self, state: State):
        return lambda: self.window.host.state is state

    def _answered(self) -> bool:
        shown = len(self.window.chat.transcript.messages()[-1].text)
        if shown not in self.seen["growth"]:
            self.seen["growth"].append(shown)
        return self.window.host.state is State.READY

    def _streaming_or_done(self) -> bool:
        return bool(self.window.chat.conversation.path()[-1].text) or self.window.host.state is State.READY

    def _last_turn(self) -> dict:
        answer = self.window.chat.conversation.path()[-1]
        return {
            "answer": answer.text,
            "error": answer.error,
            "finish_reason": answer.finish,
            "tokens": answer.receipt["tokens"],
            "bytes_read": answer.receipt["per_token"].get("bytes_read", 0),
        }


def main() -> int:
    present = []
    started = MainWindow.start

    def start(window: MainWindow) -> None:
        started(window)
        present.append(Somebody(window))

    MainWindow.start = start
    code = application.main(sys.argv[1:])
    threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    print(json.dumps({**present[0].seen, "threads": threads}))
    return code


if __name__ == "__main__":
    sys.exit(main())
