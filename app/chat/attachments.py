"""Text files that go with a message: read, shown above the field, and once they are sent folded above the question."""

import stat
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.chat.code import CodeBlock, CodeView
from app.chat.reasoning import FoldButton
from app.chat.token_estimate import estimate
from app.conversations.conversation import Attachment
from app.widgets import units
from app.widgets.buttons import IconButton
from app.widgets.labels import ChatLabel, quiet
from app.widgets.language import tr

MAX_FILE_BYTES = 4_000_000  # more than any context holds
PICTURE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".gif", ".webp", ".heic", ".heif", ".bmp", ".tif", ".tiff", ".avif", ".svg",
)  # fmt: skip
MODEL_SUFFIXES = (".gguf", ".safetensors", ".bin", ".pt", ".pth", ".npz", ".ggml", ".onnx", ".mlmodel")


class RefusedError(Exception):
    """A file that cannot go with a message: why, and what would read it."""


def is_attachable(path: Path) -> bool:
    """True if a file is meant for a message, and not as a model or as exported chats."""
    return path.is_file() and path.suffix.casefold() not in MODEL_SUFFIXES


def read_attachment(path: Path) -> Attachment:
    """A text file. Raises RefusedError."""
    if path.suffix.casefold() in PICTURE_SUFFIXES:
        raise RefusedError(picture_refused(path.name))
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading what is none may never end
            raise RefusedError(tr("{0} is no file, and only text files can go with a message.").format(path.name))
        if path.stat().st_size > MAX_FILE_BYTES:
            words = tr("{0} is too large to be sent: it has {1}, and at most {2} can go with a message.")
            raise RefusedError(words.format(path.name, units.size(path.stat().st_size), units.size(MAX_FILE_BYTES)))
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RefusedError(tr("{0} cannot be read ({1}).").format(path, error.strerror)) from error
    except UnicodeDecodeError as error:
        raise RefusedError(_no_text(path.name)) from error
    if "\0" in text:
        raise RefusedError(_no_text(path.name))
    if not text.strip():
        raise RefusedError(tr("{0} is empty.").format(path.name))
    return Attachment(path.name, text.replace("\r\n", "\n"))


def picture_refused(name: str) -> str:
    """The reason why a picture cannot be sent, and what would read it."""
    words = tr(
        "{0} is a picture, and the models here read text only. An app for vision models would read it; or copy the "
        "text out of it, and paste that."
    )
    return words.format(name)


def _no_text(name: str) -> str:
    words = tr("{0} is not a text file in UTF-8. Copy its text, or save it as plain text, and add that.")
    return words.format(name)


def described(attachment: Attachment) -> str:
    """Name, size and about how many tokens: `notes.txt · 3.2 KB · about 800 tokens`."""
    tokens = estimate(attachment.text)
    about = tr("about %Ln token(s)", None, tokens)
    return " · ".join((attachment.name, units.size(len(attachment.text.encode(errors="replace"))), about))


class AttachmentView(QWidget):
    """A file of a question: a line, and its text below while it is unfolded."""

    unfolded = Signal()

    def __init__(self, attachment: Attachment, parent: QWidget | None = None):
        super().__init__(parent)
        self.attachment = attachment
        self.block: CodeBlock | None = None
        self.button = FoldButton()
        self.button.say(described(attachment))
        self.button.toggled.connect(self._on_toggled)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignRight)

    @property
    def folded_text(self) -> str:
        """Its text while that is folded away."""
        return "" if self.block else self.attachment.text

    def unfold(self) -> None:
        """Show its text."""
        self.button.setChecked(True)

    def views(self) -> list[CodeView]:
        """The views that show its text."""
        return self.block.views() if self.block else []

    def _on_toggled(self, unfolded: bool) -> None:
        self.unfolded.emit()
        if unfolded:
            self.block = CodeBlock(Path(self.attachment.name).suffix.removeprefix("."), self.attachment.name)
            self.block.append(self.attachment.text)
            self.block.close_block()
            self._layout.addWidget(self.block)
            self.block.show()
        elif self.block:
            self._layout.removeWidget(self.block)
            self.block.hide()
            self.block.deleteLater()
            self.block = None


class AttachmentLine(QWidget):
    """A file that will go with the message, and a button that takes it away."""

    removed = Signal(object)  # Attachment

    def __init__(self, attachment: Attachment, parent: QWidget | None = None):
        super().__init__(parent)
        self.attachment = attachment
        self.label = quiet(described(attachment), ChatLabel)
        self.remove = IconButton("close", self.tr("Remove {0}").format(attachment.name))
        self.remove.clicked.connect(self._on_removed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.label)
        row.addWidget(self.remove)
        row.addStretch()

    def _on_removed(self) -> None:
        self.removed.emit(self.attachment)


class AttachmentList(QWidget):
    """The files that will go with the message."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.attachments: tuple[Attachment, ...] = ()
        self.lines: list[AttachmentLine] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        self.hide()

    def show_all(self, attachments: tuple[Attachment, ...]) -> None:
        """Show these, in the place of what is shown."""
        if attachments == self.attachments:
            return
        self.attachments = attachments
        for line in self.lines:
            self._layout.removeWidget(line)
            line.hide()
            line.deleteLater()
        self.lines = [AttachmentLine(attachment) for attachment in attachments]
        for line in self.lines:
            line.removed.connect(self._on_removed)
            self._layout.addWidget(line)
        self.setVisible(bool(attachments))
        self.changed.emit()

    def add(self, attachment: Attachment) -> None:
        """One more; one of the same name and text is there already."""
        if attachment not in self.attachments:
            self.show_all((*self.attachments, attachment))

    def _on_removed(self, attachment: Attachment) -> None:
        self.show_all(tuple(other for other in self.attachments if other != attachment))
