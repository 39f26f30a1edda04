"""The panes of the settings window, but for Memory & Speed: rows of a name, a control and a word about it."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.settings.parameters import ParametersForm
from app.settings.registry import BY_KEY, Preferences
from app.settings.token_field import TokenField
from app.widgets import language, units
from app.widgets.dialogs import choose_folder
from app.widgets.labels import quiet, set_tip
from engine.inference.kept import Limits
from engine.system.folders import models_folder

MARGINS = (36, 20, 36, 20)
LABEL_WIDTH = 120  # pixels


class Pane(QWidget):
    """Rows, the names at the left."""

    def __init__(self, settings: Preferences, parent: QWidget | None = None):
        super().__init__(parent)
        self._settings = settings
        self.form = QGridLayout()  # a form layout squeezes fields that hold wrapped text
        self.form.setHorizontalSpacing(18)
        self.form.setVerticalSpacing(12)
        self.form.setColumnMinimumWidth(0, LABEL_WIDTH)
        self.form.setColumnStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*MARGINS)
        layout.addLayout(self.form)
        layout.addStretch()

    def add_row(self, name: str, control: QWidget, about: str = "") -> tuple[QWidget, ...]:
        """A control with its name, and what it does in small letters below. Returns all that is to be seen of it."""
        label = QLabel(name)
        label.setMinimumHeight(_first_of(control).sizeHint().height())
        label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if not control.accessibleName():
            control.setAccessibleName(name)
        if not control.toolTip():
            set_tip(control, about)
        field = QVBoxLayout()
        field.setSpacing(3)
        field.addWidget(control)
        shown: tuple[QWidget, ...] = (label, control)
        if about:
            words = quiet(about)
            words.setWordWrap(True)
            field.addWidget(words)
            shown = (*shown, words)
        row = self.form.rowCount()
        self.form.addWidget(label, row, 0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        self.form.addLayout(field, row, 1)
        return shown


def _first_of(control: QWidget) -> QWidget:
    """The widget beside the name of a row: the first thing in a control that is made of several."""
    layout = control.layout()
    while layout and (first := layout.itemAt(0)):
        if widget := first.widget():
            control = widget
            layout = widget.layout()
        else:
            layout = first.layout()
    return control


class GeneralPane(Pane):
    def __init__(self, settings: Preferences, parent: QWidget | None = None):
        super().__init__(settings, parent)
        smallest, largest = BY_KEY["general.text_size"].whole_bounds
        self.text_size = QSpinBox(minimum=smallest, maximum=largest, singleStep=10, suffix=" %")
        self.text_size.setMaximumWidth(110)
        self.add_row(
            self.tr("Text size"),
            self.text_size,
            self.tr("Of chats, their list and the live panel. Light and dark follow the system."),
        )
        self.language = QComboBox()
        for key, name in ((language.SYSTEM, self.tr("System")), *language.NAMES.items()):
            self.language.addItem(name, key)
        self.language.setMaximumWidth(180)
        self.add_row(self.tr("Language"), self.language, self.tr("Takes effect when Flashbulb is opened again."))
        self.notifications = QCheckBox(self.tr("When a long answer or download finishes"))
        self.add_row(
            self.tr("Notifications"),
            self.notifications,
            self.tr("Only while Flashbulb is in the background."),
        )
        self.keep_contexts = QCheckBox(self.tr("Keep on disk what the model remembers of them"))
        self.add_row(
            self.tr("Chats"),
            self.keep_contexts,
            self.tr("A chat that is opened again goes on at once, instead of being read anew. At most {0}, and {1} "
                    "written a day; deleted with the chat, and at once if you turn this off.")
            .format(units.size(Limits.disk_bytes), units.size(Limits.day_bytes)),
        )  # fmt: skip
        self._show_values()
        self.notifications.toggled.connect(self._on_notifications)
        self.keep_contexts.toggled.connect(self._on_keep_contexts)
        self.text_size.valueChanged.connect(self._on_text_size)
        self.language.currentIndexChanged.connect(self._on_language)
        settings.changed.connect(self._show_values)

    def _show_values(self) -> None:
        self.text_size.setValue(self._settings["general.text_size"])
        self.language.setCurrentIndex(self.language.findData(self._settings["general.language"]))
        self.notifications.setChecked(self._settings["general.notifications"])
        self.keep_contexts.setChecked(self._settings["general.keep_contexts"])

    def _on_notifications(self, wanted: bool) -> None:
        self._settings["general.notifications"] = wanted

    def _on_keep_contexts(self, wanted: bool) -> None:
        self._settings["general.keep_contexts"] = wanted

    def _on_text_size(self, value: int) -> None:
        self._settings["general.text_size"] = value

    def _on_language(self) -> None:
        self._settings["general.language"] = self.language.currentData()


class ModelsPane(Pane):
    def __init__(self, settings: Preferences, parent: QWidget | None = None):
        super().__init__(settings, parent)
        self.folder = QLineEdit(readOnly=True)
        self.folder.setAccessibleName(self.tr("Models folder"))
        self.choose = QPushButton(self.tr("Choose…"))
        self.choose.clicked.connect(self._on_choose)
        self.default = QPushButton(self.tr("Use Default"))
        self.default.clicked.connect(self._on_default)
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.folder, self.choose, self.default):
            layout.addWidget(widget)
        self.add_row(
            self.tr("Models folder"),
            row,
            self.tr("Also on an external drive. Models that are elsewhere stay there, and are found again when you "
                    "choose their folder."),
        )  # fmt: skip
        self.token = TokenField()
        self.add_row(self.tr("Access token"), self.token)
        self._show_values()
        settings.changed.connect(self._show_values)

    def _show_values(self) -> None:
        path = self._settings["models.folder"] or str(models_folder())
        self.folder.setText(path)
        self.folder.setCursorPosition(0)  # its beginning is shown, all of it in the tooltip
        set_tip(self.folder, path)
        self.default.setEnabled(bool(self._settings["models.folder"]))

    def shutdown(self) -> None:
        """End what runs in the background. Harmless when repeated."""
        self.token.shutdown()

    def _on_choose(self) -> None:
        choose_folder(self.window(), self.tr("Models Folder"), self.folder.text(), self._on_chosen)

    def _on_chosen(self, path: str) -> None:
        self._settings["models.folder"] = str(Path(path))

    def _on_default(self) -> None:
        self._settings["models.folder"] = ""


class ChatPane(Pane):
    def __init__(self, settings: Preferences, parent: QWidget | None = None):
        super().__init__(settings, parent)
        self.parameters = ParametersForm(columns=2)
        self.parameters.changed.connect(self._on_changed)
        self.add_row(
            self.tr("Defaults"),
            self.parameters,
            self.tr("For chats that have no values of their own, which are set beside the message field."),
        )
        self._show_values()
        settings.changed.connect(self._show_values)

    def _show_values(self) -> None:
        self.parameters.show_values(self._settings.section("chat"))

    def _on_changed(self, name: str, value: object) -> None:
        self._settings[f"chat.{name}"] = value
