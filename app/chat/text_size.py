"""The size of text: of what people come to read and to write, with what stands beside it; not of buttons and menus."""

from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QApplication

from app.widgets.labels import ChatLabel, scaled

TEXT_FACTOR = 1.08  # of the system's font
CODE_FACTOR = 1.0


def set_text_size(percent: int) -> None:
    """For all that is shown now or later. 100 is the usual size."""
    usual = scaled(QApplication.font(), percent / 100)
    text = scaled(QApplication.font(), TEXT_FACTOR * percent / 100)
    system = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    code = scaled(system, CODE_FACTOR * percent / 100)
    for name, font in (
        ("TextView", text),
        ("Entry", text),
        ("CodeView", code),
        ("ChatLabel", usual),
        ("ConversationList", usual),
    ):
        QApplication.setFont(font, name)  # type: ignore[arg-type]  # Qt takes text, whatever is declared
    for widget in QApplication.allWidgets():
        if isinstance(widget, ChatLabel):
            widget.fit_text_size()
