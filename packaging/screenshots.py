"""Take README's screenshots: the real window, the real starter model, in light and in dark.

    xvfb-run -a -s "-screen 0 1400x1000x24" uv run python packaging/screenshots.py

On Linux, appearances need QT_QPA_PLATFORMTHEME=gnome, which this sets.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORMTHEME", "gnome")

from PySide6.QtCore import QEventLoop, Qt, QTimer
from PySide6.QtWidgets import QApplication

import engine
from app.engine_host import EngineHost, State
from app.window import MainWindow

IMAGES = Path(__file__).parents[1] / "resources" / "images"
MESSAGES = ("Hi! How are you today?", "I just got a puppy.", "What do you like to do on weekends?")
SCHEMES = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
PATIENCE_S = 120


def spin(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def until(condition: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > PATIENCE_S:
            sys.exit("the window did not get that far")
        spin(20)


def main() -> None:
    application = QApplication([])
    window = MainWindow(EngineHost(engine))
    window.show()
    window.start()
    until(lambda: window.host.state is State.READY)
    for message in MESSAGES:
        window.chat.send(message)
        until(lambda: window.host.state is State.READY)
    for name, scheme in SCHEMES.items():
        application.styleHints().setColorScheme(scheme)
        spin(500)
        window.grab().save(str(IMAGES / f"window-{name}.png"))
    window.close()


if __name__ == "__main__":
    main()
