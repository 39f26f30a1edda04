"""A kept context with words that cannot be overlooked, to be looked for where they must not be."""

import json

import msgspec

from engine.inference.kept import BLOCK_TOKENS, Head, KeptContexts
from tests.helpers.context_writer import MODEL, ROWS

TOKENS = [3141592, 2718281, 1618033, 1414213, 1732050] * 60
BYTES = b"keys-and-values-that-nobody-may-see;"
REST = b"states-that-nobody-may-see;" * 10


def plant(files: KeptContexts, conversation: str) -> None:
    """Keep such a context of a conversation."""
    size = BLOCK_TOKENS * ROWS[0].token_bytes
    head = Head(MODEL, TOKENS, [], None, ROWS, [], [[5550123, 5550124]])
    assert files.write(conversation, head, REST, lambda _: (BYTES * size)[:size])


def found_in(content: bytes) -> list[object]:
    """The parts of it that are in a file, in whatever form."""
    forms = [BYTES[:16], REST[:16], *(f"{token}".encode() for token in (*TOKENS[:5], 5550123))]
    forms += [msgspec.msgpack.encode(token) for token in TOKENS[:5]] + [json.dumps(TOKENS[:2])[1:-1].encode()]
    return [form for form in forms if form in content]
