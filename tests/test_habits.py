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


# What no one file is the counterpart of. A `test_hostile_*.py` holds the mutations of files that others write.
CUT_ACROSS = {
    "app/chat/test_conversations.py": "conversations as a person meets them, from the field to the disk",
    "app/chat/test_linear_time.py": "the work for a letter, in every file that has a part in showing it",
    "app/host/test_any_order.py": "the host, its thread and its jobs, under random actions",
    "app/library/test_found_here.py": "models of other tools, from the folder to a chat",
    "app/library/test_real_jobs.py": "the application's own processes",
    "app/test_accessibility.py": "every window, as a screen reader sees it",
    "app/test_bad_moments.py": "mishaps around a chat",
    "app/test_first_start.py": "what opens where nothing is kept yet",
    "app/test_keys.py": "keys in every window",
    "app/test_older_files.py": "all that an early version wrote",
    "app/test_plain_text.py": "every widget that shows what others wrote",
    "app/test_qt_names.py": "the source of all of the application",
    "app/test_with_engine.py": "the window around the real engine",
    "engine/cli/test_checkpoints.py": "one kind of model in all commands",
    "engine/inference/test_architectures.py": "every architecture of mlx-lm's that has experts",
    "engine/inference/test_dense_architectures.py": "every architecture of mlx-lm's that has none",
    "engine/inference/test_read_at_once.py": "a setting, from loading to the answer",
    "engine/inference/test_starter.py": "the built-in model",
    "engine/models/test_architectures.py": "the table of all of them",
    "engine/models/test_parity.py": "every architecture of ours",
    "packaging/test_documented_commands.py": "every page that names a command",
    "end_to_end/test_programs.py": "the window and other programs at once",
    "end_to_end/test_clients.py": "the server's process, and every official client",
    "end_to_end/test_agents.py": "the server, and agents turn after turn",
    "end_to_end/test_interrupted_prompts.py": "a process that is killed, and the next one",
    "end_to_end/test_person.py": "the whole application",
    "test_habits.py": "the whole source",
}


def has_counterpart(test: Path) -> bool:
    """True for the test of a file or of a folder in the same place: `test_main.py` also of `__main__.py`."""
    name, room = test.stem.removeprefix("test_"), ROOT / test.parent
    return any((room / each).exists() for each in (name, f"{name}.py", f"__{name}__.py"))


def test_tests_mirror_the_source():
    tests = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    alone = {str(test) for test in tests if not (test.stem.startswith("test_hostile_") or has_counterpart(test))}
    assert alone == CUT_ACROSS.keys()


def test_what_tests_share_lies_in_helpers():
    lines = {f"{path}: {line}" for path in sources("tests") for line in path.read_text().splitlines()}
    assert {line for line in lines if re.search(r": (from|import) tests\S*\.test_", line)} == set()


def test_a_commit_is_held_to_what_ci_is():
    """All that takes CI seconds: what lints, lays out and checks types."""
    ran, hooked = ((ROOT / path).read_text().splitlines() for path in (".ci/run", ".github/hooks/pre-commit"))
    checks = {line for line in ran if re.match(r"uv run (ruff|lint-imports|mypy)", line)}
    assert len(checks) == 4
    assert {line for line in hooked if line.startswith("uv run")} == checks


def test_the_map_in_readme_has_every_room():
    of_map = (ROOT / "README.md").read_text().split("## How the code is laid out")[1].split("    resources/")[0]
    for room, lines in zip(("app", "engine"), re.split(r"    engine/ ", of_map), strict=True):
        named = {name for line in lines.splitlines() for name in re.findall(r"(?:^ {6}| )(\w+)/(?= )", line)} - {room}
        assert named == {path.parent.name for path in (ROOT / room).glob("*/__init__.py")}


def imported(body: list[ast.stmt]) -> set[str]:
    """The names that statements import, and the modules that they come from."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return found


def for_types(source: ast.Module) -> list[ast.stmt]:
    """The statements that only a type checker sees."""
    guarded = (node for node in source.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    return [statement for node in guarded for statement in node.body]


def circles(texts: dict[str, str]) -> set[tuple[str, str]]:
    """Modules that import another, if for types alone, which imports them in turn. texts: by a module's name."""
    trees = {name: ast.parse(text) for name, text in texts.items()}
    direct = {name: imported(tree.body) & texts.keys() for name, tree in trees.items()}
    reached, before = direct, None
    while reached != before:
        before = reached
        reached = {name: found.union(*(before[each] for each in found)) for name, found in before.items()}
    return {(name, each) for name, tree in trees.items() for each in imported(for_types(tree)) & texts.keys()
            if name in reached[each]}  # fmt: skip


def test_no_import_goes_in_a_circle_not_even_for_types():
    paths = [path.relative_to(ROOT).with_suffix("") for room in ("engine", "app") for path in sources(room)]
    texts = {".".join(path.parts).removesuffix(".__init__"): (ROOT / path).with_suffix(".py").read_text()
             for path in paths}  # fmt: skip
    assert circles(texts) == set()


def test_a_circle_is_found():
    guarded = "if TYPE_CHECKING:\n    from a import x"
    assert circles({"a": "import b", "b": "from c import y", "c": guarded}) == {("c", "a")}
    assert circles({"a": "", "c": guarded}) == set()
