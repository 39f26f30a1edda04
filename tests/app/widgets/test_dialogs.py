"""The small windows that the Help menu opens."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QPushButton, QTextBrowser

from app.widgets.dialogs import CHANGELOG


def test_news_are_the_changelog_as_a_person_reads_it(open_window, qtbot):
    open_window().news.trigger()
    dialog = QApplication.activeModalWidget()
    page = dialog.findChild(QTextBrowser)
    assert page.verticalScrollBar().value() == 0
    shown = page.toPlainText()
    for line in filter(None, CHANGELOG.read_text(encoding="utf-8").splitlines()):
        assert line.lstrip("#- ") in shown
    assert "##" not in shown
    qtbot.mouseClick(dialog.findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert not dialog.isVisible()
