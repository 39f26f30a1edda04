"""The rows of the sidebar: conversations under their dates, or those that a search found."""

from datetime import date, timedelta

from PySide6.QtCore import QAbstractListModel, QDate, QLocale, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.conversations.conversation import Head
from app.conversations.search import Hit
from app.widgets.labels import tip

HEAD_ROLE, HIT_ROLE, PREVIEW_ROLE, ANSWERING_ROLE = (Qt.ItemDataRole.UserRole + n for n in range(4))
Index = QModelIndex | QPersistentModelIndex
Row = str | Head | Hit


class ConversationsModel(QAbstractListModel):
    """Rows are sections (text) and conversations (Head, or Hit when they were searched for)."""

    renamed = Signal(str, str)  # id, title

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._rows: list[Row] = []
        self._answering = ""

    def show_heads(self, heads: list[Head]) -> None:
        """All conversations, under the date of their last change."""
        rows: list[Row] = []
        section = ""
        for head in sorted(heads, key=lambda h: (not h.pinned, -h.updated)):
            title = self.tr("Pinned") if head.pinned else self._section(date.fromtimestamp(head.updated))
            if title != section:
                section = title
                rows.append(section)
            rows.append(head)
        self._set_rows(rows)

    def show_hits(self, hits: list[Hit]) -> None:
        """Show what a search found."""
        title = self.tr("%Ln chat(s)", "", len(hits)) if hits else self.tr("Nothing found")
        self._set_rows([title, *hits])

    def set_answering(self, id_: str) -> None:
        """The conversation in which an answer is being written; "" for none."""
        before, self._answering = self._answering, id_
        for index in map(self.index_of, {before, id_}):
            if index.isValid():
                self.dataChanged.emit(index, index)

    def index_of(self, id_: str) -> QModelIndex:
        for row in range(len(self._rows)):
            if (head := self.head(self.index(row))) and head.id == id_:
                return self.index(row)
        return QModelIndex()

    def heads(self) -> list[Head]:
        """The conversations as they are listed."""
        return [head for row in range(len(self._rows)) if (head := self.head(self.index(row)))]

    def head(self, index: Index) -> Head | None:
        row = self._rows[index.row()] if index.isValid() else None
        return row.head if isinstance(row, Hit) else row if isinstance(row, Head) else None

    # ------------------------------------------------------------------ Qt's model
    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        row, head = self._rows[index.row()], self.head(index)
        if head is None:
            return row if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole) else None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return self._title(head)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip(self._title(head))
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self._words(row, head)
        return self._own_data(row, head, role)

    def _own_data(self, row: Row, head: Head, role: int) -> object:
        if role == HEAD_ROLE:
            return head
        if role == HIT_ROLE:
            return row if isinstance(row, Hit) else None
        if role == PREVIEW_ROLE:
            return head.snippet
        return head.id == self._answering if role == ANSWERING_ROLE else None

    def _title(self, head: Head) -> str:
        return head.title or self.tr("New chat")

    def setData(self, index: Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        head, title = self.head(index), str(value).strip()
        if role != Qt.ItemDataRole.EditRole or not head or not title:
            return False
        if title != head.title:
            self.renamed.emit(head.id, title)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        if self.head(index) is None:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable

    def _words(self, row: Row, head: Head) -> str:
        title = self._title(head)
        if isinstance(row, Hit) and row.message:
            return f"{title}: {row.before}{row.found}{row.after}"
        pinned = self.tr(", pinned") if head.pinned else ""
        answering = self.tr(", an answer is being written") if head.id == self._answering else ""
        return f"{title}{pinned}{answering}. {head.snippet}"

    def _set_rows(self, rows: list[Row]) -> None:
        if rows == self._rows:
            return
        if [_identity(r) for r in rows] == [_identity(r) for r in self._rows]:  # only words have changed
            self._rows = rows
            self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def _section(self, day: date) -> str:
        today = date.today()
        if day >= today:
            return self.tr("Today")
        if day == today - timedelta(days=1):
            return self.tr("Yesterday")
        if day > today - timedelta(days=7):
            return self.tr("Last seven days")
        if day > today - timedelta(days=30):
            return self.tr("Last thirty days")
        return QLocale().toString(
            QDate(day.year, day.month, 1), self.tr("MMMM yyyy", "a month, as QLocale writes dates")
        )


def _identity(row: Row) -> tuple[str, str]:
    if isinstance(row, Hit):
        return ("hit", row.head.id)
    return ("head", row.id) if isinstance(row, Head) else ("section", row)
