"""A part that scrolls where there is no room for it."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QSpinBox, QVBoxLayout, QWidget

from app.widgets.fitting import FittingArea


@pytest.fixture
def holder(qtbot):
    widget = QWidget()
    column = QVBoxLayout(widget)
    for _ in range(8):
        column.addWidget(QSpinBox(maximum=100, value=50))
    holder = QWidget()
    QVBoxLayout(holder).addWidget(FittingArea(widget))
    qtbot.addWidget(holder)
    holder.show()
    return holder


def turn(box):
    """Turn the wheel over a box. Returns whether it took that, and did not leave it to what is around it."""
    none = (Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)
    event = QWheelEvent(QPointF(5, 5), QPointF(5, 5), QPoint(), QPoint(0, -120), *none)
    QApplication.sendEvent(box, event)
    return event.isAccepted()


def test_it_is_whole_where_there_is_room_and_scrolls_where_there_is_none(qtbot, holder):
    area = holder.findChild(FittingArea)
    qtbot.waitUntil(lambda: area.verticalScrollBar().maximum() == 0)
    boxes = area.widget().findChildren(QSpinBox)
    heights = [box.height() for box in boxes]
    area.window().resize(300, 120)
    qtbot.waitUntil(lambda: area.verticalScrollBar().maximum() > 0)
    assert [box.height() for box in boxes] == heights


def test_the_wheel_changes_only_a_value_that_has_the_focus(qtbot, holder):
    area = holder.findChild(FittingArea)
    area.window().resize(300, 120)
    qtbot.waitUntil(lambda: area.verticalScrollBar().maximum() > 0)
    first, second, *_ = area.widget().findChildren(QSpinBox)
    first.setFocus()
    qtbot.waitUntil(first.hasFocus)
    assert (turn(second), second.value()) == (False, 50)
    assert (turn(first), first.value()) == (True, 49)
