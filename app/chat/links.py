"""Links in answers: a model wrote them, so they say where they lead and ask first."""

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QMessageBox, QWidget

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
        self.setInformativeText(url.toDisplayString())
        self.open_button = self.addButton(self.tr("Open"), QMessageBox.ButtonRole.AcceptRole) if safe else None
        self.copy_button = self.addButton(self.tr("Copy Link"), QMessageBox.ButtonRole.ActionRole)
        self.setDefaultButton(self.addButton(QMessageBox.StandardButton.Cancel))
        self.buttonClicked.connect(self._on_clicked)

    def _on_clicked(self, button) -> None:
        if button is self.open_button:
            QDesktopServices.openUrl(self._url)
        elif button is self.copy_button:
            QGuiApplication.clipboard().setText(self._url.toString())


def ask_to_open(url: QUrl, parent: QWidget) -> LinkQuestion:
    """Ask whether to open a link."""
    question = LinkQuestion(url, parent)
    question.open()
    return question
