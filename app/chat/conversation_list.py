"""The list in the sidebar, and how its rows are painted."""

from PySide6.QtCore import QEvent, QObject, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.chat.conversations_model import ANSWERING_ROLE, HEAD_ROLE, HIT_ROLE, PREVIEW_ROLE, Index
from app.conversations.search import Hit
from app.widgets.colours import Colours, colours, mix
from app.widgets.composing import ENTER_KEYS
from app.widgets.fields import TakesText
from app.widgets.icons import GRID, paint
from app.widgets.labels import SMALL_FACTOR, scaled

ROW_PADDING = 7
EDITOR_MARGIN = 3  # pixels more than a line of the title
DOT_DIAMETER = 7  # pixels across, where an answer is being written
TEXT_ALIGNMENT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop


class TitleField(TakesText, QLineEdit):
    """The field in which a title is changed."""


class ConversationDelegate(QStyledItemDelegate):
    """A title and a line of text below it; sections are small and grey."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        title, small = self._fonts(option)
        if index.data(HEAD_ROLE) is None:
            return QSize(0, QFontMetrics(small).height() + (18 if index.row() else 8))
        return QSize(0, QFontMetrics(title).height() + QFontMetrics(small).height() + 2 * ROW_PADDING + 1)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        if index.data(HEAD_ROLE) is None:
            self._paint_section(painter, option, index.data())
        else:
            self._paint_row(painter, option, index)
        painter.restore()

    def _paint_section(self, painter: QPainter, option: QStyleOptionViewItem, title: str) -> None:
        _, small = self._fonts(option)
        small.setWeight(QFont.Weight.DemiBold)
        painter.setFont(small)
        painter.setPen(colours(option.palette).quiet)
        area = option.rect.adjusted(10, 0, -8, -4)
        painter.drawText(area, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft, title)

    def _paint_row(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        shades, hit = colours(option.palette), index.data(HIT_ROLE)
        title, small = self._fonts(option)
        self._paint_ground(painter, option)
        area = option.rect.adjusted(10, ROW_PADDING, -10, -ROW_PADDING)
        self._paint_title(painter, area, title, index, shades)
        below = area.adjusted(0, QFontMetrics(title).height() + 1, 0, 0)
        if hit and hit.message:
            self._paint_hit(painter, below, small, hit, shades)
        else:
            painter.setFont(small)
            painter.setPen(shades.quiet)
            painter.drawText(below, TEXT_ALIGNMENT, elided(small, index.data(PREVIEW_ROLE), below.width()))

    def createEditor(self, parent: QWidget, _option: QStyleOptionViewItem, _index: Index) -> QWidget:
        editor = TitleField(parent)
        editor.setFrame(False)
        editor.setAutoFillBackground(True)
        editor.setAccessibleName(self.tr("Title"))
        return editor

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, _index: Index) -> None:
        """In the place of the title, no taller: what stands below stays whole."""
        title, _ = self._fonts(option)
        height = QFontMetrics(title).height() + EDITOR_MARGIN
        editor.setGeometry(
            QRect(option.rect.left() + 6, option.rect.top() + ROW_PADDING - 2, option.rect.width() - 14, height)
        )

    def eventFilter(self, editor: QObject, event: QEvent) -> bool:
        if isinstance(editor, TitleField):
            if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() in ENTER_KEYS:
                if editor.take_composed():
                    return True
            elif event.type() == QEvent.Type.FocusOut:
                editor.take_composed()  # before the title is taken from it
        return super().eventFilter(editor, event)

    def _paint_ground(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        shades = colours(option.palette)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        if not (selected or hovered):
            return
        window = option.palette.color(QPalette.ColorGroup.Active, QPalette.ColorRole.Window)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(mix(shades.accent, window, 0.8) if selected else mix(shades.text, window, 0.94))
        focused = selected and bool(option.state & QStyle.StateFlag.State_HasFocus)
        painter.setPen(mix(shades.accent, window, 0.3) if focused else Qt.PenStyle.NoPen)
        painter.drawRoundedRect(option.rect.adjusted(2, 1, -3, -2), 6, 6)

    def _paint_title(self, painter: QPainter, area: QRect, font: QFont, index: Index, shades: Colours) -> None:
        pinned, answering = index.data(HEAD_ROLE).pinned, index.data(ANSWERING_ROLE)
        painter.setFont(font)
        painter.setPen(shades.text)
        room = area.width() - GRID * pinned - 2 * DOT_DIAMETER * answering
        painter.drawText(area, TEXT_ALIGNMENT, elided(font, index.data(), room))
        right = area.right()
        if answering:
            middle = area.top() + QFontMetrics(font).height() / 2
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(shades.accent)
            painter.drawEllipse(QRectF(right - DOT_DIAMETER, middle - DOT_DIAMETER / 2, DOT_DIAMETER, DOT_DIAMETER))
            right -= 2 * DOT_DIAMETER
        if pinned:
            painter.save()
            painter.translate(right - GRID + 5, area.top() - 2)
            painter.scale(0.85, 0.85)
            paint(painter, "pin", shades.quiet)
            painter.restore()

    def _paint_hit(self, painter: QPainter, area: QRect, font: QFont, hit: Hit, shades: Colours) -> None:
        """A search's find, marked and bold: colour is not the only sign."""
        bold = QFont(font)
        bold.setWeight(QFont.Weight.DemiBold)
        left = area.left()
        for text, style in ((hit.before, font), (hit.found, bold), (hit.after, font)):
            metrics = QFontMetrics(style)
            text = elided(style, text, area.right() - left)
            width = metrics.horizontalAdvance(text)
            if style is bold:
                painter.fillRect(QRect(left, area.top(), width, metrics.height()), shades.found)
            painter.setFont(style)
            painter.setPen(shades.text if style is bold else shades.quiet)
            painter.drawText(QRect(left, area.top(), width + 2, area.height()), TEXT_ALIGNMENT, text)
            left += width

    def _fonts(self, option: QStyleOptionViewItem) -> tuple[QFont, QFont]:
        return QFont(option.font), scaled(option.font, SMALL_FACTOR)


class ConversationList(QListView):
    """Enter opens, F2 renames, Delete deletes, and what undoes in a text brings back here."""

    delete_asked = Signal()
    undo_asked = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.viewport().setAutoFillBackground(False)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setItemDelegate(ConversationDelegate(self))
        self.setAccessibleName(self.tr("Chats"))
        self.setTabKeyNavigation(False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        bare = event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)
        if event.key() not in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            super().keyPressEvent(event)
        elif bare and not event.isAutoRepeat():  # a key that is held deletes one chat
            self.delete_asked.emit()

    def undo(self) -> None:
        """Asked for by the Edit menu, like that of a text field."""
        self.undo_asked.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)  # the other button asks for a menu, and opens nothing


def elided(font: QFont, text: str, width: int) -> str:
    """As much of a text as there is room for in pixels."""
    return QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, max(width, 0))
