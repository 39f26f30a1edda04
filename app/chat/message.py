"""One widget a message: the user's question in a bubble, the model's answer with what it cost."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from PySide6.QtCore import QDateTime, QEvent, QLocale, QRectF, QSize, Qt, QUrl, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QEnterEvent,
    QGuiApplication,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSpacerItem,
    QVBoxLayout,
    QWidget,
)

from app.chat.attachments import AttachmentView
from app.chat.body import AnswerBody
from app.chat.code import CodeBlock, CodeView
from app.chat.entry import Entry
from app.chat.markdown import TextView, grow_at_once, in_paragraphs
from app.chat.notice import Notice
from app.chat.reasoning import Reasoning
from app.chat.receipt import Receipt
from app.chat.tool_call import call_block, written_block
from app.conversations.conversation import INTERRUPTED, Message, ToolCall
from app.host.events import PROMPT, TEMPLATE
from app.widgets.buttons import IconButton
from app.widgets.card import paint_card
from app.widgets.colours import colours
from app.widgets.labels import SMALL_FACTOR, ChatLabel, quiet

BUBBLE_SHARE = 0.8  # of the column's width, at most
BUBBLE_MARGINS = (13, 8, 13, 8)
BUTTON_GAP = 4  # between a bubble and its buttons
QUESTION_GAP = 12  # above a question, which belongs to the answer below it
BUBBLE_RADIUS = 12
LIMIT_HEIGHT, LIMIT_GAP = 34, 10  # pixels
LAST_SECOND = 253_402_300_799  # of the year 9999
UNFINISHED_REASONS = ("cancelled", "length", "context", INTERRUPTED)


class Switcher(QWidget):
    """The number of the variant of a message that is shown, and the way to the others."""

    switched = Signal(object)  # Message

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._variants: list[Message] = []
        self._at = 0
        self.previous = IconButton("left", self.tr("Previous version"))
        self.next = IconButton("right", self.tr("Next version"))
        self.label = quiet(kind=ChatLabel)
        self.previous.clicked.connect(self._go_back)
        self.next.clicked.connect(self._go_on)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        for widget in (self.previous, self.label, self.next):
            row.addWidget(widget)
        self.hide()

    def set_variants(self, variants: list[Message], shown: Message) -> None:
        self._variants, self._at = variants, variants.index(shown)
        self.label.setText(f"{self._at + 1} / {len(variants)}")
        self.label.setAccessibleName(self.tr("Version {0} of {1}").format(self._at + 1, len(variants)))
        self.previous.setEnabled(self._at > 0)
        self.next.setEnabled(self._at < len(variants) - 1)
        self.setVisible(len(variants) > 1)

    def _go_back(self) -> None:
        self.switched.emit(self._variants[self._at - 1])

    def _go_on(self) -> None:
        self.switched.emit(self._variants[self._at + 1])


class Limit(QWidget):
    """A line from side to side with words in it."""

    def __init__(self, words: str, parent: QWidget):
        super().__init__(parent)
        self.label = quiet(words, ChatLabel)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.label, 0, Qt.AlignmentFlag.AlignCenter)
        self.setGeometry(0, 0, parent.width(), LIMIT_HEIGHT)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter, shade = QPainter(self), colours(self.palette()).hairline
        middle, words = self.height() // 2, self.label.geometry()
        painter.fillRect(0, middle, words.left() - LIMIT_GAP, 1, shade)
        painter.fillRect(words.right() + LIMIT_GAP, middle, self.width(), 1, shade)


class MessageWidget(QWidget):
    """The common part of questions and answers: a row of buttons that show when the mouse is near."""

    switched = Signal(object)  # Message: show this variant
    link_clicked = Signal(QUrl)

    def __init__(self, message: Message, parent: QWidget | None = None):
        super().__init__(parent)
        self.message = message
        self.limit: Limit | None = None
        self.switcher = Switcher()
        self.switcher.switched.connect(self.switched)
        self.setToolTip(_when(message.created))
        self.copy_button = IconButton("copy", self.tr("Copy message"), shy=True)
        self.copy_button.clicked.connect(self.copy)

    def minimumSizeHint(self) -> QSize:
        """Any width will do: one that followed from what it is now would lead the transcript round in circles."""
        return QSize(0, super().minimumSizeHint().height())

    def copy(self) -> None:
        """Put the message on the clipboard, as it was written, and say so for a moment."""
        QGuiApplication.clipboard().setText(self.message.text.strip())
        self.copy_button.confirm()

    @property
    def folded_text(self) -> str:
        """Text that belongs to it and is folded away."""
        return ""

    def unfold(self) -> None:
        """Show what is folded."""

    def set_variants(self, variants: list[Message]) -> None:
        self.switcher.set_variants(variants, self.message)

    def showEvent(self, event: QShowEvent) -> None:
        self.order_tabs()
        super().showEvent(event)

    def order_tabs(self) -> None:
        """The text first, then what can be done with it, whatever of it was made first."""
        stops = [*self.folds(), *self.views(), *self.buttons()]
        for before, after in pairwise(stops):
            self.setTabOrder(before, after)

    def folds(self) -> list[QWidget]:
        """The buttons that fold and unfold a part of it, from the top."""
        return []

    def buttons(self) -> list[QWidget]:
        """The buttons for what can be done with it, from the left."""
        raise NotImplementedError

    def views(self) -> list[TextView | CodeView]:
        """The views that show its text, from the top."""
        raise NotImplementedError

    def set_first_given(self, first: bool) -> None:
        """True if the model is given this message, and none that stands above."""
        if first and self.limit is None:
            self.limit = Limit(self.tr("Older messages are no longer given to the model"), self)
        if self.limit:
            self.limit.setVisible(first)
        top = LIMIT_HEIGHT if first else 0
        self.setContentsMargins(0, top, 0, 0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self.limit:
            self.limit.setGeometry(0, 0, self.width(), LIMIT_HEIGHT)
        super().resizeEvent(event)

    def menu_for(self, view: TextView | CodeView | None, link: str = "") -> QMenu:
        """The menu of what can be done with the message, or with what the mouse is over in it."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if view and view.textCursor().hasSelection():
            menu.addAction(self.tr("Copy")).triggered.connect(view.copy)
        if link:
            menu.addAction(self.tr("Copy Link")).triggered.connect(partial(_put_on_clipboard, link))
        self.add_actions(menu)
        if view:
            menu.addSeparator()
            menu.addAction(self.tr("Select All")).triggered.connect(view.selectAll)
        return menu

    def add_actions(self, menu: QMenu) -> None:
        """The message's own, each as its button does it."""
        menu.addAction(self.tr("Copy Message")).triggered.connect(self.copy)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        below = self.childAt(event.pos())
        while below is not None and below is not self and not isinstance(below, TextView | CodeView):
            below = below.parentWidget()
        view = below if isinstance(below, TextView | CodeView) else None
        link = view.anchorAt(view.mapFrom(self, event.pos())) if isinstance(view, TextView) else ""
        self.menu_for(view, link).popup(event.globalPos())

    def enterEvent(self, event: QEnterEvent) -> None:
        self._set_near(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._set_near(False)
        super().leaveEvent(event)

    def _set_near(self, near: bool) -> None:
        for button in self.findChildren(IconButton):
            button.set_near(near)


class Bubble(QWidget):
    """The ground of a question; none while it is being changed."""

    def __init__(self, view: TextView, parent: QWidget | None = None):
        super().__init__(parent)
        self._shown = True
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(*BUBBLE_MARGINS)
        self._layout.addWidget(view)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)

    def put_in(self, editor: QWidget) -> None:
        """Show an editor instead of the view."""
        self._shown = False
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addWidget(editor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.update()

    def take_out(self, editor: QWidget) -> None:
        self._shown = True
        self._layout.removeWidget(editor)
        self._layout.setContentsMargins(*BUBBLE_MARGINS)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._shown:
            shade = colours(self.palette()).bubble
            paint_card(self, shade, shade, BUBBLE_RADIUS)


class Question(MessageWidget):
    """The user's words, as typed, in a bubble at the right; they can be changed and sent again."""

    resent = Signal(object, str)  # Message, its new text
    unfolded = Signal(QWidget)  # itself: something in it was opened or closed, by its reader
    edited = Signal(object, str)  # Message, what is being written instead; its own text: it is not being changed

    def __init__(self, message: Message, parent: QWidget | None = None):
        super().__init__(message, parent)
        self.setAccessibleName(self.tr("Your message"))
        self.view = TextView()
        self.view.setPlainText(in_paragraphs(message.text))
        self.view.document().setProperty("lines", True)  # as typed, not paragraphs
        self.view.setAccessibleName(self.tr("You"))
        self.edit_button = IconButton("edit", self.tr("Edit and send again"), shy=True)
        self.edit_button.clicked.connect(self.edit)
        self.editor: Editor | None = None
        self._bubble = Bubble(self.view)
        self._buttons = (self.copy_button, self.edit_button, self.switcher)
        self.attachments = [AttachmentView(attachment) for attachment in message.attachments]
        column = QVBoxLayout(self)
        column.setContentsMargins(0, QUESTION_GAP, 0, 0)
        column.setSpacing(4)
        for attachment in self.attachments:
            attachment.unfolded.connect(self._on_unfolded)
            column.addWidget(attachment)
        layout = self._row = QHBoxLayout()
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        column.addLayout(layout)
        layout.addStretch()
        for widget in self._buttons:
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignBottom)
        self._gap = QSpacerItem(BUTTON_GAP, 0)
        layout.addItem(self._gap)
        layout.addWidget(self._bubble)
        self._show_bubble()

    @property
    def text(self) -> str:
        return self.message.text

    def add_actions(self, menu: QMenu) -> None:
        super().add_actions(menu)
        edit = menu.addAction(self.tr("Edit…"))
        edit.setEnabled(self.edit_button.isEnabled() and self.editor is None)
        edit.triggered.connect(self.edit)

    def views(self) -> list[TextView | CodeView]:
        return [*(view for file in self.attachments for view in file.views()), self.view]

    @property
    def folded_text(self) -> str:
        """The files' texts that are not to be seen."""
        return "\n".join(file.folded_text for file in self.attachments)

    def folds(self) -> list[QWidget]:
        return [file.button for file in self.attachments]

    def unfold(self) -> None:
        """Show the files' texts."""
        for file in self.attachments:
            file.unfold()

    def _on_unfolded(self) -> None:
        self.unfolded.emit(self)

    def buttons(self) -> list[QWidget]:
        return [self.copy_button, self.edit_button, self.switcher.previous, self.switcher.next]

    def edit(self) -> None:
        """Turn the bubble into a field; Escape turns it back."""
        if not self.editor:
            self.edit_with(self.message.text).entry.setFocus()

    def edit_with(self, text: str) -> "Editor":
        """Turn the bubble into a field in which this is written already."""
        self.editor = editor = Editor(text, may_be_blank=bool(self.attachments))
        self.editor.sent.connect(self._on_sent)
        self.editor.given_up.connect(self.end_edit)
        self.editor.entry.textChanged.connect(self._on_typed)
        self.view.hide()
        self._show_buttons(False)
        self._gap.changeSize(0, 0)
        self._bubble.put_in(self.editor)
        self._show_bubble()
        self._row.setStretchFactor(self._bubble, 1)
        self.edited.emit(self.message, text)
        return editor

    def end_edit(self) -> None:
        """Back to the bubble."""
        if self.editor:
            self._bubble.take_out(self.editor)
            self._row.setStretchFactor(self._bubble, 0)
            self.editor.hide()
            self.editor.deleteLater()
            self.editor = None
        self.view.show()
        self._show_bubble()
        self._show_buttons(True)
        self._gap.changeSize(BUTTON_GAP, 0)
        self.edited.emit(self.message, self.message.text)

    def _on_typed(self) -> None:
        if self.editor:
            self.edited.emit(self.message, self.editor.text)

    def _show_bubble(self) -> None:
        """A question of files alone has none, unless it is being changed."""
        self._bubble.setVisible(bool(self.message.text or self.editor or not self.attachments))

    def _show_buttons(self, shown: bool) -> None:
        for button in (self.copy_button, self.edit_button):
            button.setVisible(shown)

    def set_too_long(self, reason: str) -> None:
        """Say why what is being written cannot be sent; "" where it can."""
        if self.editor:
            self.editor.set_too_long(reason)

    def set_editable(self, editable: bool) -> None:
        """While an answer is being written, nothing can be sent."""
        self.edit_button.setEnabled(editable)
        if self.editor:
            self.editor.set_sendable(editable)

    def resizeEvent(self, event: QResizeEvent) -> None:
        left, _, right, _ = BUBBLE_MARGINS
        beside = sum(button.sizeHint().width() for button in self._buttons if not button.isHidden())
        room = min(round(BUBBLE_SHARE * self.width()), self.width() - beside - BUTTON_GAP) - left - right
        self.view.setFixedWidth(min(room, self.view.natural_width()))
        super().resizeEvent(event)

    def _on_sent(self, text: str) -> None:
        self.end_edit()
        self.resent.emit(self.message, text)


class Editor(QWidget):
    """A question being changed."""

    sent = Signal(str)
    given_up = Signal()

    def __init__(self, text: str, may_be_blank: bool = False, parent: QWidget | None = None):
        super().__init__(parent)
        self._sendable, self._may_be_blank = True, may_be_blank
        self.reason = quiet()
        self.reason.setWordWrap(True)
        self.reason.hide()
        self.entry = Entry()
        self.entry.setAccessibleName(self.tr("Message to send again"))
        self.entry.setPlainText(text)
        self.entry.sent.connect(self._send)
        self.entry.left.connect(self.given_up)
        self.entry.textChanged.connect(self._refresh)
        self.entry.composed.connect(self._refresh)
        self.cancel = QPushButton(self.tr("Cancel"))
        self.cancel.clicked.connect(self.given_up)
        self.send = QPushButton(self.tr("Send"))
        self.send.clicked.connect(self._send)
        row = QHBoxLayout()
        row.addWidget(self.reason, 1)
        row.addStretch()
        row.addWidget(self.cancel)
        row.addWidget(self.send)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 10, 12, 10)
        layout.addWidget(self.entry)
        layout.addLayout(row)

    @property
    def text(self) -> str:
        return self.entry.toPlainText()

    def set_sendable(self, sendable: bool) -> None:
        self._sendable = sendable
        self._refresh()

    def set_too_long(self, reason: str) -> None:
        """Say why a question that is too long cannot be sent; "" for none."""
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason))
        self._refresh()

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        paint_card(self, shades.accent, shades.base, BUBBLE_RADIUS)

    def _refresh(self) -> None:
        self.send.setEnabled(self._can_be_sent)
        self.send.setToolTip(self.reason.text())

    @property
    def _can_be_sent(self) -> bool:
        words = self._may_be_blank or not self.entry.is_blank
        return self._sendable and words and not self.reason.text()

    def _send(self) -> None:
        self.entry.take_composed()
        if self._can_be_sent:
            self.sent.emit(self.entry.toPlainText().strip())


class ReceiptDetail(QWidget):
    """A receipt in full."""

    def __init__(self, receipt: Receipt, parent: QWidget | None = None):
        super().__init__(parent)
        self.hint = ChatLabel(receipt.hint())
        self.hint.setWordWrap(True)
        self.hint.setVisible(bool(receipt.hint()))
        form = QFormLayout()
        form.setHorizontalSpacing(18)
        form.setVerticalSpacing(3)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        for name, value in receipt.rows():
            label = ChatLabel(value, factor=SMALL_FACTOR)
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            form.addRow(quiet(name, ChatLabel), label)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 12)
        layout.setSpacing(10)
        layout.addWidget(self.hint)
        layout.addLayout(form)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colours(self.palette()).card)
        painter.drawRoundedRect(QRectF(self.rect()), 8, 8)


class Answer(MessageWidget):
    """The model's words, as they come; then its receipt, or why it broke off."""

    regenerated = Signal(object)  # Message: answer its question once more
    continued = Signal(object)  # Message: go on where it ends
    plain_format_asked = Signal(object)  # Message: answer without the chat template, which fails
    edit_asked = Signal(object)  # Message: change its question, which the model cannot take
    unfolded = Signal(QWidget)  # itself: something in it was opened or closed, by its reader

    def __init__(self, message: Message, parent: QWidget | None = None):
        super().__init__(message, parent)
        self.setAccessibleName(self.tr("Answer"))
        self.setAttribute(Qt.WidgetAttribute.WA_StaticContents)
        self.writer = quiet(kind=ChatLabel)
        self.writer.hide()
        self.body = AnswerBody()
        self.body.link_clicked.connect(self.link_clicked)
        self.body.hide()
        self.receipt = quiet(self.tr("Processing your message…"), ChatLabel)
        self.receipt.setWordWrap(True)
        self.reasoning: Reasoning | None = None
        self.calls: list[CodeBlock] = []
        self._call_being_written: CodeBlock | None = None
        self._call_layout = QVBoxLayout()
        self.detail: ReceiptDetail | None = None
        self.notice: Notice | None = None
        self.detail_button = IconButton("info", self.tr("Show what this answer cost"))
        self.detail_button.setCheckable(True)
        self.detail_button.toggled.connect(self._show_detail)
        self.regenerate_button = IconButton("again", self.tr("Answer again"), shy=True)
        self.regenerate_button.clicked.connect(self._on_regenerate)
        self.continue_button = QPushButton(self.tr("Continue"))
        self.continue_button.clicked.connect(self._on_continue)
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.receipt, 1)
        for widget in (self.switcher, self.copy_button, self.regenerate_button, self.detail_button):
            row.addWidget(widget, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.continue_button)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(6)
        grow_at_once(self._layout)
        self._layout.addWidget(self.writer)
        self._layout.addWidget(self.body)
        self._layout.addLayout(self._call_layout)
        self._layout.addLayout(row)
        self._finished = False
        self._show_buttons()
        if message.reasoning:
            self.append_reasoning(message.reasoning)
        if message.text:
            self.append(message.text)
        self.add_calls(message.tool_calls)
        if message.finish or message.error:
            self.finish()

    @property
    def text(self) -> str:
        return self.body.markdown

    def set_writer(self, model: str) -> None:
        """Say which model wrote it; "" where that goes without saying."""
        self.writer.setText(model)
        self.writer.setVisible(bool(model))

    def add_actions(self, menu: QMenu) -> None:
        super().add_actions(menu)
        again = menu.addAction(self.tr("Answer Again"))
        again.setEnabled(self._finished and self.regenerate_button.isEnabled())
        again.triggered.connect(self._on_regenerate)

    def views(self) -> list[TextView | CodeView]:
        before = self.reasoning.views() if self.reasoning else []
        return [*before, *self.body.views(), *(view for block in self.calls for view in block.views())]

    @property
    def folded_text(self) -> str:
        """The reasoning, where it is not to be seen."""
        return self.reasoning.folded_text if self.reasoning else ""

    def folds(self) -> list[QWidget]:
        return [self.reasoning.button] if self.reasoning else []

    def unfold(self) -> None:
        """Show the reasoning."""
        if self.reasoning:
            self.reasoning.unfold()

    def buttons(self) -> list[QWidget]:
        variants = (self.switcher.previous, self.switcher.next)
        return [*variants, self.copy_button, self.regenerate_button, self.detail_button, self.continue_button]

    def show_progress(self, words: str) -> None:
        """Say how far the message is processed, of which nothing is answered yet."""
        if not self._finished:
            self.receipt.setText(words)

    def append(self, text: str) -> None:
        """Show more of the answer."""
        self.body.append(text)
        if self.body.isHidden() and self.text.strip():
            self._end_reasoning()
            self.body.show()
            self.receipt.clear()

    def append_reasoning(self, text: str) -> None:
        """Show more of what the model reasons."""
        if self.reasoning is None:
            self.reasoning = Reasoning()
            self.reasoning.link_clicked.connect(self.link_clicked)
            self.reasoning.unfolded.connect(self._on_unfolded)
            self._layout.insertWidget(1, self.reasoning)
            self.reasoning.show()
            self.receipt.clear()
        self.reasoning.append(text)

    def append_call(self, text: str) -> None:
        """Show more of a tool call that is being written."""
        if self._call_being_written is None:
            self._end_reasoning()
            self.receipt.clear()
            self._call_being_written = self._put(written_block())
        self._call_being_written.append(text)

    def add_calls(self, calls: Sequence[ToolCall]) -> None:
        """Show tool calls that are complete, in the place of what was being written."""
        if written := self._call_being_written:
            self.calls.remove(written)
            self._call_layout.removeWidget(written)
            written.hide()
            written.deleteLater()
            self._call_being_written = None
        for call in calls:
            self._end_reasoning()
            self.receipt.clear()
            self._put(call_block(call))

    def end_call(self) -> None:
        """A tool call that was being written could not be understood: it stays as it is."""
        if self._call_being_written:
            self._call_being_written.close_block()
            self._call_being_written = None

    def _put(self, block: CodeBlock) -> CodeBlock:
        self.calls.append(block)
        self._call_layout.addWidget(block)
        block.show()
        return block

    def _end_reasoning(self) -> None:
        if self.reasoning:
            self.reasoning.finish(self.message.reasoning_seconds)

    def _on_unfolded(self) -> None:
        self.unfolded.emit(self)

    def finish(self, details: str = "") -> None:
        """The answer is complete, was stopped, or broke off: what came so far stays, and `message` says why."""
        self.body.finish()
        self._end_reasoning()
        self.end_call()
        self._finished = True
        receipt = Receipt.from_json(self.message.receipt)
        self.receipt.setText(receipt.line() if receipt and self._says_something else self._reason())
        self.regenerate_button.set_shy(self._says_something)  # nothing else is there to be seen
        if self.message.error:
            actions = {TEMPLATE: self.tr("Use the Plain Format"), PROMPT: self.tr("Edit Message")}
            self.notice = Notice(self.message.error, details, actions.get(self.message.finish, ""))
            self.notice.acted.connect(self._on_notice)
            self._layout.insertWidget(self._layout.indexOf(self._call_layout) + 1, self.notice)
        self.order_tabs()
        self._show_buttons()

    def go_on(self) -> None:
        """More of the answer is to come."""
        self._finished = False
        self.detail_button.setChecked(False)
        self.receipt.setText(self.tr("Continuing…") if self.text.strip() else self.tr("Processing your message…"))
        if self.notice:
            self._layout.removeWidget(self.notice)
            self.notice.deleteLater()
            self.notice = None
        self._show_buttons()

    def set_free(self, free: bool, last: bool) -> None:
        """True if the model could answer now; `last`: nothing follows this answer."""
        self.regenerate_button.setEnabled(free)
        self.continue_button.setEnabled(free)
        unfinished = self._finished and (self.message.finish in UNFINISHED_REASONS or bool(self.message.error))
        self.continue_button.setVisible(last and unfinished and bool(self.text.strip()))

    @property
    def _says_something(self) -> bool:
        return bool(self.text.strip() or self.reasoning or self.calls)

    def _reason(self) -> str:
        if self._says_something or self.message.error:
            return Receipt(finish_reason=self.message.finish).line()
        if self.message.finish in ("cancelled", INTERRUPTED):
            return self.tr("Stopped before the first word.")
        return self.tr("The model ended without an answer.")

    def _show_buttons(self) -> None:
        done = self._finished
        self.copy_button.setVisible(done and bool(self.text.strip()))
        self.regenerate_button.setVisible(done)
        self.detail_button.setVisible(done and bool(self.message.receipt))
        self.continue_button.hide()

    def _show_detail(self, shown: bool) -> None:
        self.unfolded.emit(self)
        if shown and self.detail is None and (receipt := Receipt.from_json(self.message.receipt)):
            self.detail = ReceiptDetail(receipt)
            self._layout.addWidget(self.detail)
        elif not shown and self.detail:
            self._layout.removeWidget(self.detail)
            self.detail.hide()
            self.detail.deleteLater()
            self.detail = None
        self.detail_button.set_name(
            self.tr("Hide what this answer cost") if shown else self.tr("Show what this answer cost")
        )

    def _on_regenerate(self) -> None:
        self.regenerated.emit(self.message)

    def _on_notice(self) -> None:
        asked = self.edit_asked if self.message.finish == PROMPT else self.plain_format_asked
        asked.emit(self.message)

    def _on_continue(self) -> None:
        self.continued.emit(self.message)


def _when(created: float) -> str:
    """The time when a message was written, the way of the reader's language; "" for a time that no calendar has."""
    moment = QDateTime.fromSecsSinceEpoch(round(created)) if 0 < created < LAST_SECOND else QDateTime()
    return QLocale().toString(moment, QLocale.FormatType.ShortFormat) if moment.isValid() else ""


def _put_on_clipboard(text: str) -> None:
    QGuiApplication.clipboard().setText(text)
