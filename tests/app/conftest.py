"""A window with a stand-in for the engine, and a guard that every test leaves nothing behind."""

import gc
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, Qt, QTimer
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from app.host.engine_host import EngineHost, State
from app.widgets import language
from app.window import MainWindow
from engine.system import built_in
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.gguf_files import write_gguf


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:  # any other warning of Qt's fails the test
            item.add_marker(pytest.mark.qt_log_ignore(r"This plugin does not support (propagateSizeHints|raise)\(\)"))


@pytest.fixture(autouse=True)
def nothing_left(qapp):
    """Fails a test that leaves a running timer or a visible window behind; threads are looked after further up."""
    yield
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qapp.processEvents()
    left = [f"timer of {t.parent()}" for t in gc.get_objects() if type(t) is QTimer and _is_active(t)]
    left += [f"window {w}" for w in QApplication.topLevelWidgets() if w.isVisible()]
    assert not left, f"left behind: {', '.join(left)}"


def _is_active(timer: QTimer) -> bool:
    return shiboken6.isValid(timer) and timer.isActive()


@pytest.fixture(autouse=True)
def english(qapp, monkeypatch):
    """English, whatever language this machine is set to."""
    monkeypatch.setattr(language, "system_languages", lambda: ["en-US"])
    language.use(language.SYSTEM)


@pytest.fixture(autouse=True)
def without_the_assistant(monkeypatch):
    """Windows begin with the starter, as where the assistant's package is not installed; `with_the_assistant` is."""
    monkeypatch.setattr(built_in, "ASSISTANT_PACKAGE", "no_package_of_this_name")


@pytest.fixture
def with_the_assistant(tmp_path, monkeypatch):
    """As where a package is installed that holds an assistant's file."""
    folder = tmp_path / "site-packages" / "some_assistant"
    folder.mkdir(parents=True)
    write_gguf(folder / "assistant.gguf")
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setattr(built_in, "ASSISTANT_PACKAGE", "some_assistant")
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))


@pytest.fixture
def make_host():
    """`make_host(engine)`: a host, shut down at the end of the test."""
    hosts = []

    def make(engine) -> EngineHost:
        hosts.append(EngineHost(engine))
        return hosts[-1]

    yield make
    for host in hosts:
        host.shutdown()
        host.deleteLater()


@pytest.fixture
def open_window(qtbot, make_host):
    """`open_window(engine)`: a window that has loaded or failed to, around a stand-in unless told otherwise.

    It is closed at the end of the test.
    """
    windows = []

    def make(engine=None, *, wait: bool = True, **arguments) -> MainWindow:
        window = MainWindow(make_host(engine or FakeEngine()), **{"stays": False} | arguments)
        windows.append(window)
        window.show()
        qtbot.waitExposed(window)
        window.start()
        if wait:
            qtbot.waitUntil(lambda: window.host.state in (State.READY, State.FAILED))
        return window

    yield make
    for window in windows:
        window.quit()
        window.deleteLater()


@pytest.fixture
def set_scheme(qapp):
    """`set_scheme(Qt.ColorScheme.Dark)`: as if the system had changed its appearance."""
    before = qapp.palette()

    def set_it(scheme: Qt.ColorScheme) -> None:
        qapp.styleHints().setColorScheme(scheme)
        if qapp.styleHints().colorScheme() != scheme:  # a platform without appearances, like offscreen
            dark = scheme == Qt.ColorScheme.Dark
            palette = QPalette(QColor("#323232" if dark else "#efefef"))
            palette.setColor(QPalette.ColorRole.Base, QColor("#242424" if dark else "#ffffff"))
            qapp.setPalette(palette)

    yield set_it
    qapp.styleHints().unsetColorScheme()
    qapp.setPalette(before)
