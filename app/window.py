"""The main window: title bar, menus, and the two panes side by side."""

from pathlib import Path

from PySide6.QtCore import QEvent, QSettings, QSize, Qt, QTimer
from PySide6.QtGui import QAction, QCloseEvent, QFont, QGuiApplication, QKeySequence, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QToolBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import units
from app.chat.view import ChatView
from app.colours import colours
from app.dialogs import show_about, show_shortcuts
from app.engine_host import EngineHost, ModelInfo, State
from app.icons import GRID, icon
from app.labels import Label, quiet
from app.links import LICENCES, show_licences, show_releases
from app.monitor.panel import MonitorPanel

STARTER = "starter"
SIZE = (1180, 780)
TOOL_SIZE = 32
EDITS = (
    ("&Undo", QKeySequence.StandardKey.Undo, "undo"),
    ("&Redo", QKeySequence.StandardKey.Redo, "redo"),
    None,
    ("Cu&t", QKeySequence.StandardKey.Cut, "cut"),
    ("&Copy", QKeySequence.StandardKey.Copy, "copy"),
    ("&Paste", QKeySequence.StandardKey.Paste, "paste"),
    ("Select &All", QKeySequence.StandardKey.SelectAll, "selectAll"),
)


class MainWindow(QMainWindow):
    """Composes chat and monitor around one host, which it shuts down when it closes.

    `data_dir` is where the window remembers its place; None remembers nothing.
    """

    def __init__(self, host: EngineHost, model: str = STARTER, data_dir: Path | None = None):
        super().__init__()
        self.host, self._model, self._changing_model = host, model, False
        self._place = QSettings(str(data_dir / "window.ini"), QSettings.Format.IniFormat) if data_dir else None
        self.chat = ChatView(host, starter=model == STARTER)
        self.monitor = MonitorPanel(host)
        self.title = Label("Flashbulb", weight=QFont.Weight.DemiBold)
        self.subtitle = quiet()
        self._make_actions()
        self._make_menus()
        self._make_toolbar()
        self._compose()
        self._restore_place()
        host.state_changed.connect(self._on_state)
        host.loaded.connect(self._on_loaded)
        self._on_state(host.state)

    def start(self) -> None:
        """Load the model. Apart from the constructor so that the window is up before."""
        self.host.load(self._model)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._save_place()
        self.hide()  # at once: the engine may need a moment to end its token
        self.host.shutdown()
        super().closeEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(
            self, "panel_button"
        ):  # also comes while the window is built
            self._colour_icons()

    def open_file(self, path: str) -> None:
        """Load a prepared model that was double-clicked or dropped on the application, once an answer is stopped."""
        self._model = path
        self._changing_model = self.host.state in (State.ANSWERING, State.STOPPING)
        if self._changing_model:
            self.host.stop()
        else:
            self.start()

    # ------------------------------------------------------------------ building
    def _make_actions(self) -> None:
        self.new_chat = self._action("&New Chat", QKeySequence.StandardKey.New, self.chat.new_chat)
        self.stop = self._action("&Stop Answer", "Esc", self.host.stop)
        self.reload = self._action("&Reload Model", "Ctrl+R", self.host.reload)
        self.close_window = self._action("&Close Window", QKeySequence.StandardKey.Close, self.close)
        self.quit = self._action("&Quit Flashbulb", QKeySequence.StandardKey.Quit, self.close)
        self.quit.setMenuRole(QAction.MenuRole.QuitRole)
        self.copy_answer = self._action("Copy &Last Answer", "Ctrl+Shift+C", self._copy_answer)
        self.copy_chat = self._action("Copy C&hat", None, self._copy_chat)
        self.write = self._action("&Write a Message", "Ctrl+L", self._write)
        self.panel = self._action("Live &Panel", "Ctrl+Alt+I", None)
        self.panel.setCheckable(True)
        self.panel.setChecked(True)
        self.panel.toggled.connect(self._show_panel)
        self.full_screen = self._action("&Full Screen", QKeySequence.StandardKey.FullScreen, self._toggle_full_screen)
        self.shortcuts = self._action("&Keyboard Shortcuts", "Ctrl+/", self._show_shortcuts)
        self.updates = self._action("Check for &Updates…", None, show_releases)
        self.updates.setMenuRole(QAction.MenuRole.ApplicationSpecificRole)
        self.licences = self._action("Third-Party &Licences", None, show_licences)
        self.licences.setVisible(LICENCES.is_file())
        self.about = self._action("&About Flashbulb", None, self._show_about)
        self.about.setMenuRole(QAction.MenuRole.AboutRole)

    def _action(self, text: str, keys, slot) -> QAction:
        action = QAction(text, self)
        if keys is not None:
            action.setShortcut(QKeySequence(keys))
        if slot is not None:
            action.triggered.connect(slot)
        return action

    def _make_menus(self) -> None:
        file, edit, view, help_ = (self.menuBar().addMenu(name) for name in ("&File", "&Edit", "&View", "&Help"))
        file.addActions([self.new_chat, self.stop, self.reload])
        file.addSeparator()
        file.addActions([self.close_window, self.quit])
        for entry in EDITS:
            if entry is None:
                edit.addSeparator()
                continue
            text, keys, method = entry
            action = self._action(text, keys, self._edit)
            action.setData(method)
            edit.addAction(action)
        edit.addSeparator()
        edit.addActions([self.copy_answer, self.copy_chat, self.write])
        view.addActions([self.panel, self.full_screen])
        help_.addActions([self.shortcuts, self.licences, self.updates, self.about])

    def _make_toolbar(self) -> None:
        bar = QToolBar("Toolbar")
        bar.setMovable(False)
        bar.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self.setUnifiedTitleAndToolBarOnMac(True)
        bar.addWidget(_balance())
        bar.addWidget(self._title_block())
        self.new_chat_button = _tool_button("New chat", self.new_chat.trigger)
        self.panel_button = _tool_button("Live panel", self.panel.toggle)
        bar.addWidget(self.new_chat_button)
        bar.addWidget(self.panel_button)
        self.addToolBar(bar)
        self._colour_icons()

    def _title_block(self) -> QWidget:
        block = QWidget()
        block.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        layout = QVBoxLayout(block)
        layout.setContentsMargins(0, 5, 0, 6)
        layout.setSpacing(1)
        for label in (self.title, self.subtitle):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            layout.addWidget(label)
        return block

    def _compose(self) -> None:
        self._line = QFrame(frameShape=QFrame.Shape.VLine, frameShadow=QFrame.Shadow.Plain)
        self._line.setForegroundRole(QPalette.ColorRole.Mid)
        centre = QWidget()
        layout = QHBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.chat, 1)
        layout.addWidget(self._line)
        layout.addWidget(self.monitor)
        self.setCentralWidget(centre)
        self.setMinimumSize(640, 420)
        self.chat.composer.setFocus()

    def _colour_icons(self) -> None:
        shades = colours(self.palette())
        shown = self.panel.isChecked()
        self.new_chat_button.setIcon(icon("new chat", shades.quiet))
        self.panel_button.setIcon(icon("panel", shades.accent if shown else shades.quiet))
        self.panel_button.setToolTip("Hide the live panel" if shown else "Show the live panel")
        self.panel_button.setAccessibleName(self.panel_button.toolTip())

    # ------------------------------------------------------------------ what the host reports
    def _on_state(self, state: State) -> None:
        self.stop.setEnabled(state is State.ANSWERING)
        self.reload.setEnabled(state in (State.READY, State.FAILED))
        if state is State.LOADING:
            self._set_title("Flashbulb", "loading the model…")
        elif state is State.FAILED:
            self._set_title("Flashbulb", "no model is loaded")
        elif state is State.READY and self._changing_model:
            self._changing_model = False
            QTimer.singleShot(0, self.start)  # after the answer's end is told to everybody

    def _on_loaded(self, model: ModelInfo) -> None:
        held = units.size(model.planned_bytes)
        self._set_title(model.name, f"{units.size(model.model_bytes)} model, {held} in memory")

    def _set_title(self, title: str, subtitle: str) -> None:
        self.title.setText(title)
        self.subtitle.setText(subtitle)
        self.setWindowTitle(title if title == "Flashbulb" else f"{title} – Flashbulb")

    # ------------------------------------------------------------------ what the menus do
    def _edit(self) -> None:
        method = getattr(QApplication.focusWidget(), self.sender().data(), None)
        if method:
            method()

    def _write(self) -> None:
        self.chat.composer.setFocus()

    def _copy_answer(self) -> None:
        answers = [turn.answer for turn in self.chat.conversation.turns if turn.answer]
        if answers:
            QGuiApplication.clipboard().setText(answers[-1].strip())

    def _copy_chat(self) -> None:
        QGuiApplication.clipboard().setText(self.chat.conversation.as_text())

    def _show_panel(self, shown: bool) -> None:
        self.monitor.setVisible(shown)
        self._line.setVisible(shown)
        self._colour_icons()

    def _toggle_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def _show_shortcuts(self) -> None:
        show_shortcuts(self, [action for menu in self.menus() for action in menu.actions()])

    def menus(self) -> list[QMenu]:
        """The menus of the menu bar."""
        return [action.menu() for action in self.menuBar().actions()]

    def _show_about(self) -> None:
        show_about(self)

    # ------------------------------------------------------------------ where the window was
    def _restore_place(self) -> None:
        self.resize(*SIZE)
        if self._place:
            self.restoreGeometry(self._place.value("geometry", b""))
            self.panel.setChecked(self._place.value("panel", True, type=bool))

    def _save_place(self) -> None:
        if self._place:
            self._place.setValue("geometry", self.saveGeometry())
            self._place.setValue("panel", self.panel.isChecked())


def _tool_button(name: str, slot) -> QToolButton:
    button = QToolButton(autoRaise=True)
    button.setIconSize(QSize(GRID, GRID))
    button.setFixedSize(TOOL_SIZE, TOOL_SIZE)
    button.setAccessibleName(name)
    button.setToolTip(name)
    button.clicked.connect(slot)
    return button


def _balance() -> QWidget:
    """As wide as the two buttons at the right, so that the title stands in the middle of the window."""
    spacer = QWidget()
    spacer.setFixedWidth(2 * TOOL_SIZE)
    return spacer
