"""The models on disk, to be switched to: a field that finds one and a list, below the model's name in the title bar."""

from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QPainter, QPalette
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.host.worker import Worker
from app.library.known import FOLDERS_KEY, RECENT_KEY
from app.library.row import reason_in_words, verdict_in_words
from app.library.rows import Row, heading
from app.library.survey import Survey, survey
from app.library.verdict import Kind
from app.settings.registry import Preferences
from app.widgets.colours import colours, mix
from app.widgets.fields import SearchField
from app.widgets.labels import SMALL_FACTOR, Label, scaled

WIDTH, LIST_HEIGHT, MIN_HEIGHT = 380, 300, 40
ROW_PADDING = 6
WORDS_ROLE = Qt.ItemDataRole.UserRole
MODEL_ROLE = Qt.ItemDataRole.UserRole + 1
Index = QModelIndex | QPersistentModelIndex
TEXT_ALIGNMENT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop


@dataclass(frozen=True)
class Choice:
    """A model that can be switched to. model: what the engine loads. words: the verdict on it, and its speed."""

    model: str
    title: str
    words: str


class ModelPicker(QFrame):
    """A popup. Type to find, arrows to move, Return to switch, Escape to leave everything as it is."""

    chosen = Signal(str)  # the model to load
    library_asked = Signal()
    folder_asked = Signal()

    def __init__(self, settings: Preferences, parent: QWidget):
        super().__init__(parent, Qt.WindowType.Popup)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setFixedWidth(WIDTH)
        self.setAccessibleName(self.tr("Switch Model"))
        self._settings = settings
        self._worker: Worker | None = None
        self._choices: list[Choice] = []
        self._in_use = ""
        self._return_waits = False  # it was pressed before the models were known
        self._looks = False  # for models, none of which are known yet
        self.field = SearchField(self.tr("Find a model"))
        self.field.installEventFilter(self)
        self.field.textChanged.connect(self._on_typed)
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Models on this computer"))
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setItemDelegate(_ChoiceDelegate(self.list))
        self.list.setMouseTracking(True)
        self.list.itemClicked.connect(self._on_item)
        self.list.itemActivated.connect(self._on_item)
        self.nothing = Label(colour="quiet")
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.nothing.hide()
        self.library_button = QPushButton(self.tr("All Models…"))
        self.library_button.clicked.connect(self._on_library)
        self.folder_button = QPushButton(self.tr("Add Folder…"))
        self.folder_button.clicked.connect(self._on_folder)
        self._compose()

    def pop_up(self, below: QWidget, in_use: str) -> None:
        """Show it below a widget. in_use: the model that is loaded."""
        self._in_use, self._return_waits, self._looks = in_use, False, not self._choices
        self.field.clear()
        self.list.clear()
        self._show_choices()
        self.adjustSize()
        self.move(below.mapToGlobal(QPoint((below.width() - WIDTH) // 2, below.height() + 4)))
        self.show()
        self.field.setFocus()
        self._look()

    def shutdown(self) -> None:
        """End. Harmless when repeated."""
        self.hide()
        if self._worker:
            self._worker.shutdown()

    # ------------------------------------------------------------------ the models
    def _look(self) -> None:
        self._worker = self._worker or Worker("model picker", self)
        memory = self._settings.section("memory")
        look = partial(survey, memory["budget"], memory["window"], folders=tuple(self._settings[FOLDERS_KEY]))
        self._worker.submit(look, self._on_survey, self._on_failed)

    def _on_survey(self, found: Survey) -> None:
        recent = {model: place for place, model in enumerate(self._settings[RECENT_KEY])}
        ready = [row for row in found.rows if row.folder and not row.trouble]
        ready.sort(key=lambda row: recent.get(row.model, len(recent)))
        self._looks = False
        self._choices = [Choice(row.model, heading(row), words_for(row)) for row in ready]
        self._show_choices()
        if self._return_waits and self.isVisible():
            self._on_item(self.list.currentItem())

    def _on_failed(self, _error: Exception) -> None:
        self._looks = False
        self._show_choices()  # of the last time; the library says what is wrong

    def _on_typed(self) -> None:
        self._return_waits = False
        self.list.clear()  # what was found first by other words is not what is looked for
        self._show_choices()

    def _show_choices(self) -> None:
        words = self.field.text().casefold().split()
        current = self.list.currentItem()
        chosen = current.data(MODEL_ROLE) if current else ""
        found = [c for c in self._choices if all(word in f"{c.title} {c.model}".casefold() for word in words)]
        self.list.clear()
        for choice in found:
            self.list.addItem(self._item(choice))
        self.list.setCurrentRow(next((row for row, choice in enumerate(found) if choice.model == chosen), 0))
        rows = sum(self.list.sizeHintForRow(row) for row in range(self.list.count()))
        self.list.setFixedHeight(max(MIN_HEIGHT, min(LIST_HEIGHT, rows + 2)))
        self.adjustSize()
        looking, none = self.tr("Looking for models…"), self.tr("No model of this name here.")
        self.nothing.setText(looking if self._looks else none)
        self.nothing.setVisible((self._looks or bool(self._choices)) and not self.list.count())
        self.list.setVisible(self.nothing.isHidden())

    def _item(self, choice: Choice) -> QListWidgetItem:
        item = QListWidgetItem(choice.title)
        in_use = self.tr("in use") if choice.model == self._in_use else ""
        words = " · ".join(part for part in (in_use, choice.words) if part)
        item.setData(WORDS_ROLE, words)
        item.setData(MODEL_ROLE, choice.model)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{choice.title}, {words}")
        return item

    # ------------------------------------------------------------------ choosing
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up):
                step = 1 if event.key() == Qt.Key.Key_Down else -1
                self.list.setCurrentRow(max(0, min(self.list.currentRow() + step, self.list.count() - 1)))
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._return_waits = not self._choices
                self._on_item(self.list.currentItem())
                return True
        return super().eventFilter(watched, event)

    def _on_item(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            model = str(item.data(MODEL_ROLE))
            self.hide()
            if model != self._in_use:
                self.chosen.emit(model)

    def _on_library(self) -> None:
        self.hide()
        self.library_asked.emit()

    def _on_folder(self) -> None:
        self.hide()
        self.folder_asked.emit()

    def _compose(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.folder_button)
        buttons.addStretch()
        buttons.addWidget(self.library_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 10)
        layout.addWidget(self.field)
        layout.addWidget(self.list)
        layout.addWidget(self.nothing)
        layout.addLayout(buttons)


def words_for(row: Row) -> str:
    """The verdict on a model that is here, with its speed as far as that is known."""
    verdict = row.verdict
    told = verdict.kind is not Kind.IN_MEMORY or verdict.tokens_per_second is not None
    reason = reason_in_words(verdict) if told else ""
    return ": ".join(part for part in (verdict_in_words(verdict.kind), reason) if part)


class _ChoiceDelegate(QStyledItemDelegate):
    """A title, and in small letters below it what one has to expect."""

    def sizeHint(self, option: QStyleOptionViewItem, _index: Index) -> QSize:
        small = QFontMetrics(scaled(option.font, SMALL_FACTOR))
        return QSize(0, QFontMetrics(option.font).height() + small.height() + 2 * ROW_PADDING + 1)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        shades = colours(option.palette)
        if option.state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            base = option.palette.color(QPalette.ColorGroup.Active, QPalette.ColorRole.Base)
            selected = bool(option.state & QStyle.StateFlag.State_Selected)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setBrush(mix(shades.accent, base, 0.8) if selected else mix(shades.text, base, 0.94))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawRoundedRect(option.rect.adjusted(0, 1, -1, -1), 6, 6)
        area = option.rect.adjusted(10, ROW_PADDING, -10, -ROW_PADDING)
        title, small = QFont(option.font), scaled(option.font, SMALL_FACTOR)
        self._write(painter, area, title, str(index.data()), shades.text)
        below = area.adjusted(0, QFontMetrics(title).height() + 1, 0, 0)
        self._write(painter, below, small, str(index.data(WORDS_ROLE)), shades.quiet)
        painter.restore()

    def _write(self, painter: QPainter, area: QRect, font: QFont, text: str, colour: QColor) -> None:
        painter.setFont(font)
        painter.setPen(colour)
        elided = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, area.width())
        painter.drawText(area, TEXT_ALIGNMENT, elided)
