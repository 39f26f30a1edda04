"""Names of ours that hide one of Qt's: who calls Qt's would get ours, unless Qt lets it be written anew."""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction

import app

VIRTUAL = {  # but for `event` and all that end like it
    "canInsertFromMimeData", "createEditor", "createMimeDataFromSelection", "data", "done", "eventFilter", "flags",
    "initStyleOption", "insertFromMimeData", "loadResource", "minimumSizeHint", "paint", "rowCount", "setData",
    "sizeHint", "updateEditorGeometry",
}  # fmt: skip
BY_MENU = {"copy", "selectAll"}  # the Edit menu calls them by their names, and means those of the whole answer
EXTENDED = {"setPlainText"}  # does what Qt's does, and then puts the cursor where the person goes on
NOT_IMPORTED = ("app.__main__",)


def classes() -> list[type]:
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name not in NOT_IMPORTED:
            importlib.import_module(module.name)
    return [c for c in _below(QObject) if c.__module__.startswith("app.")]


def _below(cls: type) -> Iterator[type]:
    for below in cls.__subclasses__():
        yield below
        yield from _below(below)


def hidden(cls: type, package: str = "app.") -> set[str]:
    """Names of Qt's among those that a class, with its mixins, defines or puts on `self`."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith(package)]
    qt = {name for base in cls.__mro__ if base.__module__.startswith("PySide6.") for name in vars(base)}
    defined = {name for base in ours for name in (*vars(base), *_attributes(base)) if name[:2] != "__"}
    return (defined & qt) - {"staticMetaObject"}


def _attributes(cls: type) -> Iterator[str]:
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls)))):
        match node:
            case ast.Attribute(ast.Name("self"), name, ast.Store()):
                yield name


def is_meant(name: str) -> bool:
    return name in VIRTUAL | BY_MENU | EXTENDED | {"event"} or name.endswith("Event")


def test_no_name_hides_one_of_qts():
    found = classes()
    assert len(found) > 50
    assert {f"{c.__name__}.{name}" for c in found for name in hidden(c) if not is_meant(name)} == set()


def test_no_action_hides_a_name_of_qts(open_window):
    window = open_window()
    names = {name for base in type(window).__mro__ if base.__module__.startswith("PySide6.") for name in vars(base)}
    actions = {name for name, value in vars(window).items() if isinstance(value, QAction)}
    assert len(actions) > 20
    assert names & actions == set()


class Hiding(QObject):
    def parent(self):
        self.children = []


def test_what_hides_is_found():
    assert hidden(Hiding, "tests.") == {"parent", "children"}
