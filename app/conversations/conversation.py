"""A conversation: a tree of messages, one path of which is shown. No widgets.

Regenerating an answer, or editing a question, adds a sibling beside the old message: nothing is overwritten.
"""

import re
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise

from app.conversations.plain import plain
from app.widgets.language import tr

USER, ASSISTANT = "user", "assistant"
TITLE_LENGTH = 48  # characters
NAMESPACE = uuid.UUID("6b0a2f7e-1f35-4f5e-9d5b-0c1f6a5c7d11")  # of ids that follow from what a conversation holds
FENCE = "`"
INTERRUPTED = "interrupted"  # why an answer ended that the application did not live to see the end of


def new_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool that a model asked for, which nothing executes.

    arguments: as JSON; or what the model wrote, as it is, of a call without a name: one that could not be understood.
    """

    name: str
    arguments: str


@dataclass(frozen=True)
class Attachment:
    """A text file that was handed over with a question."""

    name: str
    text: str


@dataclass
class Message:
    """The words of one side. finish: why an answer ended, "" while it is written. receipt: what it cost, for JSON.

    reasoning: what a model said before its answer, in reasoning_seconds and reasoning_tokens.
    """

    role: str
    text: str = ""
    parent: str | None = None
    id: str = field(default_factory=new_id)
    created: float = field(default_factory=time.time)
    finish: str = ""
    error: str = ""
    receipt: dict[str, object] = field(default_factory=dict)
    reasoning: str = ""
    reasoning_seconds: float = 0.0
    reasoning_tokens: int = 0
    tool_calls: tuple[ToolCall, ...] = ()
    attachments: tuple[Attachment, ...] = ()

    def copy(self) -> "Message":
        """As it is now."""
        return replace(self)

    @property
    def writer(self) -> str:
        """The name of the model that wrote an answer; "" where that is not known."""
        name = self.receipt.get("model")
        return name if isinstance(name, str) else ""

    @property
    def says_something(self) -> bool:
        """True if there is anything that a model answered, or a person asked."""
        return bool(self.text.strip() or self.tool_calls or self.attachments)

    @property
    def whole_text(self) -> str:
        """The words behind the files that came with them, each fenced: what a model is given."""
        return "\n\n".join((*map(fenced, self.attachments), self.text)).strip()

    @property
    def searched_text(self) -> str:
        """Everything in it that is found by searching."""
        return searched_text(self.text, self.reasoning, self.tool_calls, self.attachments)


@dataclass(frozen=True)
class Head:
    """A conversation as the list shows it. Times in seconds since the epoch; snippet: the end of what is shown."""

    id: str
    title: str
    created: float
    updated: float
    pinned: bool = False
    snippet: str = ""


@dataclass
class Conversation:
    """messages by id; leaf: the last one shown; parameters: what differs from the defaults; draft: typed, not sent.

    edits: new words for messages, by their ids, typed and not sent; model: the one that is to answer here, as
    `models.last` names it, "" for whichever is loaded; attachments: of the draft.
    """

    id: str = field(default_factory=new_id)
    title: str = ""
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    pinned: bool = False
    leaf: str | None = None
    draft: str = ""
    parameters: dict[str, object] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    edits: dict[str, str] = field(default_factory=dict)
    model: str = ""
    attachments: tuple[Attachment, ...] = ()

    # ------------------------------------------------------------------ reading
    def path(self) -> list[Message]:
        """The messages shown, from the first to the leaf."""
        return self.path_to(self.messages.get(self.leaf)) if self.leaf else []

    def path_to(self, message: Message | None) -> list[Message]:
        """The messages from the first one to this one."""
        found: dict[str, Message] = {}
        while message is not None and message.id not in found:  # a damaged tree may run in a circle
            found[message.id] = message
            message = self._parent(message)
        return list(found.values())[::-1]

    def siblings(self, message: Message) -> list[Message]:
        """The variants of a message, itself included, oldest first."""
        return self.families()[message.parent, message.role]

    def families(self) -> dict[tuple[str | None, str], list[Message]]:
        """All variants, oldest first, by their parent and their role."""
        families: dict[tuple[str | None, str], list[Message]] = {}
        for message in sorted(self.messages.values(), key=lambda m: m.created):
            families.setdefault((message.parent, message.role), []).append(message)
        return families

    def prompt(self, answer: Message) -> list[dict[str, object]]:
        """The messages for a model that writes `answer`: roles alternate, and what there is of the answer comes last.

        A question that never got an answer is left out, with that empty answer. What a model reasoned before an answer
        stands beside it, for its template to drop or to use, and so do the calls that it asked for, which nothing ran.
        """
        path = self.path_to(self._parent(answer))
        messages: list[dict[str, object]] = []
        for asked, said, reasoning, calls in _pairs(path[:-1]):
            messages += [_as_prompt(asked.role, asked.whole_text), _as_prompt(ASSISTANT, said, reasoning, calls)]
        messages += [_as_prompt(question.role, question.whole_text) for question in path[-1:]]
        return messages + ([_as_prompt(answer.role, answer.text, answer.reasoning)] if answer.text.strip() else [])

    def last_answer(self) -> Message | None:
        """The latest answer shown that says something."""
        return next((m for m in reversed(self.path()) if m.role == ASSISTANT and m.text.strip()), None)

    def writers(self) -> dict[str, str]:
        """The names of models by the ids of the answers shown, where several models wrote them; else none."""
        found = {m.id: m.writer for m in self.path() if m.role == ASSISTANT and m.writer}
        return found if len(set(found.values())) > 1 else {}

    def as_markdown(self, *, whole: bool = False) -> str:
        """The messages shown, to copy or to keep. whole: also what was reasoned before answers."""
        told = [m for m in self.path() if m.says_something or (whole and m.reasoning)]
        writers = self.writers()
        return "\n\n".join(_as_markdown(message, whole, writers.get(message.id, "")) for message in told)

    # ------------------------------------------------------------------ changing
    def ask(
        self, text: str, parent: str | None = None, attachments: tuple[Attachment, ...] = ()
    ) -> tuple[Message, Message]:
        """A question below `parent` (a message's id, None for a first question), and its answer, still empty."""
        question = self._add(Message(USER, text, parent, attachments=attachments))
        if not self.title:
            self.title = title_from(text or ", ".join(attached.name for attached in attachments))
        return question, self.answer(question)

    def answer(self, question: Message) -> Message:
        """A new answer to a question, beside the answers that it has."""
        return self._add(Message(ASSISTANT, "", question.id))

    def show(self, message: Message) -> None:
        """Show the branch that `message` is on, down to what was written there last."""
        latest = message
        children = self._children()
        seen = set()
        while latest.id in children and latest.id not in seen:
            seen.add(latest.id)
            latest = _latest(children[latest.id])
        self.leaf = latest.id

    def heal(self) -> None:
        """After reading from disk: a leaf that is there, parents that are there and lead to a first message, and no
        answer that is still being written."""
        for message in self.messages.values():
            if message.role == ASSISTANT and not (message.finish or message.error):
                message.finish = INTERRUPTED
        self._break_circles()
        if self.leaf not in self.messages:
            self.leaf = _latest(list(self.messages.values())).id if self.messages else None

    def _break_circles(self) -> None:
        settled: set[str] = set()
        for message in self.messages.values():
            walked: set[str] = set()
            step: Message | None = message
            while step is not None and step.id not in settled:
                walked.add(step.id)
                parent = self._parent(step)
                if parent is None or parent.id in walked:
                    step.parent = parent = None
                step = parent
            settled |= walked

    def holds(self, other: "Conversation") -> bool:
        """True if everything that is said in another one is said here, in the same place."""
        if not other.messages:
            return not self.messages and (self.draft, self.attachments) == (other.draft, other.attachments)
        said = {(m.id, m.parent, m.role, m.text) for m in self.messages.values()}
        return said.issuperset((m.id, m.parent, m.role, m.text) for m in other.messages.values())

    def without_messages(self) -> "Conversation":
        """A copy of its own fields, which later changes do not reach."""
        return replace(self, parameters=dict(self.parameters), edits=dict(self.edits), messages={})

    def with_ids_of(self, seed: str) -> "Conversation":
        """The same conversation as another one, to keep beside it; the same seed makes the same ids."""
        own = uuid.uuid5(NAMESPACE, seed)
        ids = {old: uuid.uuid5(own, old).hex for old in self.messages}
        parents = {m.id: ids.get(m.parent) if m.parent else None for m in self.messages.values()}
        messages = {ids[m.id]: replace(m, id=ids[m.id], parent=parents[m.id]) for m in self.messages.values()}
        edits = {ids[message]: text for message, text in self.edits.items() if message in ids}
        leaf = ids.get(self.leaf) if self.leaf else None
        return replace(self, id=own.hex, leaf=leaf, messages=messages, edits=edits)

    def _parent(self, message: Message) -> Message | None:
        return self.messages.get(message.parent) if message.parent else None

    def _add(self, message: Message) -> Message:
        self.messages[message.id] = message
        self.leaf, self.updated = message.id, message.created
        return message

    def _children(self) -> dict[str, list[Message]]:
        children: dict[str, list[Message]] = {}
        for message in self.messages.values():
            if message.parent:
                children.setdefault(message.parent, []).append(message)
        return children


def title_from(text: str) -> str:
    """A title made of the first words of a message."""
    words = plain(text) or " ".join(text.split())
    if len(words) <= TITLE_LENGTH:
        return words
    cut = words[:TITLE_LENGTH]
    return (cut[: cut.rfind(" ")] if " " in cut[TITLE_LENGTH // 2 :] else cut).rstrip(" ,.;:") + "…"


def _latest(messages: list[Message]) -> Message:
    """The one that was made last; of several of the same moment, the last."""
    return max(reversed(messages), key=lambda message: message.created)


def fenced(attachment: Attachment) -> str:
    """A file's name and its text, between fences that are longer than any within."""
    fence = FENCE * max(3, 1 + max(map(len, re.findall(f"{FENCE}+", attachment.text)), default=0))
    return f"{attachment.name}\n{fence}\n{attachment.text.rstrip()}\n{fence}"


def searched_text(text: str, reasoning: str, tool_calls: Iterable[ToolCall], attachments: Iterable[Attachment]) -> str:
    """Everything in a message that is found by searching."""
    calls = (f"{call.name} {call.arguments}" for call in tool_calls)
    files = (f"{file.name} {file.text}" for file in attachments)
    return "\n".join(filter(None, (text, reasoning, *calls, *files)))


def _as_markdown(message: Message, whole: bool, writer: str) -> str:
    calls = [f"`{call.name}`\n{FENCE * 3}json\n{call.arguments}\n{FENCE * 3}" for call in message.tool_calls]
    said = "\n\n".join(filter(None, (message.whole_text, *calls)))
    answer = tr("Answer by {0}").format(writer) if writer else tr("Answer")
    name = tr("You") if message.role == USER else answer
    words = f"**{name}:** {said}" if said else ""
    if not (whole and message.reasoning.strip()):
        return words
    quoted = "\n".join(f"> {line}".rstrip() for line in message.reasoning.strip().split("\n"))
    return "\n\n".join(filter(None, (f"**{tr('Reasoning')}:**\n\n{quoted}", words)))


def _pairs(messages: list[Message]) -> Iterator[tuple[Message, str, str, list[ToolCall]]]:
    """Questions with what was answered, also in several messages one below the other, reasoned before it and called."""
    turns = [list(turn) for _, turn in groupby(messages, key=lambda message: message.role)]
    for asked, answers in pairwise(turns):
        said = [message for message in answers if message.text.strip() or _understood(message.tool_calls)]
        if asked[0].role == USER and said:
            calls = [call for message in said for call in _understood(message.tool_calls)]
            reasoning = _joined(message.reasoning for message in said)
            yield asked[-1], _joined(message.text for message in said), reasoning, calls


def _understood(calls: Iterable[ToolCall]) -> list[ToolCall]:
    return [call for call in calls if call.name]


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, texts))


def _as_prompt(role: str, text: str, reasoning: str = "", calls: Iterable[ToolCall] = ()) -> dict[str, object]:
    told: dict[str, object] = {"role": role, "content": text}
    if reasoning:
        told["reasoning"] = reasoning
    if functions := [{"type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls]:
        told["tool_calls"] = functions
    return told
