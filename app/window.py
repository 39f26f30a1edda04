"""The main window: title bar, menus, and the panes side by side."""

import sys
from functools import partial
from pathlib import Path

from PySide6.QtCore import QEvent, QSettings, QSize, Qt, QTimer
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QFont,
    QGuiApplication,
    QKeySequence,
    QPalette,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.chat.sidebar import Sidebar
from app.chat.text_size import set_text_size
from app.chat.transfer import Transfer
from app.chat.view import ChatView
from app.conversations.conversation import Conversation
from app.conversations.exchange import CHAT_SUFFIX
from app.conversations.keeper import ConversationKeeper
from app.desktop.diagnostics import Diagnostics
from app.desktop.links import LICENCES, show_licences, show_releases
from app.desktop.notifications import Notifier
from app.host.engine_host import EngineHost, ModelInfo, State
from app.library.proof import ProofWindow
from app.library.survey import STARTER, Row
from app.library.window import LibraryWindow, dropped_folder
from app.monitor.panel import MonitorPanel
from app.settings.registry import BY_KEY, FILE, Preferences
from app.settings.window import SettingsWindow
from app.widgets import language, units
from app.widgets.colours import colours, forget
from app.widgets.dialogs import show_about, show_shortcuts
from app.widgets.icons import GRID, icon
from app.widgets.labels import Label, quiet
from app.widgets.side_panes import SidePane, SidePanes
from app.widgets.toolbar import ToolBar

SIZE = (1240, 800)
LEAST_SIZE = (640, 420)
TOOL_SIZE = 32
TEXT_STEP = 10  # per cent
NUMBERED = 9  # conversations that have a shortcut


class MainWindow(QMainWindow):
    """Composes sidebar, chat and monitor around one host, which it shuts down when it closes for good.

    `data_dir` is where conversations, settings and the window's place are kept; None keeps nothing. `stays`: the
    application goes on without its window until it is quit, as on a Mac.
    """

    def __init__(
        self,
        host: EngineHost,
        model: str | None = None,
        data_dir: Path | None = None,
        stays: bool = sys.platform == "darwin",
    ):
        super().__init__()
        self.host, self._changing_model = host, False
        self._stays, self._quitting = stays, False
        self.setAcceptDrops(True)
        self._place = QSettings(str(data_dir / "window.ini"), QSettings.Format.IniFormat) if data_dir else None
        language.use(language.SYSTEM)  # for what there may be to say about the settings
        self.settings = Preferences(data_dir / FILE if data_dir else None, self)
        language.use(self.settings["general.language"])
        self._model = model or self.settings["models.last"]
        self.storage = ConversationKeeper(data_dir, self)
        set_text_size(self.settings["general.text_size"])
        self.chat = ChatView(host, self.storage, self.settings, starter=self._model == STARTER)
        self.sidebar = Sidebar(self.storage)
        self.monitor = MonitorPanel(host)
        self.transfer = Transfer(self.storage, self)
        self.notifier = Notifier(self, self.settings)
        self.diagnostics = Diagnostics(host, self.settings, self)
        self.settings_window: SettingsWindow | None = None
        self.library: LibraryWindow | None = None
        self.title = Label("Flashbulb", weight=QFont.Weight.DemiBold)
        self.subtitle = quiet()
        self._make_actions()
        self._make_menus()
        self._make_toolbar()
        self._compose()
        self._restore_place()
        self._connect()
        self._on_state(host.state)

    def start(self) -> None:
        """Load the model and what was open last. Apart from the constructor so that the window is up before."""
        self.load(self._model)
        self.storage.list_heads()
        last = self._place.value("conversation", "") if self._place else ""
        self._remember(self.chat.conversation.id)
        if last:
            self.storage.open(str(last), self.chat.show_conversation, _let_be)
        if self.settings.notice:
            self.sidebar.say(self.settings.notice)
        if self._place and not self._place.value("welcomed", False, type=bool):
            self._place.setValue("welcomed", True)
            self.chat.welcome.guide.show_it()

    def load(self, model: str) -> None:
        """Load a model as the settings say, once an answer that is being written is stopped."""
        self._model = model
        self._changing_model = self.host.state in (State.ANSWERING, State.STOPPING)
        if self._changing_model:
            self.host.stop()
            return
        memory = self.settings.section("memory")
        self.host.load(model, memory_budget=memory.pop("budget"), **memory)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._save_place()
        for window in (self.settings_window, self.library):
            if window:
                window.close()
        self.hide()  # at once: the engine may need a moment to end its token
        if self._stays and not self._quitting:
            event.ignore()
            return
        for window in (self.settings_window, self.library):
            if window:
                window.shutdown()
        self.notifier.close()
        self.diagnostics.shutdown()
        self.chat.welcome.guide.shutdown()
        self.chat.interrupt()
        self.storage.shutdown()
        self.settings.close()
        self.host.shutdown()
        super().closeEvent(event)

    def bring_up(self) -> None:
        """Show the window again, in front of others."""
        _bring_up(self)

    def quit(self) -> None:
        """Close the window for good."""
        self._quitting = True
        self.close()
        QApplication.quit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(
            self, "panel_button"
        ):  # also comes while the window is built
            self._colour_icons()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.side_panes.fit(event.size().width())
        super().resizeEvent(event)

    def open_file(self, path: str) -> None:
        """Open what was double-clicked or dropped on the application: exported conversations; a prepared model, which
        is loaded; or a checkpoint, which is offered to be prepared."""
        if path.endswith(CHAT_SUFFIX):
            self.transfer.import_file(Path(path), self._on_imported)
            return
        if not (Path(path) / "manifest.json").is_file() and (Path(path) / "config.json").is_file():
            self._show_library()
            self.library.take(Path(path))
            return
        self.load(path)

    def follow_contrast(self) -> None:
        """The system wants more or less contrast: everything that has a colour of ours asks for it again."""
        forget()
        for widget in QApplication.allWidgets():
            QApplication.sendEvent(widget, QEvent(QEvent.Type.PaletteChange))
            widget.update()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_folder(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        if folder := dropped_folder(event):
            self.open_file(str(folder))

    # ------------------------------------------------------------------ building
    def _make_actions(self) -> None:
        keys = QKeySequence.StandardKey
        self.new_chat = self._action(self.tr("&New Chat"), keys.New, self.chat.new_chat)
        self.import_chats = self._action(self.tr("&Import Chats…"), None, self._import)
        self.export_chat = self._action(self.tr("&Export Chat…"), "Ctrl+Shift+E", self._export)
        self.export_all = self._action(self.tr("Export &All Chats…"), None, self.transfer.export_all)
        self.reload = self._action(self.tr("Reload &Model"), None, self._reload)
        self.models = self._action(self.tr("&Models…"), "Ctrl+Shift+M", self._show_library)
        self.show_settings = self._action(self.tr("&Settings…"), keys.Preferences, self._show_settings)
        self.show_settings.setShortcut(QKeySequence("Ctrl+,"))
        self.show_settings.setMenuRole(QAction.MenuRole.PreferencesRole)
        self.close_window = self._action(self.tr("&Close Window"), "Ctrl+W", self.close)
        self.quit_action = self._action(self.tr("&Quit Flashbulb"), "Ctrl+Q", self.quit)
        self.quit_action.setMenuRole(QAction.MenuRole.QuitRole)

        self.copy_answer = self._action(self.tr("Copy &Last Answer"), "Ctrl+Shift+C", self._copy_answer)
        self.copy_chat = self._action(self.tr("Copy C&hat"), None, self._copy_chat)
        self.write = self._action(self.tr("&Write a Message"), "Ctrl+L", self._write)
        self.find = self._action(self.tr("&Find in This Chat"), "Ctrl+F", self.chat.find.open_bar)
        self.find_next = self._action(self.tr("Find &Next"), "Ctrl+G", self._find_next)
        self.find_previous = self._action(self.tr("Find Pre&vious"), "Ctrl+Shift+G", self._find_previous)
        self.search = self._action(self.tr("&Search All Chats"), "Ctrl+Shift+F", self._search)

        self.stop = self._action(self.tr("&Stop Answer"), "Esc", self.chat.stop)
        self.stop.setShortcuts([QKeySequence("Esc"), QKeySequence("Ctrl+.")])
        self.answer_again = self._action(self.tr("Answer &Again"), "Ctrl+R", self._answer_again)
        self.edit_question = self._action(self.tr("&Edit Last Message"), "Ctrl+E", self._edit_question)
        self.parameters = self._action(
            self.tr("System &Prompt and Sampling"), "Ctrl+Shift+P", self.chat.composer.parameters_button.toggle
        )
        self.rename = self._action(self.tr("&Rename Chat"), None, self._rename)
        self.pin = self._action(self.tr("P&in or Unpin Chat"), None, self._pin)
        self.delete = self._action(self.tr("&Delete Chat"), "Ctrl+Backspace", self._delete)
        self.undelete = self._action(self.tr("&Undo Delete"), "Ctrl+Shift+Backspace", self._undelete)
        self.undelete.setEnabled(False)

        self.show_sidebar = self._toggle(self.tr("&Sidebar"), "Ctrl+B")
        self.panel = self._toggle(self.tr("Live &Panel"), "Ctrl+Alt+I")
        self.larger = self._action(self.tr("&Larger Text"), keys.ZoomIn, self._enlarge)
        self.larger.setShortcuts([*QKeySequence.keyBindings(keys.ZoomIn), QKeySequence("Ctrl+=")])
        self.smaller = self._action(self.tr("S&maller Text"), keys.ZoomOut, self._shrink)
        self.usual_size = self._action(self.tr("&Usual Text Size"), "Ctrl+0", self._reset_text_size)
        self.full_screen = self._action(self.tr("&Full Screen"), keys.FullScreen, self._toggle_full_screen)
        self.numbered = [
            self._action(self.tr("Chat {0}").format(n + 1), f"Ctrl+{n + 1}", self._open_numbered)
            for n in range(NUMBERED)
        ]
        self.shortcuts = self._action(self.tr("&Keyboard Shortcuts"), "Ctrl+/", self._show_shortcuts)
        self.guide = self._action(self.tr("&What This Computer Can Run"), None, self._show_guide)
        self.export_diagnostics = self._action(self.tr("Export &Diagnostics…"), None, self.diagnostics.export)
        self.updates = self._action(self.tr("Check for &Updates…"), None, show_releases)
        self.updates.setMenuRole(QAction.MenuRole.ApplicationSpecificRole)
        self.licences = self._action(self.tr("Third-Party &Licences"), None, show_licences)
        self.licences.setVisible(LICENCES.is_file())
        self.about = self._action(self.tr("&About Flashbulb"), None, self._show_about)
        self.about.setMenuRole(QAction.MenuRole.AboutRole)

    def _action(self, text: str, keys, slot) -> QAction:
        action = QAction(text, self)
        if keys is not None:
            action.setShortcut(QKeySequence(keys))
        if slot is not None:
            action.triggered.connect(slot)
        return action

    def _toggle(self, text: str, keys: str) -> QAction:
        action = self._action(text, keys, None)
        action.setCheckable(True)
        action.setChecked(True)
        action.toggled.connect(self._colour_icons)
        return action

    def _make_menus(self) -> None:
        names = (self.tr("&File"), self.tr("&Edit"), self.tr("&Chat"), self.tr("&View"), self.tr("&Help"))
        file, edit, chat, view, help_ = (self.menuBar().addMenu(name) for name in names)
        _fill(file, self.new_chat, None, self.import_chats, self.export_chat, self.export_all, None, self.models,
              self.reload, self.show_settings, None, self.close_window, self.quit_action)  # fmt: skip
        _fill(edit, *self._edits(), None, self.copy_answer, self.copy_chat, None, self.write, None, self.find,
              self.find_next, self.find_previous, self.search)  # fmt: skip
        _fill(chat, self.stop, self.answer_again, self.edit_question, None, self.parameters, None, self.rename,
              self.pin, self.delete, self.undelete)  # fmt: skip
        _fill(view, self.show_sidebar, self.panel, None, self.larger, self.smaller, self.usual_size, None,
              self.full_screen, None)  # fmt: skip
        _fill(view.addMenu(self.tr("&Go to Chat")), *self.numbered)
        _fill(help_, self.guide, self.shortcuts, self.export_diagnostics, self.licences, self.updates,
              self.about)  # fmt: skip

    def _edits(self) -> list[QAction | None]:
        """What every text field can do: the menu asks the one that has the focus."""
        keys = QKeySequence.StandardKey
        entries = (
            (self.tr("&Undo"), keys.Undo, "undo"),
            (self.tr("&Redo"), keys.Redo, "redo"),
            None,
            (self.tr("Cu&t"), keys.Cut, "cut"),
            (self.tr("&Copy"), keys.Copy, "copy"),
            (self.tr("&Paste"), keys.Paste, "paste"),
            (self.tr("Select &All"), keys.SelectAll, "selectAll"),
        )
        actions: list[QAction | None] = []
        for entry in entries:
            if entry is None:
                actions.append(None)
                continue
            text, shortcut, method = entry
            action = self._action(text, shortcut, self._edit)
            action.setData(method)
            actions.append(action)
        return actions

    def _make_toolbar(self) -> None:
        bar = ToolBar(self.tr("Toolbar"))
        self.setUnifiedTitleAndToolBarOnMac(True)
        self.sidebar_button = _tool_button("", self.show_sidebar.toggle)
        self.models_button = _tool_button(self.tr("Models"), self.models.trigger)
        self.new_chat_button = _tool_button(self.tr("New chat"), self.new_chat.trigger)
        self.panel_button = _tool_button("", self.panel.toggle)
        bar.addWidget(self.sidebar_button)
        bar.addWidget(self.models_button)
        bar.addWidget(self._title_block())
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
        lines = [_line(), _line()]
        centre = QWidget()
        layout = QHBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for widget in (self.sidebar, lines[0], self.chat, lines[1], self.monitor):
            layout.addWidget(widget, int(widget is self.chat))
        self.setCentralWidget(centre)
        self.setMinimumSize(*LEAST_SIZE)
        self.side_panes = SidePanes(
            SidePane(self.show_sidebar, self.sidebar, lines[0]),
            SidePane(self.panel, self.monitor, lines[1]),
            parent=self,
        )
        self.chat.composer.setFocus()

    def _connect(self) -> None:
        self.host.state_changed.connect(self._on_state)
        self.host.loaded.connect(self._on_loaded)
        self.host.gave_back.connect(self._name_model)
        self.host.state_changed.connect(self.notifier.on_state)
        self.chat.answered.connect(self.notifier.on_answered)
        self.chat.shown.connect(self.sidebar.set_shown)
        self.chat.shown.connect(self._remember)
        self.chat.answering.connect(self.sidebar.set_answering)
        self.sidebar.opened.connect(self._open)
        self.sidebar.deleted.connect(self._on_deleted)
        self.sidebar.export_asked.connect(self.transfer.export)
        self.chat.welcome.guide.models_asked.connect(self._show_library)
        self.settings.changed.connect(self._on_setting)
        self.settings.trouble.connect(self.sidebar.say)
        self.sidebar.set_shown(self.chat.conversation.id)
        self._hints = QGuiApplication.styleHints()  # kept: what it hands out goes with it
        self._hints.accessibility().contrastPreferenceChanged.connect(self.follow_contrast)
        if self._stays:
            QGuiApplication.instance().applicationStateChanged.connect(self._on_application_state)

    def _colour_icons(self) -> None:
        shades = colours(self.palette())
        self.models_button.setIcon(icon("models", shades.quiet))
        self.new_chat_button.setIcon(icon("new chat", shades.quiet))
        shown = self.show_sidebar.isChecked()
        self.sidebar_button.setIcon(icon("sidebar", shades.accent if shown else shades.quiet))
        _name(self.sidebar_button, self.tr("Hide the sidebar") if shown else self.tr("Show the sidebar"))
        shown = self.panel.isChecked()
        self.panel_button.setIcon(icon("panel", shades.accent if shown else shades.quiet))
        _name(self.panel_button, self.tr("Hide the live panel") if shown else self.tr("Show the live panel"))

    # ------------------------------------------------------------------ what the host and the settings report
    def _on_state(self, state: State) -> None:
        self.stop.setEnabled(state is State.ANSWERING)
        self.reload.setEnabled(state in (State.READY, State.FAILED))
        for action in (self.answer_again, self.edit_question):
            action.setEnabled(state is State.READY)
        if state is State.LOADING:
            self._set_title("Flashbulb", self.tr("loading the model…"))
        elif state is State.FAILED:
            self._set_title("Flashbulb", self.tr("no model is loaded"))
        elif state is State.READY and self._changing_model:
            self._changing_model = False
            QTimer.singleShot(0, self._reload)  # after the answer's end is told to everybody

    def _on_loaded(self, model: ModelInfo) -> None:
        self._name_model(model)
        self.settings["models.last"] = self._model

    def _name_model(self, model: ModelInfo) -> None:
        held, whole = units.size(model.planned_bytes), units.size(model.model_bytes)
        self._set_title(model.name, self.tr("{0} model, {1} in memory").format(whole, held))

    def _on_application_state(self, state: Qt.ApplicationState) -> None:
        """A click on the application's icon brings a closed window back."""
        if state == Qt.ApplicationState.ApplicationActive and not self.isVisible() and not self._quitting:
            self.show()

    def _set_title(self, title: str, subtitle: str) -> None:
        self.title.setText(title)
        self.subtitle.setText(subtitle)
        self.setWindowTitle(title if title == "Flashbulb" else f"{title} – Flashbulb")

    def _on_setting(self, key: str, value) -> None:
        if key == "general.text_size":
            set_text_size(value)

    # ------------------------------------------------------------------ conversations
    def _open(self, id_: str, message: str | None = None, words: str = "") -> None:
        self.storage.open(id_, partial(self._on_opened, message, words), self._on_not_there)

    def _on_opened(self, wanted: str | None, words: str, conversation: Conversation) -> None:
        message = conversation.messages.get(wanted)
        if message:
            conversation.show(message)
        if conversation is not self.chat.conversation or message:
            self.chat.show_conversation(conversation)
        if message:
            self.chat.show_found(message, words)

    def _on_not_there(self, error: Exception) -> None:
        self.sidebar.say(str(error))

    def _on_deleted(self, id_: str) -> None:
        self.undelete.setEnabled(True)
        self.chat.abandon(id_)
        if id_ == self.chat.conversation.id:
            self.chat.show_conversation(Conversation())

    def _undelete(self) -> None:
        self.sidebar.restore()
        self.undelete.setEnabled(self.sidebar.can_restore)

    def _import(self) -> None:
        self.transfer.import_(self._on_imported)

    def _on_imported(self, conversations: list[Conversation]) -> None:
        if conversations:
            self._open(conversations[0].id)

    def _export(self) -> None:
        self.transfer.export(self.chat.conversation.id)

    def _rename(self) -> None:
        self.show_sidebar.setChecked(True)
        self.sidebar.rename(self.chat.conversation.id)

    def _pin(self) -> None:
        self.sidebar.toggle_pin(self.chat.conversation.id)

    def _delete(self) -> None:
        self.sidebar.delete(self.chat.conversation.id)

    def _open_numbered(self) -> None:
        self.sidebar.open_number(self.numbered.index(self.sender()))

    # ------------------------------------------------------------------ what the menus do
    def _edit(self) -> None:
        method = getattr(QApplication.focusWidget(), self.sender().data(), None)
        if method:
            method()

    def _write(self) -> None:
        self.chat.composer.setFocus()

    def _find_next(self) -> None:
        self.chat.find.step(1)

    def _find_previous(self) -> None:
        self.chat.find.step(-1)

    def _search(self) -> None:
        self.show_sidebar.setChecked(True)
        self.sidebar.search()

    def _show_library(self) -> None:
        if self.library is None:
            self.library = LibraryWindow(self.settings, parent=self)
            self.library.chat_asked.connect(self._on_model_chosen)
            self.library.proof_asked.connect(self._on_proof_asked)
            self.library.jobs.changed.connect(self.notifier.on_job)
        _bring_up(self.library)

    def _on_proof_asked(self, row: Row) -> None:
        memory = self.settings.section("memory")
        settings = {"memory_budget": memory.pop("budget"), **memory}
        ProofWindow(self.host, row.title, row.model, settings, self.library)

    def _on_model_chosen(self, model: str) -> None:
        self.load(model)
        self.bring_up()

    def _show_settings(self) -> None:
        if self.settings_window is None:
            self.settings_window = SettingsWindow(self.settings, self.host, self)
            self.settings_window.reload_asked.connect(self._reload)
        _bring_up(self.settings_window)

    def _reload(self) -> None:
        self.load(self._model)

    def _answer_again(self) -> None:
        if answer := self.chat.conversation.last_answer():
            self.chat.regenerate(answer)

    def _edit_question(self) -> None:
        if question := self.chat.last_question():
            question.edit()

    def _copy_answer(self) -> None:
        if answer := self.chat.conversation.last_answer():
            QGuiApplication.clipboard().setText(answer.text.strip())

    def _copy_chat(self) -> None:
        QGuiApplication.clipboard().setText(self.chat.conversation.as_markdown())

    def _enlarge(self) -> None:
        self._set_text_size(self.settings["general.text_size"] + TEXT_STEP)

    def _shrink(self) -> None:
        self._set_text_size(self.settings["general.text_size"] - TEXT_STEP)

    def _reset_text_size(self) -> None:
        self._set_text_size(BY_KEY["general.text_size"].default)

    def _set_text_size(self, percent: int) -> None:
        if BY_KEY["general.text_size"].accepts(percent):
            self.settings["general.text_size"] = percent

    def _toggle_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def _show_shortcuts(self) -> None:
        show_shortcuts(self, [action.menu() for action in self.menuBar().actions()])

    def menus(self) -> list[QMenu]:
        """The menus of the menu bar, and theirs."""
        return self.menuBar().findChildren(QMenu)

    def _show_guide(self) -> None:
        self.chat.new_chat()
        self.chat.welcome.guide.show_it()

    def _show_about(self) -> None:
        show_about(self)

    # ------------------------------------------------------------------ where the window was
    def _restore_place(self) -> None:
        self.resize(*SIZE)
        if self._place:
            self.restoreGeometry(self._place.value("geometry", b""))
            self.panel.setChecked(self._place.value("panel", True, type=bool))
            self.show_sidebar.setChecked(self._place.value("sidebar", True, type=bool))

    def _save_place(self) -> None:
        if self._place:
            self._place.setValue("geometry", self.saveGeometry())
            self._place.setValue("panel", self.side_panes.wants(self.panel))
            self._place.setValue("sidebar", self.side_panes.wants(self.show_sidebar))

    def _remember(self, conversation: str) -> None:
        """Where the user is, also for a start after a crash."""
        if self._place:
            self._place.setValue("conversation", conversation)


def _let_be(_error: Exception) -> None:
    """An empty conversation was left, of which nothing was kept: a new one is as good."""


def _bring_up(window: QWidget) -> None:
    window.show()
    window.raise_()
    window.activateWindow()


def _fill(menu: QMenu, *actions: QAction | None) -> None:
    """None is a line between two groups."""
    for action in actions:
        menu.addAction(action) if action else menu.addSeparator()


def _line() -> QFrame:
    line = QFrame(frameShape=QFrame.Shape.VLine, frameShadow=QFrame.Shadow.Plain)
    line.setForegroundRole(QPalette.ColorRole.Mid)
    return line


def _tool_button(name: str, slot) -> QToolButton:
    button = QToolButton(autoRaise=True)
    button.setIconSize(QSize(GRID, GRID))
    button.setFixedSize(TOOL_SIZE, TOOL_SIZE)
    _name(button, name)
    button.clicked.connect(slot)
    return button


def _name(button: QToolButton, name: str) -> None:
    button.setAccessibleName(name)
    button.setToolTip(name)
