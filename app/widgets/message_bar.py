"""One thing to say in its place in a window: what happened, and perhaps what can be done about it."""

from collections.abc import Callable

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from app.widgets.buttons import IconButton
from app.widgets.colours import colours, mix
from app.widgets.labels import Label
from app.widgets.language import tr


class MessageBar(QWidget):
    """Hidden while there is nothing to say. A new message takes the place of the old one: they never pile up."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._act: Callable[[], object] | None = None
        self.label = Label()
        self.label.setWordWrap(True)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.action = QPushButton()
        self.action.clicked.connect(self._on_action)
        self.close_button = IconButton("close", tr("Put this away"))
        self.close_button.clicked.connect(self.clear)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        row = QHBoxLayout(self)
        row.setContentsMargins(24, 7, 14, 7)
        row.addWidget(self.label, 1)
        row.addWidget(self.action)
        row.addWidget(self.close_button)
        self.hide()

    @property
    def text(self) -> str:
        """The words that are shown; empty for none."""
        return self.label.text() if not self.isHidden() else ""

    def say(self, text: str, action: str = "", act: Callable[[], object] | None = None) -> None:
        """Show `text`, and a button called `action` which does `act`."""
        self._act = act
        self.label.setText(text)
        self.action.setText(action)
        self.action.setVisible(bool(action))
        self.setAccessibleName(text)
        self.show()

    def clear(self) -> None:
        """Nothing is said any more."""
        self._act = None
        self.hide()

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades, painter = colours(self.palette()), QPainter(self)
        painter.fillRect(QRectF(self.rect()), mix(shades.memory, self.palette().window().color(), 0.86))
        painter.fillRect(0, self.height() - 1, self.width(), 1, shades.hairline)

    def _on_action(self) -> None:
        act = self._act
        self.clear()
        if act:
            act()
