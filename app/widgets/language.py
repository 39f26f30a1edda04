"""The language that the window speaks: English as it is written in the sources, or a translation of it.

`packaging/translations.py` makes the files. What the engine says comes as templates and values, and is put together
again in the present language.
"""

import re
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLibraryInfo, QLocale, QTranslator

from engine.text import Text, text_of

SYSTEM, ENGLISH, CHINESE = "system", "en", "zh_CN"
ENGINE = "engine"  # the context of what the engine says
NAMES = {ENGLISH: "English", CHINESE: "简体中文"}  # each in itself, so that it is found by those who read it
TRANSLATIONS = Path(__file__).parents[2] / "resources" / "translations"
MAX_COUNT = 2**31 - 1  # that Qt takes
TRADITIONAL_SUBTAGS = ("Hant", "TW", "HK", "MO")
FULL_WIDTH_END = re.compile("(?<=[。！？；…）]) ")  # behind which no space is written
_installed: list[QTranslator] = []


def tr(text: str, comment: str | None = None, n: int = -1) -> str:
    """`text` in the present language, for modules without widgets; `n` takes the place of %Ln. Literal texts only."""
    return QCoreApplication.translate("", text, comment, min(n, MAX_COUNT))


def spoken(said: object) -> str:
    """A text or error of the engine's in the present language; everything else as it reads."""
    text = text_of(said)
    if not isinstance(text, Text):
        return text
    template = QCoreApplication.translate(ENGINE, text.template)
    return template.format(**{name: spoken(value) for name, value in text.values.items()})


def sentences(*said: str) -> str:
    """Those sentences that there are, one after the other: with a space between them, as far as the language has it."""
    return FULL_WIDTH_END.sub("", " ".join(filter(None, said)))


def use(choice: str) -> str:
    """Speak a language from now on, or the system's, and write numbers and dates its way. Returns what is spoken.

    Texts that are shown already stay as they are.
    """
    language = best_of(system_languages()) if choice == SYSTEM else choice
    application = QCoreApplication.instance()
    assert application is not None
    while _installed:
        application.removeTranslator(_installed.pop())
    qt = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath))
    for file in (qt / f"qtbase_{language}.qm", TRANSLATIONS / f"flashbulb_{language}.qm"):
        translator = QTranslator(application)
        if translator.load(str(file)) and application.installTranslator(translator):
            _installed.append(translator)
    spoken, system = QLocale(language), QLocale.system()
    QLocale.setDefault(system if system.language() == spoken.language() else spoken)
    return language


def best_of(wanted: list[str]) -> str:
    """The first of the wanted languages (like `zh-Hans-CN`) that we have; English if we have none."""
    for tag in wanted:
        parts = tag.replace("_", "-").split("-")
        if parts[0] == "en":
            return ENGLISH
        if parts[0] == "zh" and not set(parts) & set(TRADITIONAL_SUBTAGS):
            return CHINESE
    return ENGLISH


def system_languages() -> list[str]:
    """The languages that the system is set to, the most wanted first."""
    return QLocale.system().uiLanguages()
