"""A program that writes contexts until it is killed: `python -m tests.helpers.context_writer FOLDER SEED`.

Every context says in its tokens what its blocks and the rest must be, so that a reader sees at once what is wrong.
"""

import hashlib
import os
import random
import signal
import sys
import time
from itertools import count
from pathlib import Path

from engine.inference.kept import BLOCK_TOKENS, Head, KeptContexts, RowShape

MODEL = "model"
ROWS = [RowShape("uint8", (3,), 40, 40)]
CONVERSATIONS = 3
MAX_WAIT_S = 0.03


def block_of(tokens: list[int], number: int) -> bytes:
    """The bytes of a block: of the tokens up to its end, as keys and values are."""
    seed = repr(tokens[: (number + 1) * BLOCK_TOKENS]).encode()
    size = BLOCK_TOKENS * ROWS[0].token_bytes
    return (hashlib.sha256(seed).digest() * (size // 32 + 1))[:size]


def rest_of(tokens: list[int]) -> bytes:
    """The bytes of what is in no block."""
    return hashlib.sha256(repr(tokens).encode()).digest() * 100


def write(files: KeptContexts, conversation: str, tokens: list[int], **how) -> Head | None:
    """Write a context that is what its tokens say."""
    head = Head(MODEL, tokens, [], None, ROWS, [], [[1, 2]])
    return files.write(conversation, head, rest_of(tokens), lambda number: block_of(tokens, number), **how)


def check(files: KeptContexts) -> int:
    """Read everything that is there, and raise where it is not what was written. Returns the number of contexts."""
    found = files.heads(MODEL)
    for path, head in found:
        assert files.rest_of(path, head) == rest_of(head.tokens)
        for number, name in enumerate(head.blocks):
            assert files.check_block(name, head.block_bytes).read_bytes() == block_of(head.tokens, number)
        assert len(head.blocks) == len(head.tokens) // BLOCK_TOKENS
    return len(found)


def write_until_killed(folder: Path, seed: int) -> None:
    """Write conversations that begin alike, grow and branch off, one after the other, for ever."""
    files, chance = KeptContexts(folder), random.Random(seed)
    for _ in count():
        conversation = chance.randrange(CONVERSATIONS)
        length = chance.randrange(1, 6 * BLOCK_TOKENS)
        branches_at = chance.randrange(length)
        tokens = [conversation % 2 if i < 2 * BLOCK_TOKENS else conversation for i in range(branches_at)]
        write(files, str(conversation), tokens + [seed] * (length - branches_at))


def kill_while_writing(folder: Path, times: int) -> None:
    """Let a process write, kill it at a random moment, and look at what it has left, so many times."""
    chance = random.Random(0)
    for conversation in range(CONVERSATIONS):
        write(KeptContexts(folder), str(conversation), [conversation] * BLOCK_TOKENS)
    for seed in range(times):
        child = os.fork()
        if not child:
            write_until_killed(folder, seed)
        time.sleep(chance.uniform(0, MAX_WAIT_S))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert check(KeptContexts(folder)) == CONVERSATIONS, "one that is not written whole leaves the one before it"


if __name__ == "__main__":
    kill_while_writing(Path(sys.argv[1]), int(sys.argv[2]))
