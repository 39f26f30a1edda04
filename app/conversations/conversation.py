"""A conversation: a tree of messages, one path of which is shown. No widgets.

Regenerating an answer, or editing a question, adds a sibling beside the old message: nothing is overwritten.
"""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise

from app.conversations.plain import plain
from app.widgets.language import tr

USER, ASSISTANT = "user", "assistant"
TITLE_LENGTH = 48
NAMESPACE = uuid.UUID("6b0a2f7e-1f35-4f5e-9d5b-0c1f6a5c7d11")  # of ids that follow from what a conversation holds
INTERRUPTED = "interrupted"  # why an answer ended that the application did not live to see the end of


def new_id() -> str:
    return uuid.uuid4().hex


@dataclass
class Message:
    """The words of one side. finish: why an answer ended, "" while it is written. receipt: what it cost, for JSON."""

    role: str
    text: str = ""
    parent: str | None = None
    id: str = field(default_factory=new_id)
    created: float = field(default_factory=time.time)
    finish: str = ""
    error: str = ""
    receipt: dict[str, object] = field(default_factory=dict)

    def copy(self) -> "Message":
        """As it is now."""
        return replace(self)


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
    `models.last` names it, "" for whichever is loaded.
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

    def prompt(self, answer: Message) -> list[dict[str, str]]:
        """The messages for a model that writes `answer`: roles alternate, and what there is of the answer comes last.

        A question that never got an answer is left out, with that empty answer.
        """
        path = self.path_to(self._parent(answer))
        messages = []
        for asked, said in _pairs(path[:-1]):
            messages += [_as_prompt(asked.role, asked.text), _as_prompt(ASSISTANT, said)]
        messages += [_as_prompt(question.role, question.text) for question in path[-1:]]
        return messages + ([_as_prompt(answer.role, answer.text)] if answer.text.strip() else [])

    def last_answer(self) -> Message | None:
        """The latest answer shown that says something."""
        return next((m for m in reversed(self.path()) if m.role == ASSISTANT and m.text.strip()), None)

    def as_markdown(self) -> str:
        """The messages shown, to copy or to keep."""
        names = {USER: tr("You"), ASSISTANT: tr("Answer")}
        return "\n\n".join(f"**{names[m.role]}:** {m.text.strip()}" for m in self.path() if m.text.strip())

    # ------------------------------------------------------------------ changing
    def ask(self, text: str, parent: str | None = None) -> tuple[Message, Message]:
        """A question below `parent` (a message's id, None for a first question), and its answer, still empty."""
        question = self._add(Message(USER, text, parent))
        if not self.title:
            self.title = title_from(text)
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
        """Whether everything that is said in another one is said here, in the same place."""
        if not other.messages:
            return not self.messages and self.draft == other.draft
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


def _pairs(messages: list[Message]) -> Iterator[tuple[Message, str]]:
    """Questions with what was answered, also in several messages one below the other."""
    turns = [list(turn) for _, turn in groupby(messages, key=lambda message: message.role)]
    for asked, answers in pairwise(turns):
        said = "\n\n".join(message.text for message in answers if message.text.strip())
        if asked[0].role == USER and said:
            yield asked[-1], said


def _as_prompt(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}
