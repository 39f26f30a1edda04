"""The pane for other programs: whether they may use the engine, where they find it, and which do."""

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication, QHideEvent, QShowEvent
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QPushButton, QSpinBox, QWidget

from app.host.serving import Serving
from app.settings.panes import Pane
from app.settings.registry import BY_KEY, Preferences
from app.widgets.labels import quiet

LOOK_MS = 1000  # between two looks at which programs are connected


class ProgramsPane(Pane):
    """Off by default. What programs ask for is shown nowhere."""

    def __init__(self, settings: Preferences, serving: Serving, parent: QWidget | None = None):
        super().__init__(settings, parent)
        self._serving = serving
        self.allowed = QCheckBox(self.tr("Let other programs on this Mac use Flashbulb"))
        self.add_row(
            self.tr("Programs"),
            self.allowed,
            self.tr("Editors, agents and chat applications that speak as OpenAI, Anthropic or Ollama do. Nothing "
                    "leaves this Mac, and your own chats go first."),
        )  # fmt: skip
        self.address = QLineEdit(readOnly=True)
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
        self._timer = QTimer(self, interval=LOOK_MS)
        self._timer.timeout.connect(self._show_connected)
        self._show_values()
        self.allowed.toggled.connect(self._on_allowed)
        self.port.valueChanged.connect(self._on_port)
        self.need_key.toggled.connect(self._on_need_key)
        self.copy_address.clicked.connect(self._on_copy_address)
        self.copy_key.clicked.connect(self._on_copy_key)
        settings.changed.connect(self._show_values)
        serving.changed.connect(self._show_values)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._show_connected()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._timer.stop()

    def _show_values(self) -> None:
        self.allowed.setChecked(self._settings["programs.allowed"])
        self.need_key.setChecked(self._settings["programs.need_key"])
        self.port.setValue(self._settings["programs.port"])
        self.need_key.setEnabled(self.allowed.isChecked())
        self.address.setText(self._serving.address and f"{self._serving.address}/v1")
        self.copy_address.setEnabled(bool(self._serving.address))
        self.copy_key.setEnabled(bool(self._serving.key))
        self._show_connected()

    def _show_connected(self) -> None:
        self.connected.setText(self._serving.problem or self._programs())

    def _programs(self) -> str:
        found = self._serving.connected
        if found:
            return self.tr(", ").join(program.name for program in found)
        return self.tr("No program is connected.") if self._serving.address else self.tr("Off")

    def _on_allowed(self, wanted: bool) -> None:
        self._settings["programs.allowed"] = wanted

    def _on_need_key(self, wanted: bool) -> None:
        self._settings["programs.need_key"] = wanted

    def _on_port(self, port: int) -> None:
        self._settings["programs.port"] = port

    def _on_copy_address(self) -> None:
        QGuiApplication.clipboard().setText(self.address.text())

    def _on_copy_key(self) -> None:
        QGuiApplication.clipboard().setText(self._serving.key)


def _beside(*widgets: QWidget) -> QWidget:
    """Widgets in a row."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return row
