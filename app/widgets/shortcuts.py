"""The keyboard's shortcuts, made from the menus themselves so that it is always right and complete."""

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QFont, QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from app.widgets.labels import Label
from app.widgets.language import tr

COLUMNS = 2
Rows = list[tuple[str, str]]


class ShortcutsDialog(QDialog):
    """The menus in two columns. `groups`: their titles, and rows of a name and its keys."""

    def __init__(self, menus: list[QMenu], parent: QWidget | None = None):
        super().__init__(parent)
        self.setWindowTitle(tr("Keyboard shortcuts"))
        self.groups: list[tuple[str, Rows]] = [(_plain(menu.title()), list(_rows(menu))) for menu in menus]
        self.groups = [(title, rows) for title, rows in self.groups if rows] + [(tr("In the Window"), _others())]
        grids = [QGridLayout() for _ in range(COLUMNS)]
        for grid in grids:
            grid.setHorizontalSpacing(28)
            grid.setVerticalSpacing(4)
            grid.setColumnStretch(0, 1)
        for (title, rows), column in zip(self.groups, _columns([len(rows) for _, rows in self.groups]), strict=True):
            _add(grids[column], title, rows)
        across = QHBoxLayout()
        across.setSpacing(44)
        for grid in grids:
            below = QVBoxLayout()
            below.addLayout(grid)
            below.addStretch()
            across.addLayout(below)
        close = QPushButton(tr("Close"))
        close.clicked.connect(self.close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 18, 24, 16)
        layout.setSpacing(16)
        layout.addLayout(across)
        layout.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)


def _rows(menu: QMenu) -> Iterator[tuple[str, str]]:
    """A menu's entries that have keys; a menu below it is one row, from its first to its last."""
    for action in menu.actions():
        below = action.menu()
        keyed = [_keys(entry) for entry in below.actions() if _keys(entry)] if isinstance(below, QMenu) else []
        if keyed:
            yield _plain(action.text()), f"{keyed[0]} … {keyed[-1]}"
        elif _keys(action):
            yield _plain(action.text()), _keys(action)


def _others() -> Rows:
    """Keys that no menu has, because they belong to a field or a list."""
    return [
        (tr("Send Message"), _native("Return")),
        (tr("New Line in Message"), _native("Shift+Return")),
        (tr("Next and Previous Place Found"), f"{_native('Return')}, {_native('Shift+Return')}"),
        (tr("Rename in the Sidebar"), _native("F2")),
        (tr("Delete in the Sidebar"), _native("Del")),
        (tr("Next and Previous Control"), f"{_native('Tab')}, {_native('Shift+Tab')}"),
    ]


def _columns(lengths: list[int]) -> list[int]:
    """The column that each group goes to: the next one begins where half of all rows is reached."""
    sizes = [length + 2 for length in lengths]  # with the title, and air below
    return [int(sum(sizes[:i]) + sizes[i] / 2 > sum(sizes) / COLUMNS) for i in range(len(sizes))]


def _add(grid: QGridLayout, title: str, rows: Rows) -> None:
    top = grid.rowCount()
    if top > 1:
        grid.setRowMinimumHeight(top, 10)
        top += 1
    grid.addWidget(Label(title, weight=QFont.Weight.DemiBold), top, 0, 1, 2)
    for at, (name, keys) in enumerate(rows, top + 1):
        grid.addWidget(Label(name), at, 0)
        grid.addWidget(Label(keys, colour="quiet"), at, 1, Qt.AlignmentFlag.AlignRight)


def _keys(action: QAction) -> str:
    """Those that every keyboard has."""
    return ", ".join(dict.fromkeys(_native(keys) for keys in action.shortcuts() if not is_rare(keys)))


def is_rare(keys: QKeySequence) -> bool:
    """True for keys of multimedia keyboards."""
    return bool(Qt.Key.Key_Back <= keys[0].key() < Qt.Key.Key_unknown)  # type: ignore[index]


def _native(keys: str | QKeySequence) -> str:
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)


def _plain(text: str) -> str:
    """A menu's text without its mnemonic, which Chinese has in brackets at the end."""
    return text.split("(&")[0].replace("&", "")
