"""Habits of the source that no linter looks after."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("engine", "app", "packaging", "tests")
DEFINITIONS = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
RIDDLE = re.compile(r"(What|Which|Who|Whose|Where|When|Why|How|If|Whether)(ever)?\b")


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
