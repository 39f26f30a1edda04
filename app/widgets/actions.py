"""Actions as a table: an id, a title, what they do and the keys for it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QWidget


@dataclass(frozen=True)
class Entry:
    """A row of the table. keys: in Qt's words, where Ctrl is a Mac's Cmd. checked: None for what is no switch. role:
    the place that a Mac gives it."""

    id: str
    title: str
    callback: Callable[[], object] | None
    keys: tuple[str, ...] = ()
    checked: bool | None = None
    role: QAction.MenuRole = QAction.MenuRole.NoRole


Table = tuple[Entry | None, ...]  # None: a line between two groups of a menu


def actions_of(entries: Iterable[Entry], parent: QWidget) -> dict[str, QAction]:
    """The actions of a table by their ids."""
    return {entry.id: _action(entry, parent) for entry in entries}


def fill(menu: QMenu, table: Table, actions: dict[str, QAction]) -> None:
    """Put a table's actions into a menu."""
    for entry in table:
        if entry:
            menu.addAction(actions[entry.id])
        else:
            menu.addSeparator()


def keys_for(standard: QKeySequence.StandardKey, *others: str) -> tuple[str, ...]:
    """A standard key as this system has it, and others that do the same."""
    bound = [keys.toString() for keys in QKeySequence.keyBindings(standard)]
    return tuple(dict.fromkeys([*bound, *others]))


def _action(entry: Entry, parent: QWidget) -> QAction:
    action = QAction(entry.title, parent)
    action.setShortcuts([QKeySequence(keys) for keys in entry.keys])
    action.setMenuRole(entry.role)
    if entry.checked is not None:
        action.setCheckable(True)
        action.setChecked(entry.checked)
    if entry.callback is not None:
        callback = entry.callback  # `triggered` hands over whether it is checked, which nobody asked for
        action.triggered.connect(lambda _checked=False: callback())
    return action
