"""Files as damage and ill will leave them: mutations of JSON and of bytes, each the same for the same seed."""

import json
import os
import random
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

from engine.errors import FlashbulbError
from engine.system.footprint import footprint

MAX_SECONDS, MAX_GROWN_BYTES = 10, 1_000_000_000  # of the processor: a machine may be busy with others
FACTOR = int(os.environ.get("FLASHBULB_FUZZ", "1"))  # how many times as many mutations: by hand
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 123456\n"
VALUES = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.5, 1e-320, 1e308, float("nan"), float("inf"), -float("inf")),
    *(255, 1000, 100_000, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 2**70, -(2**63), 10**400),
    *("", " ", "x", "relu", "float16", "F32", "../../x", "/etc/passwd", "\0", "\x1b[31mred", "\ud800", "é" * 3000),
    *([], {}, [[]], {"": 0}, [None], [1, 2, 3], ["a"], {"a": {"b": []}}, [0] * 1000),
)


def seeds(count: int) -> range:
    """The seeds of a test: `count` in CI."""
    return range(count * FACTOR)


def mutated_json(document: object, chance: random.Random) -> bytes:
    """A JSON document with one to three of its values replaced, moved, doubled or taken away; or with damaged bytes."""
    if chance.random() < 0.15:
        return mutated_bytes(json.dumps(document).encode(), chance)
    changed = json.loads(json.dumps(document))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        changed = _changed(changed, chance)
    return json.dumps(changed).encode()


def mutated_bytes(content: bytes, chance: random.Random) -> bytes:
    """Bytes of which some are flipped, cut off, inserted or replaced by something else."""
    at = chance.randrange(len(content) + 1)
    kind = chance.randrange(10)
    if kind < 4:
        flipped = bytearray(content)
        for _ in range(chance.randint(1, 8)):
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        return bytes(flipped)
    if kind == 4:
        return content[:at]
    if kind == 5:
        return content[:at] + chance.randbytes(chance.randint(1, 40)) + content[at:]
    if kind == 6:
        return content[:at] + content[at + chance.randint(1, 40) :]
    marked, wide = b"\xef\xbb\xbf" + content, content.decode("latin-1").encode("utf-16")
    nested = (b"[" * 200_000, b'{"a":' * 100_000)
    return chance.choice((b"", b"\0" * 64, POINTER, marked, wide, *nested, b"1" * 10_000, b"null", b"[]", content * 2))


def mutated_safetensors(content: bytes, chance: random.Random) -> bytes:
    """A safetensors file with a mutated header, or damaged bytes."""
    if chance.random() < 0.3:
        return mutated_bytes(content, chance)
    (length,) = struct.unpack("<Q", content[:8])
    header = mutated_json(json.loads(content[8 : 8 + length]), chance)
    said = chance.choice((len(header),) * 8 + (0, len(header) + 1, 2**63))
    return struct.pack("<Q", said) + header + content[8 + length :]


def _changed(value: object, chance: random.Random) -> object:
    """A value with a hostile one in one place of it."""
    places = list(_places(value))
    if not places:
        return deepcopy(chance.choice(VALUES))
    holder, key = chance.choice(places)
    kind = chance.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[chance.choice(("", "x", "../x", "\ud800", "layers.0", str(key) + " "))] = holder.pop(key)
    elif kind == 2:
        other, place = chance.choice(places)
        holder[key] = json.loads(json.dumps(other[place]))
    elif kind == 3 and type(holder[key]) in (int, float):
        holder[key] = holder[key] * chance.choice((-1, 2, 3, 0.5, 1000)) + chance.choice((0, 1, -1))
    else:
        holder[key] = deepcopy(chance.choice(VALUES))
    return value


def _places(value: object) -> Iterator[tuple]:
    """Every (table or list, key or index) in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield value, key
        yield from _places(item)


@contextmanager
def bounded(folder: Path, what: object) -> Iterator[None]:
    """A block that ends as it should or in an error for a person, in time and memory, with nothing written outside.

    folder: where something may be written. what: told when it is not so.
    """
    beside = set(folder.parent.iterdir())
    began, before = time.process_time(), footprint()
    try:
        yield
    except FlashbulbError as error:
        str(error).encode()
        assert "\x1b" not in str(error), what
    except BaseException as error:
        raise AssertionError(f"{what} ended in {error!r}") from error
    assert time.process_time() - began < MAX_SECONDS, what
    assert footprint() - before < MAX_GROWN_BYTES, what
    assert set(folder.parent.iterdir()) == beside, what
