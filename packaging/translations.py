"""Bring resources/translations up to date: the texts of the sources into the .ts files, and those into .qm files.

    uv run packaging/translations.py

New texts are then `unfinished` in flashbulb_zh_CN.ts: translate them there, and run this again. The .qm files are kept
beside their sources, so that the application runs from a checkout without a build; a test holds them together.

The application's texts are those in tr(). The engine's are the first arguments of its errors, `Text` and `joined`.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
TRANSLATIONS = ROOT / "resources" / "translations"
LANGUAGES = {"zh_CN": (), "en": ("-pluralonly",)}  # English has its plurals to tell apart, and nothing else
ENGINE = "engine"  # the context of what the engine says
SAYING_NAMES, SAID_ERROR = {"Text", "joined"}, "SaidError"


def main() -> None:
    for language in LANGUAGES:
        update(TRANSLATIONS, language)
        release(TRANSLATIONS, TRANSLATIONS, language)


def update(folder: Path, language: str) -> None:
    """Take the texts of the sources into a .ts file in `folder`; what was translated stays, what is gone goes."""
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "app").rglob("*.py"))
    options = ("-no-obsolete", "-locations", "none", *LANGUAGES[language])
    with TemporaryDirectory() as scratch:
        said = Path(scratch) / "engine.py"  # in the one form that lupdate understands
        said.write_text("".join(f"QCoreApplication.translate({ENGINE!r}, {text!r})\n" for text in templates()))
        _tool("lupdate", *options, *sources, str(said), "-ts", _ts(folder, language))


def templates() -> list[str]:
    """The engine's, as English has them."""
    literals = (call.args[0] for calls in saying().values() for call in calls if isinstance(call.args[0], ast.Constant))
    return sorted({literal.value for literal in literals})


def saying() -> dict[Path, list[ast.Call]]:
    """By file of the engine, where it says something to a person."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "engine").rglob("*.py"))}
    names = SAYING_NAMES | _errors(node for tree in trees.values() for node in ast.walk(tree))
    return {path: [node for node in ast.walk(tree) if _says(node, names)] for path, tree in trees.items()}


def _errors(nodes: Iterable[ast.AST]) -> set[str]:
    """The classes of errors that are made of a template."""
    bases = {node.name: {ast.unparse(base) for base in node.bases} for node in nodes if isinstance(node, ast.ClassDef)}
    found: set[str] = {SAID_ERROR}
    while more := {name for name, parents in bases.items() if parents & found} - found:
        found |= more
    return found


def _says(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and bool(node.args) and ast.unparse(node.func) in names


def release(folder: Path, out: Path, language: str) -> None:
    """Make a .qm file in `out` of a .ts file in `folder`."""
    _tool("lrelease", "-nounfinished", _ts(folder, language), "-qm", str(out / f"flashbulb_{language}.qm"))


def _ts(folder: Path, language: str) -> str:
    return str(folder / f"flashbulb_{language}.ts")


def _tool(name: str, *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name(f"pyside6-{name}")), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed with status {done.returncode}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
