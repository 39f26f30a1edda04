"""The settings window: a toolbar of panes. Changes apply at once; what needs the model to be loaded again says so."""

from PySide6.QtCore import QEvent, QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent, QKeySequence, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QMainWindow, QSizePolicy, QStackedWidget, QToolButton, QWidget

from app.host.engine_host import EngineHost
from app.settings.memory_pane import MemoryPane
from app.settings.panes import ChatPane, GeneralPane, ModelsPane
from app.settings.programs_pane import ProgramsPane
from app.settings.registry import Preferences
from app.widgets.colours import colours, mix
from app.widgets.fitting import FittingArea
from app.widgets.toolbar import ToolBar

WIDTH = 680  # pixels
FRAME_HEIGHT = 60  # pixels that a window's title takes, and some air
TAB_PADDING = (14, 7)


class PaneButton(QToolButton):
    """The name of a pane; that of the pane which is shown stands on a tinted ground."""

    def __init__(self, action: QAction):
        super().__init__()
        self.setDefaultAction(action)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def sizeHint(self) -> QSize:
        text = self.fontMetrics().size(Qt.TextFlag.TextShowMnemonic, self.text())
        return text + QSize(2 * TAB_PADDING[0], 2 * TAB_PADDING[1])

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades, window = colours(self.palette()), self.palette().window().color()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(mix(shades.accent, window, 0.3) if self.hasFocus() else Qt.PenStyle.NoPen)
        if self.isChecked():
            painter.setBrush(mix(shades.accent, window, 0.78))
        elif self.underMouse():
            painter.setBrush(mix(shades.text, window, 0.93))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(2.5, 2.5, -2.5, -2.5), 6, 6)
        painter.setPen(shades.text)
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextShowMnemonic, self.text())


class SettingsWindow(QMainWindow):
    """Reopens on the pane that was last open."""

    reload_asked = Signal()

    def __init__(self, settings: Preferences, host: EngineHost, parent: QWidget | None = None):
        super().__init__(parent, Qt.WindowType.Window)
        # A settings window has no use for being minimised or for filling the screen.
        self.setWindowFlags(
            Qt.WindowType.Window
            | Qt.WindowType.CustomizeWindowHint
            | Qt.WindowType.WindowTitleHint
            | Qt.WindowType.WindowSystemMenuHint
            | Qt.WindowType.WindowCloseButtonHint
        )
        self._settings = settings
        self.memory = MemoryPane(settings, host)
        self.models = ModelsPane(settings)
        self.memory.reload_asked.connect(self.reload_asked)
        self.panes: list[tuple[str, str, QWidget]] = [
            ("general", self.tr("General"), GeneralPane(settings)),
            ("models", self.tr("Models"), self.models),
            ("memory", self.tr("Memory & Speed"), self.memory),
            ("chat", self.tr("Chat"), ChatPane(settings)),
            ("programs", self.tr("Programs"), ProgramsPane(settings, host.serving)),
        ]
        self._pane: QWidget = self.panes[0][2]
        self._stack = QStackedWidget()
        self._make_toolbar()
        self._areas = {pane: FittingArea(pane) for _, _, pane in self.panes}
        for pane, area in self._areas.items():
            self._stack.addWidget(area)
            pane.installEventFilter(self)
        self.setCentralWidget(self._stack)
        self.setFixedWidth(WIDTH)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        close = QAction(self)
        close.setShortcuts([QKeySequence("Ctrl+W"), QKeySequence("Esc")])
        close.triggered.connect(self.close)
        self.addAction(close)
        self.open_pane(settings["general.pane"])

    def open_pane(self, key: str) -> None:
        """Show a pane."""
        keys = [name for name, _, _ in self.panes]
        self._actions[keys.index(key) if key in keys else 0].trigger()

    def shutdown(self) -> None:
        """End what runs in the background."""
        self.memory.shutdown()
        self.models.shutdown()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._settings.close()
        super().closeEvent(event)

    def _make_toolbar(self) -> None:
        bar = ToolBar(self.tr("Panes"))
        bar.addWidget(_spring())
        group = QActionGroup(self)
        self._actions = []
        for key, title, _ in self.panes:
            action = QAction(title.replace("&", "&&"), group)
            action.setCheckable(True)
            action.setData(key)
            action.triggered.connect(self._on_pane)
            bar.addWidget(PaneButton(action))
            self._actions.append(action)
        bar.addWidget(_spring())
        self.setUnifiedTitleAndToolBarOnMac(True)
        self.addToolBar(bar)
        self._bar = bar

    def _on_pane(self) -> None:
        index = next(i for i, action in enumerate(self._actions) if action.isChecked())
        key, title, pane = self.panes[index]
        self._stack.setCurrentIndex(index)
        self.setWindowTitle(title)
        self._settings["general.pane"] = key
        self._pane = pane
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The pane that is shown has more or fewer rows than before, as another model has."""
        if watched is self._pane and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return super().eventFilter(watched, event)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()  # fonts are only known now
        self.setFocus()  # Tab then goes to the first pane's name

    def _fit(self) -> None:
        """As high as its pane, and no higher than the screen: there it scrolls."""
        if layout := self._pane.layout():
            layout.invalidate()
        content = max(self._pane.heightForWidth(WIDTH), self._pane.minimumSizeHint().height())
        most = self.screen().availableGeometry().height() - FRAME_HEIGHT
        wanted = content + self._bar.sizeHint().height()
        policy = Qt.ScrollBarPolicy.ScrollBarAlwaysOff if wanted <= most else Qt.ScrollBarPolicy.ScrollBarAsNeeded
        self._areas[self._pane].setVerticalScrollBarPolicy(policy)  # else one that was needed stays, for its own sake
        self.setFixedHeight(min(wanted, most))


def _spring() -> QWidget:
    widget = QWidget()
    widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    return widget
