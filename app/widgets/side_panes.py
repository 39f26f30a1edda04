"""The panes beside the conversation: where the window is too narrow they give way, and come back with the room."""

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QWidget

COMFORTABLE_WIDTH = 400  # pixels that the conversation keeps while there is a pane to give way


class SidePane(QObject):
    """A pane of fixed width and the line beside it, shown while its action is checked.

    folded: unchecked for want of room, not because anybody wanted it.
    """

    toggled = Signal(object, bool)  # this pane, and whether it is shown now

    def __init__(self, action: QAction, pane: QWidget, line: QWidget):
        super().__init__(action)
        self.action, self.pane, self.line, self.folded = action, pane, line, False
        action.toggled.connect(self._on_toggled)

    @property
    def wanted(self) -> bool:
        return self.action.isChecked() or self.folded

    @property
    def width(self) -> int:
        return self.pane.minimumWidth() + self.line.sizeHint().width()

    def _on_toggled(self, shown: bool) -> None:
        self.toggled.emit(self, shown)


class SidePanes(QObject):
    """In the order in which they give way. What a person opens stays, and the others give way to it."""

    def __init__(self, *panes: SidePane, parent: QObject):
        super().__init__(parent)
        self._panes = list(panes)
        self._opened: SidePane | None = None  # by a person, as the latest
        self._width = 0
        self._folding = False
        for side in panes:
            side.toggled.connect(self._on_toggled)
            side.pane.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A pane has become wider or narrower by itself, as with larger text."""
        if isinstance(event, QResizeEvent) and event.size().width() != event.oldSize().width() and not self._folding:
            self.fit(self._width)
        return super().eventFilter(watched, event)

    def fit(self, width: int) -> None:
        """The window is so many pixels wide. A pane may know how wide it is only once it is shown."""
        self._width = width
        for _ in self._panes:
            before = [side.width for side in self._panes]
            self._fold(width)
            if before == [side.width for side in self._panes]:
                return

    def _fold(self, width: int) -> None:
        kept = [side for side in self._panes if side.wanted]
        while kept and kept != [self._opened] and width - sum(side.width for side in kept) < COMFORTABLE_WIDTH:
            kept.pop(0)
        self._folding = True
        for side in self._panes:
            folded = side.wanted and side not in kept
            if folded != side.folded:
                side.folded = folded
                side.action.setChecked(not folded)
        self._folding = False

    def wants(self, action: QAction) -> bool:
        """True where a person wants a pane, whether or not there is room."""
        return self._of(action).wanted

    def _of(self, action: QAction) -> SidePane:
        return next(side for side in self._panes if side.action is action)

    def _on_toggled(self, side: SidePane, shown: bool) -> None:
        side.pane.setVisible(shown)
        side.line.setVisible(shown)
        if self._folding:
            return
        side.folded = False
        if shown:
            self._opened = side
            self._panes.sort(key=lambda other: other is side)
            self.fit(self._width)
        elif side is self._opened:
            self._opened = None
