"""One block of the panel: a quiet heading, one strong number, a picture, and the words that go with it."""

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.widgets.colours import colours
from app.widgets.labels import SMALL_FACTOR, ChatLabel, Label, at_both_ends, quiet, set_tip

STRONG_FACTOR = 1.6  # of the usual size of text
COLUMN_GAP = 10  # pixels


class Section(QWidget):
    """A block. `explanation` is the tooltip of the whole: the quantity, and how it is measured."""

    def __init__(self, title: str, explanation: str, parent: QWidget | None = None):
        super().__init__(parent)
        set_tip(self, explanation)
        self.setAccessibleName(title)
        self.aside = quiet(kind=ChatLabel)
        heading = ChatLabel(title, colour="quiet", factor=SMALL_FACTOR, weight=QFont.Weight.DemiBold)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(7)
        self._layout.addLayout(at_both_ends(heading, self.aside))

    def add_strong(self) -> tuple[Label, Label]:
        """The block's one strong number, and the small words after it."""
        number, words = ChatLabel("–", factor=STRONG_FACTOR, weight=QFont.Weight.DemiBold), quiet(kind=ChatLabel)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(number, 0, Qt.AlignmentFlag.AlignBaseline)
        row.addWidget(words, 1, Qt.AlignmentFlag.AlignBaseline)
        self._layout.addLayout(row)
        return number, words

    def add(self, widget: QWidget) -> None:
        self._layout.addWidget(widget)

    def describe(self, text: str) -> None:
        """The block in words, for those who do not see it."""
        if text != self.accessibleDescription():
            self.setAccessibleDescription(text)


class Legend(QWidget):
    """Names and values in a few columns. Entries are (name, its colour's name or "", its tooltip or "")."""

    def __init__(self, entries: Sequence[tuple[str, str, str]], columns: int = 2, parent: QWidget | None = None):
        super().__init__(parent)
        self._grid, self._columns = QGridLayout(self), columns
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(5)
        self._entries = [_Entry(name, colour, tip, self) for name, colour, tip in entries]
        for column in range(columns):
            self._grid.setColumnStretch(4 * column + 2, 1)
        for column in range(columns - 1):
            self._grid.setColumnMinimumWidth(4 * column + 3, COLUMN_GAP)
        self._place(self._entries)

    def rename(self, index: int, name: str, about: str = "") -> None:
        """Call an entry by another name. about: its tooltip."""
        self._entries[index].rename(name, about)

    def set_values(self, *texts: str | None) -> None:
        """A text for each entry; None for one that there is not, which leaves no hole."""
        shown = []
        for entry, text in zip(self._entries, texts, strict=True):
            if text is not None:
                entry.value.setText(text)
                shown.append(entry)
        if shown != self._shown:
            self._place(shown)

    def text(self) -> str:
        """All of it in words."""
        return ", ".join(f"{entry.name.text()} {entry.value.text()}" for entry in self._shown)

    def _place(self, shown: list["_Entry"]) -> None:
        self._shown = shown
        for entry in self._entries:
            entry.set_shown(entry in shown)
        for index, entry in enumerate(shown):
            row, column = divmod(index, self._columns)
            column *= 4  # swatch, name, value, gap
            if entry.swatch:
                self._grid.addWidget(entry.swatch, row, column)
            self._grid.addWidget(entry.name, row, column + 1)
            self._grid.addWidget(entry.value, row, column + 2, Qt.AlignmentFlag.AlignRight)


class _Entry:
    """The widgets of a legend's entry."""

    def __init__(self, name: str, colour: str, tip: str, parent: QWidget):
        self.swatch = _Swatch(colour, parent) if colour else None
        self.name, self.value = quiet(kind=ChatLabel), ChatLabel("–", factor=SMALL_FACTOR)
        for widget in (self.name, self.value):
            widget.setParent(parent)
        self.rename(name, tip)

    def rename(self, name: str, tip: str) -> None:
        self.name.setText(name)
        for widget in (self.name, self.value):
            set_tip(widget, tip)

    def set_shown(self, shown: bool) -> None:
        for widget in filter(None, (self.swatch, self.name, self.value)):
            widget.setVisible(shown)


class _Swatch(QWidget):
    def __init__(self, colour: str, parent: QWidget | None = None):
        super().__init__(parent)
        self._colour = colour
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(9, 9)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(getattr(colours(self.palette()), self._colour))
        painter.drawRoundedRect(QRectF(self.rect()), 2, 2)
