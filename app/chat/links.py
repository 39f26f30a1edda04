"""Links in answers: a model wrote them, so they say where they lead and ask first."""

import re
import unicodedata
from urllib.parse import quote

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QMessageBox, QWidget

USER_PART = re.compile(r"(?<=:)//[^/?#]*@")  # before a site's name, where it may look like one
SAFE_SCHEMES = ("http", "https", "mailto")


class LinkQuestion(QMessageBox):
    """Open this link? Not blocking: the answer goes on behind it."""

    def __init__(self, url: QUrl, parent: QWidget):
        super().__init__(parent)
        self._url = url
        safe = url.scheme().lower() in SAFE_SCHEMES and url.isValid()
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWindowTitle(self.tr("Link"))
        self.setText(self.tr("Open this link?") if safe else self.tr("Flashbulb does not open links of this kind."))
        self.setInformativeText(honest(url))
        self.open_button = self.addButton(self.tr("Open"), QMessageBox.ButtonRole.AcceptRole) if safe else None
        self.copy_button = self.addButton(self.tr("Copy Link"), QMessageBox.ButtonRole.ActionRole)
        self.setDefaultButton(self.addButton(QMessageBox.StandardButton.Cancel))
        self.buttonClicked.connect(self._on_clicked)

    def _on_clicked(self, button: QAbstractButton) -> None:
        if button is self.open_button:
            QDesktopServices.openUrl(self._url)
        elif button is self.copy_button:
            QGuiApplication.clipboard().setText(self._url.toString(QUrl.ComponentFormattingOption.FullyEncoded))


def honest(url: QUrl) -> str:
    """An address as it is read, where nothing in it can be taken for something else.

    A name in other letters than those of its own script, as `аpple` with a Cyrillic а, is shown as computers write it,
    any other foreign name in both ways. What changes the direction of writing, and what cannot be seen, is encoded.
    """
    plain = url.host(QUrl.ComponentFormattingOption.FullyEncoded)
    spoken = url.host(QUrl.ComponentFormattingOption.FullyDecoded)
    text = USER_PART.sub("//", url.toDisplayString(), count=1)
    if spoken != plain:
        text = text.replace(url.host(), plain, 1)
        text += "" if any(map(_is_mixed, spoken.split("."))) else f"\n({spoken})"
    return "".join(character if _is_plain(character) else quote(character) for character in text)


def _is_mixed(label: str) -> bool:
    """True if its letters come from several scripts; those of Chinese and Japanese, and of Korean, count as one."""
    scripts = {_script(character) for character in label if character.isalpha()}
    return len(scripts) > 1


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").split(" ")[0]
    return "EAST ASIAN" if name in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "KATAKANA-HIRAGANA") else name


def _is_plain(character: str) -> bool:
    return character == "\n" or unicodedata.category(character)[0] not in "CZ"


def ask_to_open(url: QUrl, parent: QWidget) -> LinkQuestion:
    """Ask whether to open a link."""
    question = LinkQuestion(url, parent)
    question.open()
    return question
