"""The translations fit the sources, and what is shipped is made of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

import translations
from translations import LANGUAGES, TRANSLATIONS

PLACEHOLDER = re.compile(r"%n|%\d|\{\w*\}")


@dataclass(frozen=True)
class Text:
    """A message of a .ts file. forms: its translations, more than one where numbers are told apart."""

    context: str
    source: str
    forms: tuple[str, ...]
    plural: bool


def texts(language: str) -> Iterator[Text]:
    for context in ElementTree.parse(TRANSLATIONS / f"flashbulb_{language}.ts").iter("context"):
        for message in context.iter("message"):
            translation, plural = message.find("translation"), message.get("numerus") == "yes"
            forms = tuple(form.text or "" for form in (translation.iter("numerusform") if plural else [translation]))
            yield Text(context.findtext("name") or "", message.findtext("source"), forms, plural)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_placeholders_of_its_source(language):
    wrong = [t for t in texts(language) for f in t.forms if f and _placeholders(f) != _placeholders(t.source)]
    assert not wrong


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_counts_is_known_to_count(language):
    assert not [t.source for t in texts(language) if "%n" in t.source and not t.plural]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_shipped_files_are_made_of_the_translations(language, tmp_path):
    translations.release(TRANSLATIONS, tmp_path)
    name = f"flashbulb_{language}.qm"
    assert (tmp_path / name).read_bytes() == (TRANSLATIONS / name).read_bytes(), "run packaging/translations.py"


def _placeholders(text: str) -> list[str]:
    return sorted(PLACEHOLDER.findall(text))
