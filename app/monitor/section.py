"""One block of the panel: a quiet heading, one strong number, a picture, and the words that go with it."""

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.widgets.colours import colours
from app.widgets.labels import SMALL, Label, at_both_ends, quiet, set_tip

STRONG_FACTOR = 1.6  # of the usual size of text
COLUMN_GAP = 10  # pixels


class Section(QWidget):
    """A block. `explanation` is the tooltip of the whole: the quantity, and how it is measured."""

    def __init__(self, title: str, explanation: str, parent: QWidget | None = None):
        super().__init__(parent)
        set_tip(self, explanation)
        self.setAccessibleName(title)
        self.aside = quiet()
        heading = Label(title, colour="quiet", factor=SMALL, weight=QFont.Weight.DemiBold)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(7)
        self._layout.addLayout(at_both_ends(heading, self.aside))

    def add_strong(self) -> tuple[Label, Label]:
        """The block's one strong number, and the small words after it."""
        number, words = Label("–", factor=STRONG_FACTOR, weight=QFont.Weight.DemiBold), quiet()
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
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(5)
        self._names = [name for name, _, _ in entries]
        self._labels: list[Label] = []
        self._values = [Label("–", factor=SMALL) for _ in entries]
        for index, (name, colour, tip) in enumerate(entries):
            row, column = divmod(index, columns)
            column *= 4  # swatch, name, value, gap
            if colour:
                grid.addWidget(_Swatch(colour), row, column)
            label = quiet(name)
            self._labels.append(label)
            for widget in (label, self._values[index]):
                set_tip(widget, tip)
            grid.addWidget(label, row, column + 1)
            grid.addWidget(self._values[index], row, column + 2, Qt.AlignmentFlag.AlignRight)
        for column in range(columns):
            grid.setColumnStretch(4 * column + 2, 1)
        for column in range(columns - 1):
            grid.setColumnMinimumWidth(4 * column + 3, COLUMN_GAP)

    def rename(self, index: int, name: str) -> None:
        """Call an entry by another name."""
        self._names[index] = name
        self._labels[index].setText(name)

    def set_values(self, *texts: str) -> None:
        for label, text in zip(self._values, texts, strict=True):
            label.setText(text)

    def text(self) -> str:
        """All of it in words."""
        pairs = zip(self._names, self._values, strict=True)
        return ", ".join(f"{name} {value.text()}" for name, value in pairs)


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
