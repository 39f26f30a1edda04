"""A model's reasoning before it answers: a line that tells of it, and the text below, while it is unfolded."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QUrl, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.chat.body import AnswerBody
from app.chat.code import CodeView
from app.chat.markdown import TextView, grow_at_once
from app.widgets import units
from app.widgets.colours import colours
from app.widgets.focus import Ringed
from app.widgets.labels import SMALL_FACTOR, scaled

ARROW, GAP = 7, 7  # pixels
PADDING = (2, 3)
BAR, INDENT = 2, 16  # pixels, of what is unfolded
MOMENT_S = 1.0  # what is shorter has no number


class FoldButton(Ringed, QAbstractButton):
    """A line of words with a small arrow that points down while what it tells of is unfolded."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setCheckable(True)
        self.setFont(scaled(self.font(), SMALL_FACTOR))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    def say(self, text: str) -> None:
        """Show words, and take the room that they need."""
        self.setText(text)
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        width = metrics.horizontalAdvance(self.text()) + GAP + ARROW + 2 * PADDING[0] + 2
        return QSize(width, metrics.height() + 2 * PADDING[1])

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.sizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades, painter = colours(self.palette()), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shade = shades.text if self.underMouse() or self.isDown() else shades.quiet
        painter.setPen(QPen(shade, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawPolyline(self._arrow())
        words = QRectF(self.rect()).adjusted(PADDING[0] + ARROW + GAP, 0, 0, 0)
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, round(words.width()))
        painter.setPen(shade)
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, text)

    def _arrow(self) -> QPolygonF:
        middle = QPointF(PADDING[0] + ARROW / 2, self.height() / 2)
        right = [QPointF(-1.5, -3), QPointF(2, 0), QPointF(-1.5, 3)]
        down = [QPointF(-3, -1.5), QPointF(0, 2), QPointF(3, -1.5)]
        return QPolygonF([middle + corner for corner in (down if self.isChecked() else right)])


class Reasoning(QWidget):
    """Folded at first, and then it costs nothing: its text is laid out while it is unfolded."""

    link_clicked = Signal(QUrl)
    unfolded = Signal()  # or folded, by its reader

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_StaticContents)  # more of it is all that is painted
        self.text = ""
        self.body: AnswerBody | None = None
        self._under_way = True
        self.button = FoldButton()
        self.button.toggled.connect(self._on_toggled)
        self._inner = QHBoxLayout()
        self._inner.setContentsMargins(INDENT, 2, 0, 4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        grow_at_once(layout)
        layout.addWidget(self.button)
        layout.addLayout(self._inner)
        self.show_under_way()

    def append(self, text: str) -> None:
        """More of it."""
        self.text += text
        if not self._under_way:
            self.show_under_way()
        if self.body:
            self.body.append(text)

    def show_under_way(self) -> None:
        """The model is reasoning."""
        self._under_way = True
        self.button.say(self.tr("Thinking…"))

    def finish(self, seconds: float) -> None:
        """It is complete, after so many seconds; 0 where that is not known."""
        self._under_way = False
        if self.body:
            self.body.finish()
        if seconds >= MOMENT_S:
            self.button.say(self.tr("Thought for {0}").format(units.duration(seconds)))
        else:
            self.button.say(self.tr("Thought for a moment"))

    @property
    def folded_text(self) -> str:
        """Its text while that is folded away."""
        return "" if self.body else self.text

    def unfold(self) -> None:
        """Show its text."""
        self.button.setChecked(True)

    def views(self) -> list[TextView | CodeView]:
        """The views that show its text, from the top."""
        return self.body.views() if self.body else []

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self.body:
            area = self.body.geometry()
            QPainter(self).fillRect(
                QRectF(PADDING[0] + ARROW / 2 - BAR / 2, area.top(), BAR, area.height()),
                colours(self.palette()).hairline,
            )

    def _on_toggled(self, unfolded: bool) -> None:
        self.unfolded.emit()
        if unfolded:
            self._unfold()
        elif self.body:
            self._inner.removeWidget(self.body)
            self.body.hide()
            self.body.deleteLater()
            self.body = None

    def _unfold(self) -> None:
        self.body = AnswerBody()
        self.body.link_clicked.connect(self.link_clicked)
        self.body.setAccessibleName(self.tr("Reasoning"))
        self._inner.addWidget(self.body)
        self.body.append(self.text)
        if not self._under_way:
            self.body.finish()
