"""The size of the conversation's text: of what people come to read and to write, not of buttons and labels."""

from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QApplication

from app.widgets.labels import scaled

TEXT_FACTOR = 1.08  # of the system's font
CODE_FACTOR = 1.0


def set_text_size(percent: int) -> None:
    """For all conversations, shown now or later. 100 is the usual size."""
    text = scaled(QApplication.font(), TEXT_FACTOR * percent / 100)
    system = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    code = scaled(system, CODE_FACTOR * percent / 100)
    for name, font in (("TextView", text), ("Entry", text), ("CodeView", code)):
        QApplication.setFont(font, name)  # type: ignore[arg-type]  # Qt takes text, whatever is declared
