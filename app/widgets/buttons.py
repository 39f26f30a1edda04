"""The small buttons beside messages."""

from PySide6.QtCore import QEvent, QSize, Qt, QTimer
from PySide6.QtGui import QHideEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QStyleOptionToolButton, QToolButton, QWidget

from app.widgets.colours import colours
from app.widgets.focus import paint_ring
from app.widgets.icons import GRID, icon
from app.widgets.labels import set_tip

CONFIRMATION_MS = 1500
BUTTON_SIZE = 26


class IconButton(QToolButton):
    """An icon with a name. A `shy` one is there for the keyboard and for screen readers, and painted when the mouse is
    near or the focus is on it."""

    def __init__(self, symbol: str, name: str, *, shy: bool = False, parent: QWidget | None = None):
        super().__init__(parent)
        self._symbol, self._shy, self._near = symbol, shy, not shy
        self.setAutoRaise(True)
        self.setIconSize(QSize(GRID - 2, GRID - 2))
        self.setFixedSize(BUTTON_SIZE, BUTTON_SIZE)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.set_name(name)
        self._confirmed = QTimer(self, singleShot=True, interval=CONFIRMATION_MS)
        self._confirmed.timeout.connect(self._recolour)
        self._recolour()

    def set_name(self, name: str) -> None:
        self.setAccessibleName(name)
        set_tip(self, name)  # which may be a model's

    def set_symbol(self, symbol: str) -> None:
        self._symbol = symbol
        self._recolour()

    def set_shy(self, shy: bool) -> None:
        """True if it is painted only when the mouse is near."""
        self._shy = shy
        self.set_near(self._near and shy)

    def set_near(self, near: bool) -> None:
        """True if the mouse is near."""
        self._near = near or not self._shy
        self.update()

    def confirm(self) -> None:
        """Show for a moment that it was done."""
        self.setIcon(icon("done", colours(self.palette()).quiet))
        self._confirmed.start()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._recolour()

    def initStyleOption(self, option: QStyleOptionToolButton) -> None:
        super().initStyleOption(option)
        option.features &= ~QStyleOptionToolButton.ToolButtonFeature.HasMenu  # no arrow beside the icon

    def hideEvent(self, event: QHideEvent) -> None:
        self._confirmed.stop()
        self._recolour()
        super().hideEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._near or self.hasFocus():
            super().paintEvent(event)
        if self.hasFocus():  # which only the keyboard brings here
            paint_ring(QPainter(self), self)

    def _recolour(self) -> None:
        self.setIcon(icon(self._symbol, colours(self.palette()).quiet))
