"""Habits of the source that no linter looks after."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("engine", "app", "packaging", "tests")
DEFINITIONS = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
RIDDLE = re.compile(r"(What|Which|Who|Whose|Where|When|Why|How|If|Whether)(ever)?\b")


EXEMPT = {ROOT / "packaging" / "licences.py"}  # its `_path` is importlib's: the one way to a package's files


def sources(room: str) -> list[Path]:
    found = sorted((ROOT / room).rglob("*.py"))
    assert found
    return found


def riddles(source: str) -> list[str]:
    """Docstrings that begin with a question, which has to be translated in the reader's head: the noun comes first."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, DEFINITIONS))
    return [words for node in nodes if RIDDLE.match(words := ast.get_docstring(node) or "")]


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_begin_with_the_noun(room):
    assert {f"{path}: {words}" for path in sources(room) for words in riddles(path.read_text())} == set()


def test_a_docstring_that_asks_is_found():
    assert riddles('def f():\n    """Whether it is."""') == ["Whether it is."]
    assert riddles('"""Whatever it is."""') == ["Whatever it is."]
    assert riddles('class C:\n    """The thing that it is. What else?"""') == []


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(room: str) -> set[str]:
    """Names with an underscore that a room's files define, in modules, in classes and on `self`."""
    found: set[str] = set()
    for node in (node for path in sources(room) for node in ast.walk(ast.parse(path.read_text()))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(name, ast.Store()):
                found.add(name)
            case ast.Attribute(ast.Name("self" | "cls"), name, ast.Store()):
                found.add(name)
    return {name for name in found if is_private(name)}


def reached(source: str) -> set[str]:
    """Private names that a file reaches for: on what is not itself, in imports from the engine, and in patches."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(ast.Name("self" | "cls") | ast.Call(ast.Name("super"))):
                pass
            case ast.Attribute(_, name):
                found.add(name)
            case ast.ImportFrom(str(module), names) if module.split(".")[0] == "engine":
                found |= {alias.name for alias in names}
            case ast.Call(ast.Attribute(_, "setattr" | "delattr") | ast.Name("setattr" | "getattr"), arguments):
                found |= {str(each.value).rpartition(".")[2] for each in arguments if isinstance(each, ast.Constant)}
    return {name for name in found if is_private(name)}


@pytest.mark.parametrize("room", ["tests", "packaging"])
def test_nobody_reaches_for_private_parts_of_the_engine(room):
    """A name that the application has too may be the application's."""
    engine, app = private_names("engine"), private_names("app")
    assert len(engine) > 200
    of_app = ROOT / "tests" / "app"
    found = {path: reached(path.read_text()) & (engine - app if of_app in path.parents else engine)
             for path in sources(room) if path not in EXEMPT}  # fmt: skip
    assert {path: names for path, names in found.items() if names} == {}


def test_private_parts_are_found():
    source = "from engine.text import _a\nx._b\nself._c\nsetattr(x, '_d', 1)\nmonkeypatch.setattr('engine._e', 1)"
    assert reached(source) == {"_a", "_b", "_d", "_e"}
