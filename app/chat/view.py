"""The conversation as the user sees it: transcript, composer, and between them what the host reports."""

import json
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.chat.attachments import RefusedError, picture_refused, read_attachment
from app.chat.composer import Composer
from app.chat.find import FindBar
from app.chat.links import ask_to_open
from app.chat.message import Answer, Question
from app.chat.meter import too_long
from app.chat.model_line import ModelLine
from app.chat.notice import Notice
from app.chat.receipt import Receipt
from app.chat.token_estimate import estimate
from app.chat.transcript import COLUMN_MARGIN, Transcript
from app.chat.welcome import Welcome
from app.conversations.conversation import ASSISTANT, INTERRUPTED, Attachment, Conversation, Message, ToolCall
from app.conversations.keeper import ConversationKeeper
from app.host.engine_host import EngineHost, ModelInfo, State
from app.settings.parameters import ParametersPanel, options_of, template_options
from app.settings.registry import Preferences
from app.widgets.prompt_words import words_of_prompt
from engine.settings import GenerationOptions
from engine.statistics import PromptProgress, Summary

LAST_MODEL_KEY = "models.last"


@dataclass
class Job:
    """The answer that is being written: it goes on when another conversation is shown."""

    conversation: Conversation
    message: Message
    seconds_before: float = 0.0  # of reasoning, in what was continued
    call_open: bool = False  # whether the last tool call is still being written

    def calls(self) -> tuple[tuple[ToolCall, ...], bool, str]:
        """The calls that are complete, and whether another is being written, with its text."""
        calls = self.message.tool_calls
        return (calls[:-1], True, calls[-1].arguments) if self.call_open else (calls, False, "")


class ChatView(QWidget):
    """One conversation is shown at a time. Asks the host, shows what comes back, and keeps all of it in the storage."""

    shown = Signal(str)  # the id of the conversation that is shown now
    answering = Signal(str)  # the id of the conversation in which an answer is being written; "" for none
    refused = Signal(str)  # why a file cannot go with a message
    answered = Signal(object, object)  # Conversation, Message: an answer has ended

    def __init__(
        self,
        host: EngineHost,
        storage: ConversationKeeper,
        settings: Preferences,
        parent: QWidget | None = None,
    ):
        super().__init__(parent)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self.conversation = Conversation()
        self._host, self._storage, self._settings = host, storage, settings
        self._job: Job | None = None
        self._notice: Notice | None = None
        self.welcome = Welcome()
        self.transcript = Transcript(self.welcome)
        self.find_bar = FindBar(self.transcript)
        self.composer = Composer()
        self.parameters = ParametersPanel(settings)
        self.parameters.hide()
        self._foot = QVBoxLayout()
        self._foot.setSpacing(10)
        self.model_line = ModelLine()
        self._foot.addWidget(self.model_line)
        self._foot.addWidget(self.parameters)
        self._foot.addWidget(self.composer)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.find_bar)
        layout.addWidget(self.transcript, 1)
        layout.addLayout(self._foot)
        self._line_up(COLUMN_MARGIN)
        self._connect()
        self.show_conversation(self.conversation)

    # ------------------------------------------------------------------ what a person does
    def send(self, text: str) -> None:
        """Ask the model. While it cannot answer, the text waits in the message field."""
        if not self._can_answer():
            self.composer.set_draft("\n\n".join(part for part in (self.composer.entry.toPlainText(), text) if part))
            return
        attachments, self.conversation.attachments = self.conversation.attachments, ()
        self.composer.attachments.show_all(())
        self._ask(text, self.conversation.leaf, attachments)

    def attach(self, paths: list[Path]) -> None:
        """Let text files go with the next message. What is none is refused with words."""
        for path in paths:
            try:
                self.composer.attachments.add(read_attachment(path))
            except RefusedError as error:
                self.refused.emit(str(error))
        self.composer.setFocus()

    def resend(self, question: Message, text: str) -> None:
        """Ask a changed question in the place of an old one, which stays as another branch."""
        self._ask(text, question.parent, question.attachments)

    def regenerate(self, answer: Message) -> None:
        """Answer the same question once more; the old answer stays as another branch."""
        question = self.conversation.messages.get(answer.parent or "")
        if question and self._can_answer():
            self._begin(self.conversation.answer(question))

    def continue_answer(self, answer: Message) -> None:
        """Go on where an answer ends."""
        if self._can_answer():
            self.composer.setFocus()  # the button goes, and would hand its focus to some text
            answer.finish = answer.error = ""
            if widget := self._widget_of(answer):
                widget.go_on()
            self._begin(answer)

    def use_plain_format(self, answer: Message) -> None:
        """Answer without the model's chat template, which fails; and so in this conversation from now on."""
        if self._can_answer():
            self.conversation.parameters["plain_format"] = True
            self.parameters.show_parameters(self.conversation.parameters)
            self.continue_answer(answer)

    def stop(self) -> None:
        """End the answer that is being written here; one of another conversation goes on."""
        if self._is_answering_here():
            self._host.stop()

    def new_chat(self) -> None:
        """Show an empty conversation. An answer that is being written goes on in its own."""
        if self.conversation.messages or self.conversation.draft or self.conversation.attachments:
            self.show_conversation(Conversation())
        self.composer.setFocus()

    def show_conversation(self, conversation: Conversation) -> None:
        """Show a conversation, and what was typed there and not sent."""
        same = conversation is self.conversation
        self.conversation = conversation
        if not same:
            self.transcript.show_path([])
        self._show_path()
        self.transcript.go_to_end()
        self.composer.set_draft(conversation.draft)
        self.composer.attachments.show_all(conversation.attachments)
        self.parameters.show_parameters(conversation.parameters)
        self._offer_model()
        self._on_state(self._host.state)
        self.shown.emit(conversation.id)

    def show_found(self, message: Message, words: str) -> None:
        """Go to a message of the conversation that is shown, and mark what was found there."""
        self.transcript.go_to(message)
        if words:
            self.find_bar.look_for(words, message)

    def show_words(self, words: str) -> None:
        """Mark words in the conversation that is shown, if they are there."""
        holding = (m for m in self.conversation.path() if words.casefold() in m.whole_text.casefold())
        if message := next(holding, None):
            self.find_bar.look_for(words, message)

    def put_above_composer(self, line: QWidget) -> None:
        """Room for a line that is said as long as the window wants."""
        self._foot.insertWidget(0, line)

    def last_question(self) -> Question | None:
        """The latest question, which is then shown."""
        self.transcript.go_to_end()
        return next((w for w in reversed(self.transcript.messages()) if isinstance(w, Question)), None)

    def abandon(self, conversation: Conversation | str) -> None:
        """This conversation is being deleted: nothing more is written there."""
        id_ = conversation if isinstance(conversation, str) else conversation.id
        if self._job and self._job.conversation.id == id_:
            self._host.stop()

    # ------------------------------------------------------------------ asking
    def _ask(self, text: str, parent: str | None, attachments: tuple[Attachment, ...]) -> None:
        if not self._can_answer():
            return
        question, answer = self.conversation.ask(text, parent, attachments)
        self._storage.keep(self.conversation, question)
        self._begin(answer)

    def _begin(self, answer: Message) -> None:
        conversation = self.conversation
        conversation.leaf, conversation.model = answer.id, self._settings[LAST_MODEL_KEY]
        self._offer_model()
        assert self._host.model
        answer.receipt = {**answer.receipt, "model": self._host.model.name}
        self._job = Job(conversation, answer, answer.reasoning_seconds)
        self._storage.keep(conversation, answer)
        saved = self._storage.save_now()  # nothing is generated before what was typed is on disk
        self.answering.emit(conversation.id)
        self._show_path()
        self.transcript.go_to_end()
        options = options_of(conversation.parameters, self._settings)
        system = options.pop("system_prompt").strip()
        options |= template_options(conversation.parameters)
        messages = [{"role": "system", "content": system}] if system else []
        messages += conversation.prompt(answer)
        chosen = GenerationOptions(**options, conversation=conversation.id)
        self._host.generate(messages, chosen, saved.done if saved else None)

    def _can_answer(self) -> bool:
        return self._host.state is State.READY

    def _is_answering_here(self) -> bool:
        return self._job is not None and self._job.conversation is self.conversation

    def _show_path(self) -> None:
        path = self.conversation.path()
        self.transcript.show_path(path)
        self._show_what_is_left_out(path)
        families = self.conversation.families()
        for widget in self.transcript.messages():
            widget.set_variants(families[widget.message.parent, widget.message.role])
        self._show_writers()
        self._show_what_is_possible()
        self._show_context()
        self.find_bar.refresh()

    def _show_writers(self) -> None:
        """Say of each answer which model wrote it, where several did."""
        writers = self.conversation.writers()
        for widget in self.transcript.messages():
            if isinstance(widget, Answer):
                widget.set_writer(writers.get(widget.message.id, ""))

    def _show_what_is_left_out(self, path: list[Message]) -> None:
        """A line above the first message that the latest answer's model was given."""
        answers = [message for message in path if message.role == ASSISTANT]
        receipts = (Receipt.from_json(message.receipt) for message in reversed(answers))
        latest = next((receipt for receipt in receipts if receipt), None)
        left_out = path[: latest.left_out] if latest else []
        self.transcript.set_first_given(path[len(left_out)] if left_out and len(left_out) < len(path) else None)

    def _show_what_is_possible(self) -> None:
        free = self._can_answer()
        for widget in self.transcript.messages():
            if isinstance(widget, Question):
                widget.set_editable(free)
            else:
                widget.set_free(free, widget.message.id == self.conversation.leaf)

    # ------------------------------------------------------------------ wiring
    def _connect(self) -> None:
        self.transcript.column_moved.connect(self._line_up)
        self.transcript.added.connect(self._on_widget_added)
        self.find_bar.closed.connect(self.composer.setFocus)
        self.welcome.chosen.connect(self._on_example)
        self.composer.submitted.connect(self.send)
        self.composer.stop_asked.connect(self.stop)
        self.composer.typed.connect(self._on_typed)
        self._settings.changed.connect(self._on_setting)
        self.composer.attached.connect(self._on_attached)
        self.composer.entry.files_pasted.connect(self.attach)
        self.composer.entry.picture_pasted.connect(self._on_picture)
        self.composer.entry.text_pasted.connect(self._on_long_text)
        self.composer.parameters_button.toggled.connect(self.parameters.setVisible)
        self.parameters.changed.connect(self._on_parameters)
        self._host.state_changed.connect(self._on_state)
        self._host.loaded.connect(self._on_loaded)
        self._host.load_failed.connect(self._on_load_failed)
        self._host.prefilling.connect(self._on_prefilling)
        self._host.text_arrived.connect(self._on_text)
        self._host.reasoning_arrived.connect(self._on_reasoning)
        self._host.call_arrived.connect(self._on_call_text)
        self._host.tools_called.connect(self._on_calls)
        self._host.answer_refused.connect(self._on_answer_refused)
        self._host.finished.connect(self._on_finished)
        self._host.answer_failed.connect(self._on_answer_failed)

    def _on_widget_added(self, widget: Question | Answer) -> None:
        widget.switched.connect(self._on_switched)
        widget.link_clicked.connect(self._on_link)
        widget.set_variants(self.conversation.siblings(widget.message))
        if isinstance(widget, Question):
            widget.resent.connect(self.resend)
            widget.set_editable(self._can_answer())
            if (edit := self.conversation.edits.get(widget.message.id)) is not None:
                widget.edit_with(edit)
            widget.edited.connect(self._on_edited)
        else:
            widget.regenerated.connect(self.regenerate)
            widget.continued.connect(self.continue_answer)
            widget.plain_format_asked.connect(self.use_plain_format)
            widget.set_writer(self.conversation.writers().get(widget.message.id, ""))
            widget.edit_asked.connect(self._on_edit_asked)
            widget.set_free(self._can_answer(), widget.message.id == self.conversation.leaf)

    def _line_up(self, margin: int) -> None:
        self._foot.setContentsMargins(margin, 4, margin, 18)
        self.find_bar.line_up(margin)

    def _on_example(self, text: str) -> None:
        self.composer.set_draft(text)
        self.composer.setFocus()
        self.composer.submit()

    def _on_typed(self, text: str) -> None:
        if text != self.conversation.draft:
            self.conversation.draft = text
            self._storage.keep(self.conversation)
        if self._host.state in (State.READY, State.ANSWERING):
            self._show_context()

    def _offer_model(self) -> None:
        """A chat remembers its model."""
        self.model_line.offer(self.conversation.model, self._settings[LAST_MODEL_KEY])

    def _on_setting(self, key: str, _value: object) -> None:
        if key == LAST_MODEL_KEY:
            self._offer_model()

    def _on_attached(self) -> None:
        attachments = self.composer.attachments.attachments
        if attachments != self.conversation.attachments:
            self.conversation.attachments = attachments
            self._storage.keep(self.conversation)
        if self._host.state in (State.READY, State.ANSWERING):
            self._show_context()

    def _on_picture(self) -> None:
        self.refused.emit(picture_refused(self.tr("What was pasted")))

    def _on_long_text(self, text: str) -> None:
        self.composer.attachments.add(Attachment(self.tr("Pasted text"), text))

    def _on_edit_asked(self, answer: Message) -> None:
        question = self.conversation.messages.get(answer.parent or "")
        widget = self.transcript.widget_of(question) if question else None
        if isinstance(widget, Question):
            widget.edit()

    def _on_edited(self, message: Message, text: str) -> None:
        self._check_length(message, text)
        if text == message.text:
            self.conversation.edits.pop(message.id, None)
        else:
            self.conversation.edits[message.id] = text
        self._storage.keep(self.conversation)

    def _check_length(self, message: Message, text: str) -> None:
        """Say it where a changed question is too long."""
        widget = self.transcript.widget_of(message)
        if isinstance(widget, Question) and self._host.model:
            files = sum(estimate(attachment.text) for attachment in message.attachments)
            widget.set_too_long(too_long(files + estimate(text.strip()), self._host.model.context))

    def _on_parameters(self) -> None:
        if self.conversation.messages or self.conversation.draft:
            self._storage.keep(self.conversation)

    def _on_switched(self, message: Message) -> None:
        self.conversation.show(message)
        self._storage.keep(self.conversation)
        self._show_path()

    def _on_link(self, url: QUrl) -> None:
        ask_to_open(url, self)

    # ------------------------------------------------------------------ what the host reports
    def _on_state(self, state: State) -> None:
        blocked = {
            State.EMPTY: self.tr("No model is loaded"),
            State.LOADING: self.tr("The model is loading"),
            State.ANSWERING: self.tr("An answer is being written in another chat"),
            State.STOPPING: self.tr("The answer is being stopped"),
            State.FAILED: self.tr("No model is loaded"),
            State.CLOSED: self.tr("Flashbulb is closing"),
        }
        if state is State.READY:
            self.composer.set_ready()
        elif state is State.ANSWERING and self._is_answering_here():
            self.composer.set_answering()
        else:
            self.composer.set_blocked(blocked[state])
        if state is State.LOADING:
            self._clear_notice()
            self.composer.meter.say(self.tr("Loading the model…"))
        elif state is State.ANSWERING and not self._is_answering_here():
            self.composer.meter.say(blocked[state])
        else:
            self._show_context()
        self._show_what_is_possible()

    def _on_loaded(self, model: ModelInfo) -> None:
        self.parameters.show_model(model)
        self._show_context()

    def _on_load_failed(self, message: str, details: str) -> None:
        self.composer.meter.say("")
        self._clear_notice()
        self._notice = Notice(message, details, self.tr("Reload Model"))
        self._notice.acted.connect(self._host.reload)
        self._foot.insertWidget(0, self._notice)

    def _on_prefilling(self, progress: PromptProgress) -> None:
        if widget := self._job_widget():
            widget.show_progress(words_of_prompt(progress))

    def _on_text(self, text: str) -> None:
        if not self._job:
            return
        self._end_call()
        self._job.message.text += text
        if widget := self._job_widget():
            widget.append(text)
        self._on_more()

    def _on_reasoning(self, text: str, seconds: float) -> None:
        if not self._job:
            return
        self._end_call()
        self._job.message.reasoning += text
        self._job.message.reasoning_seconds = self._job.seconds_before + seconds
        if widget := self._job_widget():
            widget.append_reasoning(text)
        self._on_more()

    def _on_call_text(self, text: str) -> None:
        if not self._job:
            return
        before, _, written = self._job.calls()
        self._job.message.tool_calls = (*before, ToolCall("", written + text))
        self._job.call_open = True
        if widget := self._job_widget():
            widget.append_call(text)
        self._on_more()

    def _on_calls(self, calls: list[tuple[str, dict[str, object]]]) -> None:
        if not self._job:
            return
        found = tuple(ToolCall(name, json.dumps(given, indent=2, ensure_ascii=False)) for name, given in calls)
        self._job.message.tool_calls = (*self._job.calls()[0], *found)
        self._job.call_open = False
        if widget := self._job_widget():
            widget.add_calls(found)
        self._on_more()

    def _end_call(self) -> None:
        """The end of a tool call: what follows is no part of it any more."""
        if self._job and self._job.call_open:
            self._job.call_open = False
            if widget := self._job_widget():
                widget.end_call()

    def _on_more(self) -> None:
        """There is more of the answer that is being written."""
        assert self._job
        self._storage.keep(self._job.conversation, self._job.message)
        if self._is_answering_here():
            self.find_bar.refresh()
            self._show_context()

    def _on_finished(self, summary: Summary) -> None:
        if self._job:
            assert self._host.model
            self._job.message.reasoning_tokens += summary.reasoning_tokens
            self._job.message.finish = summary.finish_reason or "stop"
            self._job.message.receipt = Receipt.of(summary, self._host.model).to_json()
            self._end(self._job)

    def _on_answer_failed(self, message: str, details: str) -> None:
        if self._job:
            self._job.message.finish, self._job.message.error = "error", message
            self._end(self._job, details)

    def _on_answer_refused(self, message: str, why: str) -> None:
        if self._job:
            self._job.message.finish, self._job.message.error = why, message
            self._end(self._job)

    def _end(self, job: Job, details: str = "") -> None:
        widget, self._job = self._job_widget(), None
        self.answering.emit("")
        job.conversation.updated = max(job.conversation.updated, job.message.created)
        self._storage.keep(job.conversation, job.message)
        self._storage.save_now()
        if widget:
            widget.finish(details)
            self._show_what_is_left_out(self.conversation.path())
            self.find_bar.refresh()
        self._show_what_is_possible()
        self._show_context()
        self.answered.emit(job.conversation, job.message)

    def interrupt(self) -> None:
        """The application ends: what there is of an answer is all that there will be."""
        if self._job:
            self._job.message.finish = INTERRUPTED
            self._storage.keep(self._job.conversation, self._job.message)
            self._job = None

    def _job_widget(self) -> Answer | None:
        """The widget of the answer that is being written, while its conversation is shown."""
        if self._job is None or self._job.conversation is not self.conversation:
            return None
        return self._widget_of(self._job.message)

    def _widget_of(self, answer: Message) -> Answer | None:
        widget = self.transcript.widget_of(answer)
        return widget if isinstance(widget, Answer) else None

    def _show_context(self) -> None:
        """Tokens as the model counted them, and about as many more as were written since or are typed."""
        if not self._host.model or (self._job and not self._is_answering_here()):
            return
        context, typed = self._host.model.context, self._typed_tokens()
        reason = too_long(typed, context)
        self.composer.set_too_long(reason)
        if reason:
            self.composer.meter.say(reason)
            return
        used, more, reasoning = 0, typed, 0
        for message in reversed(self.conversation.path()):
            if (
                message.role == ASSISTANT
                and (receipt := Receipt.from_json(message.receipt))
                and not self._is_written(message)
            ):
                used = receipt.context_tokens
                reasoning = reasoning or receipt.reasoning_tokens
                break
            if self._is_written(message):
                reasoning = estimate(message.reasoning)
                more += reasoning
            more += estimate(message.whole_text)
        self.composer.meter.set_used(used, context, more, reasoning)

    def _typed_tokens(self) -> int:
        """About as many tokens as the message will have, with its files."""
        files = sum(estimate(attachment.text) for attachment in self.composer.attachments.attachments)
        return files + estimate(self.composer.entry.toPlainText().strip())

    def _is_written(self, message: Message) -> bool:
        return self._job is not None and self._job.message is message

    def _clear_notice(self) -> None:
        if self._notice:
            self._foot.removeWidget(self._notice)
            self._notice.hide()
            self._notice.deleteLater()
            self._notice = None
