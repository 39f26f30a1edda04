"""The translations fit the sources, and what is shipped is made of them."""

import ast
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from xml.etree import ElementTree

import pytest

import translations
from translations import ENGINE, LANGUAGES, ROOT, TRANSLATIONS

APP = ROOT / "app"
SOURCES = sorted(APP.rglob("*.py"))
SAYING = {path: calls for path, calls in translations.saying().items() if calls}
SHOWN = {
    *("setText", "setToolTip", "setAccessibleName", "setAccessibleDescription", "setWindowTitle", "setPlaceholderText"),
    *("setInformativeText", "setStatusTip", "setWhatsThis", "addAction", "addMenu", "addItem", "addRow", "add_row"),
    *("QPushButton", "QLabel", "QCheckBox", "QAction", "Label", "quiet", "Notice", "Section", "Legend", "say", "tell"),
}
NAMES = {"Flashbulb", "Flashbulb ", " – Flashbulb"}
WORD = re.compile(r"[A-Za-z]{2}")
PLACEHOLDER = re.compile(r"%L?n|%\d|\{\w*\}")


@dataclass(frozen=True)
class Text:
    """A message of a .ts file. forms: its translations, more than one where numbers are told apart."""

    context: str
    source: str
    comment: str
    forms: tuple[str, ...]
    plural: bool
    finished: bool


def texts(language: str, folder: Path = TRANSLATIONS) -> Iterator[Text]:
    for context in ElementTree.parse(folder / f"flashbulb_{language}.ts").iter("context"):
        for message in context.iter("message"):
            translation, plural = message.find("translation"), message.get("numerus") == "yes"
            forms = tuple(form.text or "" for form in (translation.iter("numerusform") if plural else [translation]))
            finished = translation.get("type") is None and all(forms)
            name, source, comment = context.findtext("name"), message.findtext("source"), message.findtext("comment")
            yield Text(name or "", source, comment or "", forms, plural, finished)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_the_sources_is_translated(language, tmp_path):
    shutil.copy(TRANSLATIONS / f"flashbulb_{language}.ts", tmp_path)
    translations.update(tmp_path, language)
    found = set(texts(language, tmp_path))
    unfinished = [(text.context, text.source) for text in found if not text.finished]
    assert not unfinished, "run packaging/translations.py, translate these, and run it again"
    assert found == set(texts(language)), "run packaging/translations.py"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(APP).as_posix())
def test_what_a_person_reads_can_be_translated(path):
    """Literal texts that go into a widget, and texts to translate that are not literal, which nothing would find."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    bare = [(call.lineno, text) for call in calls if _name(call) in SHOWN for text in _words(call)]
    assert not bare, "these texts need tr()"
    hidden = [call.lineno for call in calls if _name(call) == "tr" and isinstance(call.args[0], ast.JoinedStr)]
    assert not hidden, "tr() takes literal texts; values go in with format()"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_placeholders_of_its_source(language):
    wrong = [t for t in texts(language) for f in t.forms if f and _placeholders(f) != _placeholders(t.source)]
    assert not wrong


@pytest.mark.parametrize("path", SAYING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_the_engine_says_is_found_and_has_its_values(path):
    """A template that is put together would not be found; a value that lacks would be missed when it is too late."""
    for call in SAYING[path]:
        template, values = call.args[0], {keyword.arg for keyword in call.keywords}
        assert not isinstance(template, ast.JoinedStr | ast.BinOp), f"line {call.lineno}: a literal template is needed"
        if isinstance(template, ast.Constant) and _name(call) != "joined":
            names = {name for _, name, _, _ in Formatter().parse(template.value) if name is not None}
            assert names == values, f"line {call.lineno}"


def test_all_that_the_engine_says_is_translated():
    chinese = {text.source: text for text in texts("zh_CN") if text.context == ENGINE}
    assert sorted(chinese) == translations.templates()
    assert len(chinese) > 100
    assert all(text.finished for text in chinese.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_counts_is_known_to_count(language):
    assert not [t.source for t in texts(language) if "%Ln" in t.source and not t.plural]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_shipped_files_are_made_of_the_translations(language, tmp_path):
    translations.release(TRANSLATIONS, tmp_path, language)
    name = f"flashbulb_{language}.qm"
    assert (tmp_path / name).read_bytes() == (TRANSLATIONS / name).read_bytes(), "run packaging/translations.py"


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _words(call: ast.Call) -> Iterator[str]:
    """The words that an argument says by itself. A name, a unit or a sign is no word."""
    for argument in (*call.args, *(keyword.value for keyword in call.keywords if keyword.arg in ("text", "suffix"))):
        parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
        literal = "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
        if WORD.search(literal) and literal not in NAMES:
            yield literal


def _placeholders(text: str) -> list[str]:
    return sorted(PLACEHOLDER.findall(text))


def test_chinese_menus_have_no_letters_to_press():
    """Else a few would show one, and the others not."""
    with_letters = [text.source for text in texts("zh_CN") for form in text.forms if re.search(r"&[A-Za-z]", form)]
    assert with_letters == []
