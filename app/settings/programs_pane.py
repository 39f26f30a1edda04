"""The pane for other programs: whether they may use the engine, where they find it, which do, and what they ask for."""

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication, QHideEvent, QShowEvent
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QListWidget, QPushButton, QSpinBox, QWidget

from app.host.overheard import MAX_REQUESTS, Overheard
from app.host.serving import Serving
from app.settings.panes import Pane
from app.settings.registry import BY_KEY, Preferences
from app.widgets import units
from app.widgets.labels import SMALL_FACTOR, Label, quiet
from app.widgets.language import tr

LOOK_MS = 1000  # between two looks at which programs are connected, and what they ask for
ADDRESS_WIDTH, REQUESTS_HEIGHT = 260, 130  # pixels


class ProgramsPane(Pane):
    """Off by default, and so is showing what programs ask for."""

    def __init__(self, settings: Preferences, serving: Serving, parent: QWidget | None = None):
        super().__init__(settings, parent)
        self._serving = serving
        self.allowed = QCheckBox(self.tr("Let other programs on this computer use Flashbulb"))
        self.add_row(
            self.tr("Programs"),
            self.allowed,
            self.tr("Editors, agents and chat applications that speak as OpenAI, Anthropic or Ollama do. Nothing "
                    "leaves this computer, and your own chats go first."),
        )  # fmt: skip
        self.problem = Label(colour="error", factor=SMALL_FACTOR)
        self.problem.setWordWrap(True)
        self.form.addWidget(self.problem, self.form.rowCount(), 1)
        self.address = QLineEdit(readOnly=True)
        self.address.setMinimumWidth(ADDRESS_WIDTH)
        self.copy_address = QPushButton(self.tr("Copy"))
        self.copy_address.setAccessibleName(self.tr("Copy the address"))
        self.add_row(self.tr("Address"), _beside(self.address, self.copy_address))
        self.address.setAccessibleName(self.tr("Address"))
        self.port = QSpinBox()
        self.port.setRange(*BY_KEY["programs.port"].whole_bounds)
        self.port.setKeyboardTracking(False)
        self.port.setMaximumWidth(120)
        self.add_row(self.tr("Port"), self.port)
        self.need_key = QCheckBox(self.tr("Programs must give a key"))
        self.copy_key = QPushButton(self.tr("Copy Key"))
        self.add_row(
            self.tr("Key"),
            _beside(self.need_key, self.copy_key),
            self.tr("Made by Flashbulb and kept in the system's keychain."),
        )
        self.connected = quiet()
        self.connected.setWordWrap(True)
        self.add_row(self.tr("Connected"), self.connected)
        self.overheard = QCheckBox(self.tr("Show here what programs ask for"))
        self.add_row(
            self.tr("Requests"),
            self.overheard,
            self.tr(
                "The last {0}, kept in memory only and while this is on. They are never written to the disk."
            ).format(MAX_REQUESTS),
        )
        self.requests = QListWidget()
        self.requests.setAccessibleName(self.tr("What programs ask for"))
        self.requests.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.requests.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.requests.setFixedHeight(REQUESTS_HEIGHT)
        self.form.addWidget(self.requests, self.form.rowCount(), 0, 1, 2)
        self._timer = QTimer(self, interval=LOOK_MS)
        self._timer.timeout.connect(self._look)
        self._show_values()
        self.allowed.toggled.connect(self._on_allowed)
        self.port.valueChanged.connect(self._on_port)
        self.overheard.toggled.connect(self._on_overheard)
        self.need_key.toggled.connect(self._on_need_key)
        self.copy_address.clicked.connect(self._on_copy_address)
        self.copy_key.clicked.connect(self._on_copy_key)
        settings.changed.connect(self._show_values)
        serving.changed.connect(self._show_values)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._look()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._timer.stop()

    def _show_values(self) -> None:
        self.allowed.setChecked(self._settings["programs.allowed"])
        self.need_key.setChecked(self._settings["programs.need_key"])
        self.port.setValue(self._settings["programs.port"])
        self.problem.setText(self._serving.problem)
        self.problem.setVisible(bool(self._serving.problem))
        self.need_key.setEnabled(self.allowed.isChecked())
        self.address.setText(self._serving.address and f"{self._serving.address}/v1")
        self.copy_address.setEnabled(bool(self._serving.address))
        self.copy_key.setEnabled(bool(self._serving.key))
        self.overheard.setChecked(self._settings["programs.overheard"])
        self.requests.setVisible(self.overheard.isChecked())
        self._look()

    def _look(self) -> None:
        """Show what may be another any moment."""
        self._show_connected()
        lines = [_line(heard) for heard in self._serving.overhearing.heard] if self.overheard.isChecked() else []
        if lines != [self.requests.item(row).text() for row in range(self.requests.count())]:
            self.requests.clear()
            self.requests.addItems(lines)

    def _show_connected(self) -> None:
        self.connected.setText(self._programs())

    def _programs(self) -> str:
        found = self._serving.connected
        if found:
            return self.tr(", ").join(program.name for program in found)
        return self.tr("No program is connected.") if self._serving.address else self.tr("Off")

    def _on_allowed(self, wanted: bool) -> None:
        self._settings["programs.allowed"] = wanted

    def _on_need_key(self, wanted: bool) -> None:
        self._settings["programs.need_key"] = wanted

    def _on_overheard(self, wanted: bool) -> None:
        self._settings["programs.overheard"] = wanted

    def _on_port(self, port: int) -> None:
        self._settings["programs.port"] = port

    def _on_copy_address(self) -> None:
        QGuiApplication.clipboard().setText(self.address.text())

    def _on_copy_key(self) -> None:
        QGuiApplication.clipboard().setText(self._serving.key)


def _line(heard: Overheard) -> str:
    """A request in a line: which program, which model, what it took, and what was asked."""
    return " · ".join(part for part in (heard.program, heard.model, _took(heard), heard.words) if part)


def _took(heard: Overheard) -> str:
    if heard.tokens is None:
        return tr("no answer") if heard.over else tr("being answered")
    speed = units.number(heard.tokens_per_second)
    return tr("{0} tokens, {1} a second").format(units.whole(heard.tokens), speed)


def _beside(*widgets: QWidget) -> QWidget:
    """Widgets in a row, none wider than it need be but for fields."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    layout.addStretch()
    return row
