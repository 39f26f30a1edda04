"""The small windows that the menus open. They do not block: answers go on behind them."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QFont, QIcon, QTextCursor, QTextDocument
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QLabel,
    QLayout,
    QMenu,
    QMessageBox,
    QPushButton,
    QSpacerItem,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from app.widgets.icons import application_icon
from app.widgets.labels import Label, quiet
from app.widgets.language import tr
from app.widgets.shortcuts import ShortcutsDialog

ICON_SIZE, ABOUT_WIDTH, BOX_WIDTH = 96, 320, 400
NEWS_SIZE = QSize(520, 420)
CHANGELOG = Path(__file__).parents[2] / "resources" / "CHANGELOG.md"
Chosen = Callable[[str], object]  # called with a path
Shown = TypeVar("Shown", bound=QDialog)


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


def show_news(parent: QWidget) -> QDialog:
    """Show what each version brought, the newest first."""
    dialog = QDialog(parent)
    dialog.setWindowTitle(tr("What's New"))
    page = QTextBrowser(openLinks=False)
    page.setAccessibleName(tr("What's New"))
    page.setFrameShape(QFrame.Shape.NoFrame)
    page.document().setMarkdown(CHANGELOG.read_text(encoding="utf-8"), QTextDocument.MarkdownFeature.MarkdownNoHTML)
    close = QPushButton(tr("Close"))
    close.clicked.connect(dialog.close)
    layout = QVBoxLayout(dialog)
    layout.setContentsMargins(24, 18, 24, 16)
    layout.addWidget(page)
    layout.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)
    dialog.resize(NEWS_SIZE)
    page.moveCursor(QTextCursor.MoveOperation.Start)
    return _show(dialog)


def choose_file_to_save(
    parent: QWidget, title: str, name: str, filters: list[str], done: Chosen, folder: str = ""
) -> QFileDialog:
    """Ask where to save, beginning in `folder`; `done(path)` if an answer comes. Not blocking."""
    dialog = QFileDialog(parent, title, folder)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setNameFilters(filters)
    dialog.setDefaultSuffix(Path(name).suffix)
    dialog.selectFile(name)
    dialog.fileSelected.connect(done)
    return _show(dialog)


def choose_file_to_open(parent: QWidget, title: str, filters: list[str], done: Chosen, folder: str = "") -> QFileDialog:
    """Ask for a file, beginning in `folder`; `done(path)` if an answer comes. Not blocking."""
    dialog = QFileDialog(parent, title, folder)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setNameFilters(filters)
    dialog.fileSelected.connect(done)
    return _show(dialog)


def choose_folder(parent: QWidget, title: str, start: str, done: Chosen) -> QFileDialog:
    """Ask for a folder; `done(path)` if an answer comes. Not blocking."""
    dialog = QFileDialog(parent, title, start)
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    dialog.fileSelected.connect(done)
    return _show(dialog)


class Box(QMessageBox):
    """A message or a question. Its texts are plain, wide enough to be read, and its buttons have no icons."""

    def __init__(self, parent: QWidget, title: str, text: str, more: str):
        super().__init__(QMessageBox.Icon.NoIcon, title, text, parent=parent)
        self.setTextFormat(Qt.TextFormat.PlainText)  # a name may look like markup
        self.setInformativeText(more)
        grid = self.layout()
        if isinstance(grid, QGridLayout):  # which is how Qt makes it, and the only way to widen it
            grid.addItem(QSpacerItem(BOX_WIDTH, 0), grid.rowCount(), 0, 1, grid.columnCount())


def tell(parent: QWidget, title: str, text: str) -> QMessageBox:
    """Something happened that has no place of its own in the window. Not blocking."""
    box = Box(parent, title, title, text)
    box.addButton(QMessageBox.StandardButton.Ok)
    return _show(box)


def ask(parent: QWidget, question: str, more: str, verb: str, act: Callable[[], object], *, loses: bool) -> QMessageBox:
    """A question that is answered with a verb or Cancel; `act()` for the verb. Not blocking.

    loses: whether something is gone afterwards. Then Return cancels.
    """
    box, roles = Box(parent, verb, question, more), QMessageBox.ButtonRole
    does = box.addButton(verb, roles.DestructiveRole if loses else roles.AcceptRole)
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(cancel if loses else does)
    does.clicked.connect(act)
    return _show(box)


def plain_buttons(dialog: QDialog) -> None:
    """Take the icons away that some styles put on a dialog's buttons."""
    for box in dialog.findChildren(QDialogButtonBox):
        for button in box.buttons():
            button.setIcon(QIcon())


def _show(dialog: Shown) -> Shown:
    plain_buttons(dialog)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.open()
    return dialog
