"""Conversations that ChatGPT exported (`conversations.json`). No widgets.

There, a conversation is a tree of nodes: some hold a message of the user or of the model, others what tools said or
what nobody sees. Of those only the place is kept: what stands below them is moved up.
"""

from typing import Annotated

import msgspec

from app.conversations import values
from app.conversations.conversation import ASSISTANT, USER, Conversation, Message

ROLES = {"user": USER, "assistant": ASSISTANT}
TEXT_KINDS = ("text", "multimodal_text")  # kinds of content that people and models say
HIDDEN_KEY = "is_visually_hidden_from_conversation"
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[ -~]+$")]


class Author(msgspec.Struct):
    """The speaker of a message."""

    role: str


class Content(msgspec.Struct):
    """The words, in parts; a part may be a picture."""

    content_type: str
    parts: list[object] | None = None


class Said(msgspec.Struct):
    """A message."""

    author: Author
    content: Content | None = None
    create_time: object = None
    metadata: dict[str, object] | None = None
    recipient: str | None = "all"


class Node(msgspec.Struct):
    """A place in the tree."""

    message: Said | None = None
    parent: Id | None = None


class Exported(msgspec.Struct):
    """A conversation."""

    mapping: dict[Id, Node]
    title: str | None = None
    create_time: object = None
    update_time: object = None
    current_node: Id | None = None
    conversation_id: Id | None = None
    id: Id | None = None


def is_export(content: object) -> bool:
    """True if this looks like such a file."""
    return isinstance(content, list) and any(isinstance(entry, dict) and "mapping" in entry for entry in content)


def conversation_of(entry: object) -> Conversation | None:
    """A conversation; None for one in which nothing is said. Raises msgspec.ValidationError."""
    exported = msgspec.convert(entry, Exported)
    messages = _messages(exported)
    if not messages:
        return None
    conversation = Conversation(
        title=values.text(exported.title),
        created=values.time(exported.create_time),
        updated=values.time(exported.update_time),
        messages=messages,
    )
    conversation.id = exported.conversation_id or exported.id or next(iter(messages))
    conversation.leaf = _shown_above(exported.current_node, exported.mapping, messages)
    return conversation


def _messages(exported: Exported) -> dict[str, Message]:
    said = {id_: message for id_, node in exported.mapping.items() if (message := _message(id_, node))}
    for id_, message in said.items():
        message.parent = _shown_above(exported.mapping[id_].parent, exported.mapping, said)
    return said


def _message(id_: str, node: Node) -> Message | None:
    said = node.message
    if said is None or said.author.role not in ROLES or said.recipient not in (None, "all"):
        return None
    content, hidden = said.content, (said.metadata or {}).get(HIDDEN_KEY)
    if content is None or content.content_type not in TEXT_KINDS or hidden:
        return None
    text = "\n".join(part for part in content.parts or () if isinstance(part, str)).strip()
    role = ROLES[said.author.role]
    finish = "stop" if role == ASSISTANT else ""
    return Message(role, values.text(text), None, id_, values.time(said.create_time), finish) if text else None


def _shown_above(id_: str | None, nodes: dict[Id, Node], shown: dict[str, Message]) -> str | None:
    """This node, or the nearest one above it that is kept."""
    passed: set[str] = set()
    while id_ is not None and id_ not in shown and id_ in nodes and id_ not in passed:
        passed.add(id_)
        id_ = nodes[id_].parent
    return id_ if id_ in shown else None
