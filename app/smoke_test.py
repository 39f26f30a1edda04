"""`flashbulb --smoke-test`: the real window with each model that is built in answers one prompt, says so, and closes.

For builds: it fails where an application was put together wrongly, by its status and with a sentence.
"""

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication

from app.window import MainWindow
from engine.statistics import Summary
from engine.system.built_in import built_in

PROMPT = "Hi, how are you today?"
PATIENCE_MS = 240_000


class SmokeTest(QObject):
    """Asks once the model is loaded, and ends the application after the answer."""

    def __init__(self, window: MainWindow, patience_ms: int = PATIENCE_MS):
        super().__init__(window)
        self._window = window
        self._models, self._tokens = list(built_in()), 0
        host = window.host
        host.loaded.connect(self._ask)
        host.finished.connect(self._judge)
        host.load_failed.connect(self._fail)
        host.answer_failed.connect(self._fail)
        host.answer_refused.connect(self._fail)
        self._timer = QTimer(self, singleShot=True, interval=patience_ms)
        self._timer.timeout.connect(self._give_up)
        self._timer.start()

    def _ask(self) -> None:
        self._window.chat.send(PROMPT)

    def _judge(self, summary: Summary) -> None:
        import mlx.core as mx

        from engine.system.native_library import load_library

        if load_library() is None:
            self._fail("the native flash reader is missing")
        elif not summary.tokens:
            self._fail("the answer was empty")
        else:
            self._tokens += len(summary.tokens)
            self._go_on(str(mx.default_device()))

    def _go_on(self, device: str) -> None:
        """With the next model, which its host loads once it is done with this answer."""
        self._models.pop(0)
        if self._models:
            self._window.load(self._models[0])
        else:
            print(f"Smoke test: {self._tokens} tokens on {device}, native reader.", flush=True)
            self._end(0)

    def _give_up(self) -> None:
        self._fail(f"no answer within {self._timer.interval() / 1000:g} seconds")

    def _fail(self, reason: str, details: str = "") -> None:
        print(f"Smoke test failed: {reason}\n{details}", flush=True)
        self._end(1)

    def _end(self, status: int) -> None:
        self._timer.stop()
        self._window.quit()
        QApplication.exit(status)
