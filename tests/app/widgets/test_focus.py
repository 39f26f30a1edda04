"""The ring that shows where the keyboard is."""

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from app.chat.markdown import TextView
from app.widgets.focus import Ring, Ringed

TAB = Qt.FocusReason.TabFocusReason
AIR = 4  # pixels


class Plain(Ringed, QWidget):
    """A widget with a ring inside of it."""


def show(qtbot, window):
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()


@pytest.fixture
def column(qtbot):
    """A column that scrolls, with two texts in it."""
    area, column = QScrollArea(widgetResizable=True), QWidget()
    layout = QVBoxLayout(column)
    for text in ("First.", "Second."):
        inner = QWidget()
        QVBoxLayout(inner).addWidget(view := TextView())
        inner.layout().setContentsMargins(0, 0, 0, 0)
        view.setPlainText(text)
        layout.addWidget(inner)
    layout.addStretch()
    area.setWidget(column)
    qtbot.addWidget(area)
    area.resize(300, 300)
    show(qtbot, area)
    yield column
    area.close()


def place_of(ring, column):
    return QRect(ring.mapTo(column, QPoint()), ring.size())


def test_a_text_has_air_between_its_letters_and_the_ring(qtbot, column):
    second = column.findChildren(TextView)[1]
    second.setFocus(TAB)
    (ring,) = column.findChildren(Ring)

    def around():
        place = QRect(second.mapTo(column, QPoint()), second.size())
        return place_of(ring, column) == place.adjusted(-AIR, -AIR, AIR, AIR)

    assert ring.isVisible()
    assert around()
    column.findChildren(TextView)[0].setPlainText("\n".join("more" for _ in range(5)))  # what is below moves
    qtbot.waitUntil(around)
    second.moveCursor(QTextCursor.MoveOperation.End)
    second.insertPlainText("\nand so on\nand on")
    qtbot.waitUntil(around)
    second.clearFocus()
    assert not ring.isVisible()


def test_the_ring_goes_with_what_it_is_around(qtbot, column):
    view = column.findChildren(TextView)[1]
    view.setFocus(TAB)
    (ring,) = column.findChildren(Ring)
    with qtbot.waitSignal(ring.destroyed):
        view.deleteLater()


def test_others_have_it_inside(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    widget = Plain(window)
    widget.resize(50, 20)
    show(qtbot, window)
    widget.setFocus(TAB)
    (ring,) = widget.findChildren(Ring)
    assert place_of(ring, widget) == QRect(0, 0, 50, 20)
    widget.resize(80, 20)
    assert place_of(ring, widget) == QRect(0, 0, 80, 20)
