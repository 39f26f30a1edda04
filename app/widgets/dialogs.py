"""The small windows that the menus open. They do not block: answers go on behind them."""

from importlib.metadata import version
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QIcon
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QLayout,
    QMenu,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.widgets.icons import application_icon
from app.widgets.labels import Label, quiet
from app.widgets.language import tr
from app.widgets.shortcuts import ShortcutsDialog

ICON_SIZE, ABOUT_WIDTH = 96, 320


def show_about(parent: QWidget) -> QDialog:
    dialog = QDialog(parent)
    dialog.setWindowTitle(tr("About Flashbulb"))
    picture = QLabel(pixmap=application_icon().pixmap(ICON_SIZE, ICON_SIZE))
    picture.setAccessibleName(tr("Flashbulb's icon"))
    name = Label("Flashbulb", factor=1.5, weight=QFont.Weight.DemiBold)
    about = quiet(
        tr("Chat with language models larger than memory, on this computer. The model's weights stay on flash; each "
           "token reads only the neurons that it needs, as described in “LLM in a flash” (arXiv 2312.11514). Nothing "
           "leaves this computer.")
    )  # fmt: skip
    about.setWordWrap(True)
    about.setFixedWidth(ABOUT_WIDTH)
    layout = QVBoxLayout(dialog)
    layout.setContentsMargins(36, 24, 36, 18)
    layout.setSizeConstraint(QLayout.SizeConstraint.SetFixedSize)
    for label in (picture, name, quiet(tr("Version {0}").format(version("flashbulb"))), about):
        label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout.addWidget(label)
    layout.addSpacing(8)
    close = QPushButton(tr("Close"))
    close.clicked.connect(dialog.close)
    layout.addWidget(close, 0, Qt.AlignmentFlag.AlignCenter)
    return _show(dialog)


def show_shortcuts(parent: QWidget, menus: list[QMenu]) -> QDialog:
    """A list of what the keyboard can do."""
    return _show(ShortcutsDialog(menus, parent))


def choose_file_to_save(parent: QWidget, title: str, name: str, filters: list[str], done) -> QFileDialog:
    """Ask where to save; `done(path)` if an answer comes. Not blocking."""
    dialog = QFileDialog(parent, title)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setNameFilters(filters)
    dialog.setDefaultSuffix(Path(name).suffix)
    dialog.selectFile(name)
    dialog.fileSelected.connect(done)
    return _show(dialog)


def choose_file_to_open(parent: QWidget, title: str, filters: list[str], done) -> QFileDialog:
    """Ask for a file; `done(path)` if an answer comes. Not blocking."""
    dialog = QFileDialog(parent, title)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilters(filters)
    dialog.fileSelected.connect(done)
    return _show(dialog)


def choose_folder(parent: QWidget, title: str, start: str, done) -> QFileDialog:
    """Ask for a folder; `done(path)` if an answer comes. Not blocking."""
    dialog = QFileDialog(parent, title, start)
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    dialog.fileSelected.connect(done)
    return _show(dialog)


def tell(parent: QWidget, title: str, text: str) -> QMessageBox:
    """Something happened that has no place of its own in the window. Not blocking."""
    box = QMessageBox(QMessageBox.Icon.NoIcon, title, title, parent=parent)
    box.setInformativeText(text)
    return _show(box)


def plain_buttons(dialog: QDialog) -> None:
    """Take the icons away that some styles put on a dialog's buttons."""
    for box in dialog.findChildren(QDialogButtonBox):
        for button in box.buttons():
            button.setIcon(QIcon())


def _show(dialog: QDialog) -> QDialog:
    plain_buttons(dialog)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.open()
    return dialog
