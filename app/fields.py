"""Fields to look for something."""

from PySide6.QtWidgets import QLineEdit, QToolButton

from app.language import tr


def can_be_cleared(field: QLineEdit) -> None:
    """Give a field the button that clears it, with a name: Qt's has none."""
    field.setClearButtonEnabled(True)
    button = field.findChild(QToolButton)
    button.setAccessibleName(tr("Clear"))
    button.setToolTip(tr("Clear"))
