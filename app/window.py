"""The main window: the panes side by side, the menus, and where the window was."""

import sys
from functools import partial
from pathlib import Path
from typing import cast

from PySide6.QtCore import QByteArray, QEvent, QSettings, Qt
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication, QKeySequence, QPalette, QResizeEvent
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QMenu, QVBoxLayout, QWidget

from app.chat.attachments import is_attachable
from app.chat.sidebar import Sidebar
from app.chat.text_size import set_text_size
from app.chat.transfer import Transfer
from app.chat.view import ChatView
from app.commands.conversations import ConversationCommands
from app.commands.models import ModelCommands, bring_up
from app.conversations.conversation import Head
from app.conversations.exchange import CHAT_SUFFIX
from app.conversations.keeper import ConversationKeeper
from app.desktop.diagnostics import Diagnostics
from app.desktop.links import LICENCES, show_licences, show_releases
from app.desktop.notifications import Notifier
from app.header import Header
from app.host.deadline import ending_together
from app.host.engine_host import EngineHost, ModelInfo, State
from app.library.known import last_used
from app.library.rows import name_of
from app.library.window import LibraryWindow
from app.monitor.panel import MonitorPanel
from app.settings.registry import BY_KEY, FILE, Preferences
from app.settings.window import SettingsWindow
from app.widgets import language
from app.widgets.actions import Entry, Table, actions_of, fill, keys_for
from app.widgets.colours import forget
from app.widgets.dialogs import show_about, show_news, show_shortcuts
from app.widgets.dropping import DropWindow
from app.widgets.editing import EditMenu, edit_table
from app.widgets.memory_words import weights_in_words
from app.widgets.message_bar import MessageBar
from app.widgets.side_panes import SidePane, SidePanes

SIZE = (1240, 800)
MIN_SIZE = (640, 420)
TEXT_STEP = 10  # per cent
NUMBERED_CHATS = 9  # conversations that have a shortcut
TEXT_SIZE_KEY = "general.text_size"
KEEP_CONTEXTS_KEY = "general.keep_contexts"


class MainWindow(DropWindow):
    """Composes sidebar, chat and monitor around one host, which it shuts down when it closes for good.

    `data_dir` is where conversations, settings and the window's place are kept; None keeps nothing. `stays`: the
    application goes on without its window until it is quit, as on a Mac. Every action of the menus is an attribute by
    its id in the table.
    """

    new_chat: QAction
    stop: QAction
    answer_again: QAction
    edit_question: QAction
    pin: QAction
    undelete: QAction
    reload: QAction
    show_sidebar: QAction
    panel: QAction
    numbered: list[QAction]

    def __init__(
        self,
        host: EngineHost,
        model: str | None = None,
        data_dir: Path | None = None,
        stays: bool = sys.platform == "darwin",
    ):
        super().__init__()
        self.host = host
        self._stays, self._quitting = stays, False
        self._place = QSettings(str(data_dir / "window.ini"), QSettings.Format.IniFormat) if data_dir else None
        language.use(language.SYSTEM)  # for what there may be to say about the settings
        self.settings = Preferences(data_dir / FILE if data_dir else None, self)
        language.use(self.settings["general.language"])
        model = model or last_used(self.settings)
        self.storage = ConversationKeeper(data_dir, self)
        self.storage.keep_contexts(self.settings[KEEP_CONTEXTS_KEY])
        if self.storage.contexts:
            host.keep_in(self.storage.contexts)
        set_text_size(self.settings[TEXT_SIZE_KEY])
        self.chat = ChatView(host, self.storage, self.settings)
        self.sidebar = Sidebar(self.storage)
        self.monitor = MonitorPanel(host)
        self.message = MessageBar()
        self.conversations = ConversationCommands(
            self.chat, self.sidebar, self.storage, self.settings, self.message, self
        )
        self.conversations.deleted.connect(host.forget_conversation)
        self.conversations.all_deleted.connect(host.forget)
        self.model_commands = ModelCommands(host, self.settings, self.message, self, model)
        self.model_commands.loaded.connect(self.chat.welcome.describe)
        self.model_commands.gone.connect(self.chat.welcome.describe_nothing)
        self.chat.put_above_composer(self.model_commands.starter_line)
        self.notifier = Notifier(self, self.settings)
        self.notifier.clicked.connect(self.bring_up)
        self.diagnostics = Diagnostics(host, self.settings, self)
        self.settings_window: SettingsWindow | None = None
        self._listed: set[str] = set()  # the ids of chats of which something is kept
        self._make_menus()
        self.header = Header(self._actions, self)
        self.title, self.subtitle = self.header.title, self.header.subtitle
        self.setUnifiedTitleAndToolBarOnMac(True)
        self.addToolBar(self.header)
        self._compose()
        self._restore_place()
        self._connect()
        self._on_state(host.state)
        self.settings.changed.connect(self._serve)
        self._serve()

    @property
    def transfer(self) -> Transfer:
        """Exporting and importing."""
        return self.conversations.transfer

    @property
    def library(self) -> LibraryWindow | None:
        """The window of models, once it was opened."""
        return self.model_commands.library

    def start(self) -> None:
        """Load the model and what was open last. Apart from the constructor so that the window is up before."""
        self.load(self.model_commands.model)
        self.storage.list_heads()
        last = self._place.value("conversation", "") if self._place else ""
        self._remember(self.chat.conversation.id)
        if last:
            self.conversations.open_last(str(last))
        if self.settings.notice:
            self.sidebar.say(self.settings.notice)
        if self._place and not self._place.value("welcomed", False, type=bool):
            self._place.setValue("welcomed", True)
            self.chat.welcome.guide.show_it()

    def load(self, model: str) -> None:
        """Load a model as the settings say, once an answer that is being written is stopped."""
        self.model_commands.load(model)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._save_place()
        self.model_commands.close()
        if self.settings_window:
            self.settings_window.close()
        self.hide()  # at once: the engine may need a moment to end its token
        if self._stays and not self._quitting:
            event.ignore()
            return
        self._end()
        super().closeEvent(event)

    def _end(self) -> None:
        """End all: what is unsaved first, then whatever still runs, all of it within one short time."""
        self.chat.interrupt()
        self.settings.close()
        self.storage.finish()
        self.host.finish()
        self.notifier.close()
        with ending_together():
            self.storage.shutdown()
            self.host.shutdown()
            if self.settings_window:
                self.settings_window.shutdown()
            self.model_commands.shutdown()
            self.diagnostics.shutdown()
            self.chat.welcome.guide.shutdown()

    def bring_up(self) -> None:
        """Show the window again, in front of others."""
        bring_up(self)

    def quit(self) -> None:
        """Close the window for good."""
        self._quitting = True
        self.close()
        QApplication.quit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.side_panes.fit(event.size().width())
        super().resizeEvent(event)

    def open_file(self, path: str) -> None:
        """Open what was double-clicked or dropped on the application: exported conversations, or a model's folder."""
        if path.endswith(CHAT_SUFFIX):
            self.conversations.import_file(Path(path))
        else:
            self.model_commands.take(Path(path))

    def take_paths(self, paths: list[Path]) -> None:
        """Text files go with the next message; folders and files of models are taken as models."""
        for path in paths:
            if is_attachable(path) and not path.name.endswith(CHAT_SUFFIX):
                self.chat.attach([path])
            else:
                self.open_file(str(path))

    def follow_contrast(self) -> None:
        """The system wants more or less contrast: everything that has a colour of ours asks for it again."""
        forget()
        for widget in QApplication.allWidgets():
            QApplication.sendEvent(widget, QEvent(QEvent.Type.PaletteChange))
            widget.update()

    # ------------------------------------------------------------------ the menus
    def _make_menus(self) -> None:
        """The menu bar, from its tables. No key deletes anything: keys for that belong to the list that has the focus,
        never to a window in which somebody may be typing."""
        bar = self.menuBar()
        menus: tuple[tuple[QMenu, Table], ...] = (
            (QMenu(self.tr("&File"), bar), self._file_table()),
            (EditMenu(self.tr("&Edit"), bar), self._edit_table()),
            (QMenu(self.tr("&Chat"), bar), self._chat_table()),
            (QMenu(self.tr("&Model"), bar), self._model_table()),
            (QMenu(self.tr("&View"), bar), self._view_table()),
            (QMenu(self.tr("&Help"), bar), self._help_table()),
        )
        entries = [entry for _, table in menus for entry in table if entry]
        self._actions = actions_of(entries, self)
        for name, action in self._actions.items():
            setattr(self, name, action)
        for menu, table in menus:
            fill(menu, table, self._actions)
            bar.addMenu(menu)
        self._add_numbered(menus[4][0])
        self._actions["licences"].setVisible(LICENCES.is_file())
        self.conversations.use_undo(self.undelete)

    def _add_numbered(self, view: QMenu) -> None:
        table = tuple(
            Entry(f"chat_{n}", self.tr("Chat {0}").format(n), partial(self.conversations.open_number, n - 1),
                  (f"Ctrl+{n}",))
            for n in range(1, NUMBERED_CHATS + 1)
        )  # fmt: skip
        numbered = actions_of(table, self)
        view.addSeparator()
        fill(view.addMenu(self.tr("&Go to Chat")), table, numbered)
        self.numbered = list(numbered.values())

    def _file_table(self) -> Table:
        does, roles = self.conversations, QAction.MenuRole
        return (
            Entry("new_chat", self.tr("&New Chat"), self.chat.new_chat, keys_for(QKeySequence.StandardKey.New)),
            None,
            Entry("import_chats", self.tr("&Import Chats…"), does.ask_for_import),
            Entry("export_chat", self.tr("&Export Chat…"), does.export, ("Ctrl+Shift+E",)),
            Entry("export_all", self.tr("Export &All Chats…"), does.export_all),
            None,
            Entry("delete_all", self.tr("&Delete All Chats…"), does.ask_to_delete_all),
            None,
            Entry("show_settings", self.tr("&Settings…"), self._show_settings, ("Ctrl+,",), None,
                  roles.PreferencesRole),
            None,
            Entry("close_window", self.tr("&Close Window"), self.close, ("Ctrl+W",)),
            Entry("quit_action", self.tr("&Quit Flashbulb"), self.quit, ("Ctrl+Q",), None, roles.QuitRole),
        )  # fmt: skip

    def _edit_table(self) -> Table:
        does = self.conversations
        find = self.chat.find_bar
        return (
            *edit_table(),
            None,
            Entry("copy_answer", self.tr("Copy &Last Answer"), does.copy_answer, ("Ctrl+Shift+C",)),
            Entry("copy_chat", self.tr("Copy C&hat"), does.copy_chat),
            None,
            Entry("write", self.tr("&Write a Message"), self.chat.composer.setFocus, ("Ctrl+L",)),
            None,
            Entry("find_in_chat", self.tr("&Find in This Chat"), find.open_bar, ("Ctrl+F",)),
            Entry("find_next", self.tr("Find &Next"), partial(find.step, 1), ("Ctrl+G",)),
            Entry("find_previous", self.tr("Find Pre&vious"), partial(find.step, -1), ("Ctrl+Shift+G",)),
            Entry("search", self.tr("&Search All Chats"), self._search, ("Ctrl+Shift+F",)),
        )

    def _chat_table(self) -> Table:
        does, chat = self.conversations, self.chat
        return (
            Entry("stop", self.tr("&Stop Answer"), chat.stop, ("Esc", "Ctrl+.")),
            Entry("answer_again", self.tr("Answer &Again"), does.answer_again, ("Ctrl+R",)),
            Entry("edit_question", self.tr("&Edit Last Message"), does.edit_question, ("Ctrl+E",)),
            None,
            Entry("parameters", self.tr("System &Prompt and Sampling"), chat.composer.parameters_button.toggle,
                  ("Ctrl+Shift+P",)),
            None,
            Entry("rename", self.tr("&Rename Chat"), self._rename),
            Entry("pin", self.tr("P&in Chat"), does.pin),
            Entry("delete", self.tr("&Delete Chat"), does.delete),
            Entry("undelete", self.tr("&Undo Delete"), does.restore),
        )  # fmt: skip

    def _model_table(self) -> Table:
        does = self.model_commands
        return (
            Entry("switch_model", self.tr("&Switch Model…"), self._switch_model, ("Ctrl+K",)),
            Entry("models", self.tr("&Models…"), self._show_library, ("Ctrl+Shift+M",)),
            Entry("add_folder", self.tr("&Add Folder…"), does.ask_for_folder),
            None,
            Entry("reload", self.tr("&Reload Model"), does.reload),
        )

    def _view_table(self) -> Table:
        keys = QKeySequence.StandardKey
        return (
            Entry("show_sidebar", self.tr("&Sidebar"), None, ("Ctrl+B",), True),
            Entry("panel", self.tr("Live &Panel"), None, ("Ctrl+Alt+I",), True),
            None,
            Entry("larger", self.tr("&Larger Text"), self._enlarge, keys_for(keys.ZoomIn, "Ctrl+=")),
            Entry("smaller", self.tr("S&maller Text"), self._shrink, keys_for(keys.ZoomOut)[:1]),
            Entry("usual_size", self.tr("&Actual Size"), self._reset_text_size, ("Ctrl+0",)),
            None,
            Entry("full_screen", self.tr("&Full Screen"), self._toggle_full_screen,
                  keys_for(keys.FullScreen)[:1] or ("F11",)),
        )  # fmt: skip

    def _help_table(self) -> Table:
        roles = QAction.MenuRole
        return (
            Entry("guide", self.tr("&What This Computer Can Run"), self._show_guide),
            Entry("shortcuts", self.tr("&Keyboard Shortcuts"), self._show_shortcuts, ("Ctrl+/",)),
            Entry("news", self.tr("What's &New"), self._show_news),
            Entry("export_diagnostics", self.tr("Export &Diagnostics…"), self.diagnostics.export),
            Entry("licences", self.tr("Third-Party &Licences"), show_licences),
            Entry("updates", self.tr("Check for &Updates…"), show_releases, (), None, roles.ApplicationSpecificRole),
            Entry("about", self.tr("&About Flashbulb"), self._show_about, (), None, roles.AboutRole),
        )

    # ------------------------------------------------------------------ building
    def _compose(self) -> None:
        lines = [_line(), _line()]
        middle, centre = QWidget(), QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.message)
        column.addWidget(self.chat, 1)
        layout = QHBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for widget in (self.sidebar, lines[0], middle, lines[1], self.monitor):
            layout.addWidget(widget, int(widget is middle))
        self.setCentralWidget(centre)
        self.setMinimumSize(*MIN_SIZE)
        self.side_panes = SidePanes(
            SidePane(self.show_sidebar, self.sidebar, lines[0]),
            SidePane(self.panel, self.monitor, lines[1]),
            parent=self,
        )
        self.chat.composer.setFocus()

    def _connect(self) -> None:
        self.host.state_changed.connect(self._on_state)
        self.host.loaded.connect(self._name_model)
        self.host.memory_changed.connect(self._name_model)
        self.host.preparing.connect(self._on_preparing)
        self.host.reading.connect(self._on_reading)
        self.host.proving.connect(self._on_proving)
        self.host.state_changed.connect(self.notifier.on_state)
        self.chat.refused.connect(self.message.say)
        self.chat.model_line.asked.connect(self.load)
        self.chat.answered.connect(self.notifier.on_answered)
        self.model_commands.job_changed.connect(self.notifier.on_job)
        self.chat.shown.connect(self.sidebar.set_shown)
        self.chat.shown.connect(self._remember)
        self.chat.shown.connect(self._show_what_is_possible)
        self.chat.answering.connect(self.sidebar.set_answering)
        self.chat.answering.connect(self._show_what_is_possible)
        self.storage.heads_changed.connect(self._on_heads)
        self.chat.welcome.guide.models_asked.connect(self.model_commands.show_library)
        self.chat.welcome.guide.model_asked.connect(self.model_commands.get)
        self.settings.changed.connect(self._on_setting)
        self.settings.trouble.connect(self.sidebar.say)
        self.sidebar.set_shown(self.chat.conversation.id)
        self._hints = QGuiApplication.styleHints()  # kept: what it hands out goes with it
        self._hints.accessibility().contrastPreferenceChanged.connect(self.follow_contrast)
        application = QGuiApplication.instance()
        if self._stays and isinstance(application, QGuiApplication):
            application.applicationStateChanged.connect(self._on_application_state)

    # ------------------------------------------------------------------ what the host and the settings report
    def _on_state(self, state: State) -> None:
        self.stop.setEnabled(state is State.ANSWERING)
        self.reload.setEnabled(state in (State.READY, State.FAILED))
        self._show_what_is_possible()
        if state is State.LOADING:
            self._set_title(name_of(self.model_commands.model), self.tr("loading the model…"))
        elif state is State.FAILED:
            self._set_title(self.tr("Choose a Model"), self.tr("no model is loaded"))

    def _on_preparing(self, share: float) -> None:
        self.subtitle.setText(self.tr("being prepared, this once: {0} %").format(round(100 * share)))

    def _on_reading(self, share: float) -> None:
        self.subtitle.setText(self.tr("being read into memory: {0} %").format(round(100 * share)))

    def _on_proving(self) -> None:
        self.subtitle.setText(self.tr("being compared with the whole model…"))

    def _serve(self) -> None:
        """Serve other programs, or do not, as the settings have it."""
        self.host.serving.overhearing.wanted = self.settings["programs.overheard"]
        wanted = (self.settings[f"programs.{name}"] for name in ("allowed", "need_key", "port"))
        self.host.serving.follow(*wanted)

    def _name_model(self, model: ModelInfo) -> None:
        self._set_title(model.name, weights_in_words(model.model_bytes, model.on_flash_bytes))
        self.setWindowTitle(f"{model.name} – Flashbulb")

    def _on_application_state(self, state: Qt.ApplicationState) -> None:
        """A click on the application's icon brings a closed window back."""
        if state == Qt.ApplicationState.ApplicationActive and not self.isVisible() and not self._quitting:
            self.show()

    def _set_title(self, title: str, subtitle: str) -> None:
        self.header.say(title, subtitle)
        self.setWindowTitle("Flashbulb")

    def _on_setting(self, key: str, value: int) -> None:
        if key == TEXT_SIZE_KEY:
            set_text_size(value)
            self.monitor.follow_text_size()
        elif key == KEEP_CONTEXTS_KEY:
            self.storage.keep_contexts(bool(value))

    def _on_heads(self, heads: list[Head]) -> None:
        self._listed = {head.id for head in heads}
        self._show_what_is_possible()

    def _show_what_is_possible(self) -> None:
        """Of what the menus do with a chat: nothing can be chosen that would do nothing."""
        chat, ready = self.chat.conversation, self.host.state is State.READY
        said, answered, listed = bool(chat.messages), chat.last_answer() is not None, chat.id in self._listed
        possible = {
            "answer_again": ready and answered,
            "edit_question": ready and said,
            "copy_answer": answered,
            "copy_chat": said,
            "export_chat": listed,
            "export_all": bool(self._listed),
            "delete_all": bool(self._listed),
            "rename": listed,
            "pin": listed,
            "delete": listed,
        }
        for name, can in possible.items():
            self._actions[name].setEnabled(can)
        self.pin.setText(self.tr("Unp&in Chat") if chat.pinned else self.tr("P&in Chat"))

    # ------------------------------------------------------------------ what the menus do with the window
    def _rename(self) -> None:
        self.show_sidebar.setChecked(True)
        self.conversations.rename()

    def _search(self) -> None:
        self.show_sidebar.setChecked(True)
        self.sidebar.search()

    def _show_library(self) -> None:
        self.model_commands.show_library()

    def _switch_model(self) -> None:
        self.model_commands.switch(self.header.title.parentWidget() or self.header)

    def _show_settings(self) -> None:
        if self.settings_window is None:
            self.settings_window = SettingsWindow(self.settings, self.host, self)
            self.settings_window.reload_asked.connect(self.model_commands.reload)
        bring_up(self.settings_window)

    def _enlarge(self) -> None:
        self._set_text_size(self.settings[TEXT_SIZE_KEY] + TEXT_STEP)

    def _shrink(self) -> None:
        self._set_text_size(self.settings[TEXT_SIZE_KEY] - TEXT_STEP)

    def _reset_text_size(self) -> None:
        self.settings[TEXT_SIZE_KEY] = BY_KEY[TEXT_SIZE_KEY].default

    def _set_text_size(self, percent: int) -> None:
        if BY_KEY[TEXT_SIZE_KEY].accepts(percent):
            self.settings[TEXT_SIZE_KEY] = percent

    def _toggle_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def _show_news(self) -> None:
        show_news(self)

    def _show_shortcuts(self) -> None:
        show_shortcuts(self, [cast(QMenu, action.menu()) for action in self.menuBar().actions()])

    def menus(self) -> list[QMenu]:
        """The menus of the menu bar, and theirs."""
        return cast(list[QMenu], self.menuBar().findChildren(QMenu))

    def _show_guide(self) -> None:
        self.chat.new_chat()
        self.chat.welcome.guide.show_it()

    def _show_about(self) -> None:
        show_about(self)

    # ------------------------------------------------------------------ where the window was
    def _restore_place(self) -> None:
        self.resize(*SIZE)
        if self._place:
            geometry = self._place.value("geometry", QByteArray())
            if isinstance(geometry, QByteArray):
                self.restoreGeometry(geometry)
            self.panel.setChecked(bool(self._place.value("panel", True, type=bool)))
            self.show_sidebar.setChecked(bool(self._place.value("sidebar", True, type=bool)))

    def _save_place(self) -> None:
        if self._place:
            self._place.setValue("geometry", self.saveGeometry())
            self._place.setValue("panel", self.side_panes.wants(self.panel))
            self._place.setValue("sidebar", self.side_panes.wants(self.show_sidebar))

    def _remember(self, conversation: str) -> None:
        """Remember where the user is, also for a start after a crash."""
        if self._place:
            self._place.setValue("conversation", conversation)


def _line() -> QFrame:
    line = QFrame(frameShape=QFrame.Shape.VLine, frameShadow=QFrame.Shadow.Plain)
    line.setForegroundRole(QPalette.ColorRole.Mid)
    return line
