"""The user's token for the Hub: where one comes from that is in use, and a field to keep one in the system's keychain.

A token is never shown, never kept among the settings, and gone from the field once it is kept.
"""

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.host.worker import Worker
from app.widgets.fields import TakesText
from app.widgets.labels import quiet
from app.widgets.language import spoken


class SecretField(TakesText, QLineEdit):
    """Typed and pasted text that nobody sees."""

    def __init__(self, name: str):
        super().__init__()
        self.setEchoMode(QLineEdit.EchoMode.Password)
        self.setAccessibleName(name)


class TokenField(QWidget):
    """The keychain is asked away from the window: it may want to be unlocked first."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._worker: Worker | None = None
        self.field = SecretField(self.tr("Access token"))
        self.field.setPlaceholderText(self.tr("Paste a token that begins with hf_"))
        self.field.returnPressed.connect(self._on_keep)
        self.field.textChanged.connect(self._on_typed)
        self.keep = QPushButton(self.tr("Save"))
        self.keep.setAccessibleName(self.tr("Save the access token"))
        self.keep.clicked.connect(self._on_keep)
        self.keep.setEnabled(False)
        self.forget = QPushButton(self.tr("Remove"))
        self.forget.setAccessibleName(self.tr("Remove the access token"))
        self.forget.clicked.connect(self._on_forget)
        self.words = quiet()
        self.words.setWordWrap(True)
        self.words.setMinimumHeight(2 * self.words.fontMetrics().lineSpacing())
        row = QHBoxLayout()
        row.setSpacing(6)
        for widget in (self.field, self.keep, self.forget):
            row.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(row)
        layout.addWidget(self.words)
        self.setFocusProxy(self.field)
        self._say_what_for("")

    def shutdown(self) -> None:
        """End. Harmless when repeated."""
        if self._worker:
            self._worker.shutdown()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._look()

    def _look(self) -> None:
        self._worker = self._worker or Worker("token", self)
        self._worker.submit(_source, self._say_what_for, self._on_failed)

    def _say_what_for(self, source: str) -> None:
        self.forget.setEnabled(bool(source))
        if source:
            self.words.setText(self.tr("In use: a token from {0}.").format(source))
        else:
            self.words.setText(
                self.tr("Only for gated and private models. It is kept in the system's keychain and sent to nobody but "
                        "the Hub.")
            )  # fmt: skip

    def _on_typed(self, text: str) -> None:
        self.keep.setEnabled(bool(text.strip()))

    def _on_keep(self) -> None:
        secret = self.field.text().strip()
        if secret and self._worker:
            self.field.clear()
            self._worker.submit(lambda: _keep(secret), self._on_done, self._on_failed)

    def _on_forget(self) -> None:
        if self._worker:
            self._worker.submit(_forget, self._on_done, self._on_failed)

    def _on_done(self, _none: None) -> None:
        self._look()

    def _on_failed(self, error: Exception) -> None:
        self.words.setText(spoken(error))


def _source() -> str:
    """The place that the token in use comes from, in words; empty without one."""
    from engine.library.token import find_token

    found = find_token()
    return spoken(found.source) if found else ""


def _keep(secret: str) -> None:
    from engine.library.token import store_token

    store_token(secret)


def _forget() -> None:
    from engine.library.token import forget_token

    forget_token()
