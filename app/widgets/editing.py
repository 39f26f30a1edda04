"""The Edit menu: what the text field that has the focus can do at this moment."""

from functools import partial

from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QMenu, QPlainTextEdit, QTextEdit, QWidget

from app.widgets.actions import Entry, Table, keys_for
from app.widgets.language import tr

Field = QLineEdit | QPlainTextEdit | QTextEdit


def edit_table() -> Table:
    """The actions of every text field. The ids are the names of Qt's methods for it."""
    keys = QKeySequence.StandardKey
    rows = (
        (tr("&Undo"), keys.Undo, "undo"),
        (tr("&Redo"), keys.Redo, "redo"),
        None,
        (tr("Cu&t"), keys.Cut, "cut"),
        (tr("&Copy"), keys.Copy, "copy"),
        (tr("&Paste"), keys.Paste, "paste"),
        (tr("Select &All"), keys.SelectAll, "selectAll"),
    )
    return tuple(row and Entry(row[2], row[0], partial(edit, row[2]), keys_for(row[1])[:1]) for row in rows)


def edit(method: str) -> None:
    """Let the widget that has the focus do it, if it can."""
    call = getattr(QApplication.focusWidget(), method, None)
    if call is not None:
        call()


class EditMenu(QMenu):
    """Greys out what cannot be done while it is open; closed, every key goes to the field, which knows best."""

    def __init__(self, title: str, parent: QWidget):
        super().__init__(title, parent)
        self.aboutToShow.connect(self._look)
        self.aboutToHide.connect(self._forget)

    def _look(self) -> None:
        focus = QApplication.focusWidget()
        for action, method in self._edits():
            action.setEnabled(can(focus, method))

    def _forget(self) -> None:
        for action, _ in self._edits():
            action.setEnabled(True)

    def _edits(self) -> list[tuple[QAction, str]]:
        methods = {entry.title: entry.id for entry in edit_table() if entry}
        return [(action, methods[action.text()]) for action in self.actions() if action.text() in methods]


def can(widget: QWidget | None, method: str) -> bool:
    """True if a widget can do now what the Edit menu says."""
    if not isinstance(widget, Field):
        return not isinstance(widget, QLabel) and hasattr(widget, method)
    if method in ("undo", "redo"):
        return not widget.isReadOnly() and _has_steps(widget, method)
    if method == "paste":
        return not widget.isReadOnly() and bool(QGuiApplication.clipboard().text())
    if method == "cut" and widget.isReadOnly():
        return False
    return bool(_text(widget)) if method == "selectAll" else _has_selection(widget)


def _has_steps(field: Field, method: str) -> bool:
    if isinstance(field, QLineEdit):
        return field.isUndoAvailable() if method == "undo" else field.isRedoAvailable()
    document = field.document()
    return document.isUndoAvailable() if method == "undo" else document.isRedoAvailable()


def _has_selection(field: Field) -> bool:
    return field.hasSelectedText() if isinstance(field, QLineEdit) else field.textCursor().hasSelection()


def _text(field: Field) -> str:
    return field.text() if isinstance(field, QLineEdit) else field.toPlainText()
