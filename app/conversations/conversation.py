"""A conversation: a tree of messages, one path of which is shown. No widgets.

Regenerating an answer, or editing a question, adds a sibling beside the old message: nothing is overwritten.
"""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from app.widgets.language import tr

USER, ASSISTANT = "user", "assistant"
TITLE_LENGTH = 48
INTERRUPTED = "interrupted"  # why an answer ended that the application did not live to see the end of


def new_id() -> str:
    return uuid.uuid4().hex


@dataclass
class Message:
    """What one side said. finish: why an answer ended, "" while it is written. receipt: what it cost, for JSON."""

    role: str
    text: str = ""
    parent: str | None = None
    id: str = field(default_factory=new_id)
    created: float = field(default_factory=time.time)
    finish: str = ""
    error: str = ""
    receipt: dict = field(default_factory=dict)

    def copy(self) -> "Message":
        """As it is now."""
        return replace(self)


@dataclass(frozen=True)
class Head:
    """What the list shows of a conversation. Times in seconds since the epoch; snippet: the end of what is shown."""

    id: str
    title: str
    created: float
    updated: float
    pinned: bool = False
    snippet: str = ""


@dataclass
class Conversation:
    """messages by id; leaf: the last one shown; parameters: what differs from the defaults; draft: typed, not sent."""

    id: str = field(default_factory=new_id)
    title: str = ""
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    pinned: bool = False
    leaf: str | None = None
    draft: str = ""
    parameters: dict = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)

    # ------------------------------------------------------------------ reading
    def path(self) -> list[Message]:
        """The messages shown, from the first to the leaf."""
        return self.path_to(self.messages.get(self.leaf)) if self.leaf else []

    def path_to(self, message: Message | None) -> list[Message]:
        found: dict[str, Message] = {}
        while message is not None and message.id not in found:  # a damaged tree may run in a circle
            found[message.id] = message
            message = self.messages.get(message.parent)
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
        """What the model is given to write `answer`: roles alternate, and what it has of the answer comes last.

        A question that never got an answer is left out, with that empty answer.
        """
        *before, question = self.path_to(self.messages.get(answer.parent)) or [None]
        messages = []
        for asked, said in _pairs(before):
            if said.text.strip():
                messages += [_as_prompt(asked), _as_prompt(said)]
        messages += [_as_prompt(question)] if question else []
        return messages + ([_as_prompt(answer)] if answer.text.strip() else [])

    def last_answer(self) -> Message | None:
        """The latest answer shown that says something."""
        return next((m for m in reversed(self.path()) if m.role == ASSISTANT and m.text.strip()), None)

    def as_markdown(self) -> str:
        """What is shown, to copy or to keep."""
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
            latest = max(children[latest.id], key=lambda m: m.created)
        self.leaf = latest.id

    def heal(self) -> None:
        """After reading from disk: a leaf that is there, parents that are there, and no answer that is still being
        written."""
        for message in self.messages.values():
            if message.parent not in self.messages:
                message.parent = None
            if message.role == ASSISTANT and not (message.finish or message.error):
                message.finish = INTERRUPTED
        if self.leaf not in self.messages:
            latest = max(self.messages.values(), key=lambda m: m.created, default=None)
            self.leaf = latest.id if latest else None

    def without_messages(self) -> "Conversation":
        """A copy of its own fields, which later changes do not reach."""
        return replace(self, parameters=dict(self.parameters), messages={})

    def with_new_ids(self) -> "Conversation":
        """The same conversation as another one, to keep beside it."""
        ids = {old: new_id() for old in self.messages}
        messages = [replace(m, id=ids[m.id], parent=ids.get(m.parent)) for m in self.messages.values()]
        return replace(self, id=new_id(), leaf=ids.get(self.leaf), messages={m.id: m for m in messages})

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
    words = " ".join(text.split())
    if len(words) <= TITLE_LENGTH:
        return words
    cut = words[:TITLE_LENGTH]
    return (cut[: cut.rfind(" ")] if " " in cut[TITLE_LENGTH // 2 :] else cut).rstrip(" ,.;:") + "…"


def _pairs(messages: list[Message]) -> Iterator[tuple[Message, Message]]:
    for asked, said in pairwise(messages):
        if asked.role == USER and said.role == ASSISTANT:
            yield asked, said


def _as_prompt(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.text}
