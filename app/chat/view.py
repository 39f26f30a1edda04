"""The conversation as the user sees it: transcript, composer, and between them what the host reports."""

from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.chat.composer import Composer
from app.chat.message import Answer, receipt
from app.chat.notice import Notice
from app.chat.transcript import COLUMN_MARGIN, Transcript
from app.chat.welcome import Welcome
from app.conversation import Conversation, Turn
from app.engine_host import EngineHost, ModelInfo, State
from engine.statistics import Summary

BLOCKED = {
    State.EMPTY: "No model is loaded",
    State.LOADING: "The model is loading",
    State.STOPPING: "The answer is being stopped",
    State.FAILED: "No model is loaded",
    State.CLOSED: "Flashbulb is closing",
}


class ChatView(QWidget):
    """One conversation. Asks the host, and shows what comes back."""

    def __init__(self, host: EngineHost, *, starter: bool, parent: QWidget | None = None):
        super().__init__(parent)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self.conversation = Conversation()
        self._host = host
        self._turn: Turn | None = None
        self._answer: Answer | None = None  # None also after New chat, while the old answer is being stopped
        self._notice: Notice | None = None
        self.welcome = Welcome()
        self.welcome.describe(starter=starter)
        self.transcript = Transcript(self.welcome)
        self.composer = Composer()
        self._foot = QVBoxLayout()
        self._foot.setSpacing(10)
        self._foot.addWidget(self.composer)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.transcript, 1)
        layout.addLayout(self._foot)
        self._line_up(COLUMN_MARGIN, COLUMN_MARGIN)
        self._connect()
        self._on_state(host.state)

    def send(self, question: str) -> None:
        """Ask the model."""
        self._turn = self.conversation.ask(question)
        self.transcript.add_question(question)
        self._answer = self.transcript.add_answer()
        self.transcript.go_to_end()
        self._host.generate(self.conversation.messages())

    def new_chat(self) -> None:
        """Start over; an answer that is being written is dropped."""
        self._host.stop()
        self._turn = self._answer = None
        self.conversation = Conversation()
        self.transcript.clear()
        self._show_context(0)
        self.composer.setFocus()

    def _connect(self) -> None:
        self.transcript.column_moved.connect(self._line_up)
        self.welcome.chosen.connect(self._on_example)
        self.composer.submitted.connect(self.send)
        self.composer.stop_asked.connect(self._host.stop)
        self._host.state_changed.connect(self._on_state)
        self._host.loaded.connect(self._on_loaded)
        self._host.load_failed.connect(self._on_load_failed)
        self._host.text_arrived.connect(self._on_text)
        self._host.finished.connect(self._on_finished)
        self._host.answer_failed.connect(self._on_answer_failed)

    def _line_up(self, left: int, right: int) -> None:
        self._foot.setContentsMargins(left, 4, right, 18)

    def _on_example(self, text: str) -> None:
        self.composer.entry.setPlainText(text)
        self.composer.setFocus()
        self.composer.submit()

    def _on_state(self, state: State) -> None:
        if state is State.READY:
            self.composer.set_ready()
        elif state is State.ANSWERING:
            self.composer.set_answering()
        else:
            self.composer.set_blocked(BLOCKED[state])
        if state is State.LOADING:
            self._clear_notice()
            self.composer.hint.setText("Loading the model…")

    def _on_loaded(self, _model: ModelInfo) -> None:
        self._show_context(0)

    def _on_load_failed(self, message: str, details: str) -> None:
        self.composer.hint.clear()
        self._notice = Notice(message, details, "Reload model")
        self._notice.acted.connect(self._host.reload)
        self._foot.insertWidget(0, self._notice)

    def _on_text(self, text: str) -> None:
        if self._answer:
            self._turn.answer += text
            self._answer.append(text)

    def _on_finished(self, summary: Summary) -> None:
        self._show_context(summary.prompt_tokens + len(summary.tokens) if self._answer else 0)
        if self._answer:
            self._turn.summary = summary
            self._answer.finish(receipt(summary, self._host.model.selection))

    def _on_answer_failed(self, message: str, details: str) -> None:
        if self._answer:
            self._turn.error = message
            self._answer.fail(message, details)

    def _show_context(self, used: int) -> None:
        if self._host.model:
            self.composer.hint.setText(f"{used:,} of {self._host.model.context:,} tokens")
            self.composer.hint.setToolTip("How much of the model's context this conversation takes")

    def _clear_notice(self) -> None:
        if self._notice:
            self._foot.removeWidget(self._notice)
            self._notice.hide()
            self._notice.deleteLater()
            self._notice = None
