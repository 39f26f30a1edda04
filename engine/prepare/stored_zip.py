"""Zip archives whose entries are stored as they are: where each entry's bytes lie in the file.

This is the zip that PyTorch writes. Whatever else a zip can be (compressed, encrypted, overlapping) is refused, so
nothing that is read is larger than the file.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.errors import FlawError
from engine.text import shown

END = struct.Struct("<4s4H2LH")  # signature, disk numbers, entries here and in all, directory, comment
LOCATOR = struct.Struct("<4sLQL")  # of the 64-bit end
END_64 = struct.Struct("<4sQ2H2L4Q")
ENTRY = struct.Struct("<4s6H3L5H2L")  # in the directory, before name, extra fields, comment
LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # before an entry's bytes, then name, extra fields
MAX_DIRECTORY_BYTES = 16_000_000  # bytes: some hundred thousand entries
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF  # "see the 64-bit field"
ENCRYPTED_FLAG = 1


@dataclass(frozen=True)
class Entry:
    """The place of an entry's bytes in the archive."""

    offset: int
    size: int


def read_entries(path: Path) -> dict[str, Entry]:
    """An archive's entries by name. Raises ValueError for one that is malformed or of another kind, OSError."""
    with path.open("rb") as file:
        count, size, offset = _directory(file, os.fstat(file.fileno()).st_size)
        rest = _read(file, offset, size)
        entries: dict[str, Entry] = {}
        spans = []
        for _ in range(count):
            name, header, length, rest = _entry(rest)
            start = _data_start(file, header, name)
            if name in entries:
                raise FlawError("it holds {name} twice", name=shown(name))
            if start + length > offset:
                raise FlawError("{name} lies outside the file", name=shown(name))
            entries[name] = Entry(start, length)
            spans.append((header, start + length, name))
    _check_apart(spans)
    return entries


def _directory(file: BinaryIO, total: int) -> tuple[int, int, int]:
    """Number of entries, and the directory's size and offset."""
    place = total - END.size
    signature, _, _, _, count, size, offset, comment = END.unpack(_read(file, place, END.size))
    if signature != b"PK\5\6" or comment:
        raise FlawError("it does not end as a zip archive does")
    if count == FULL_16 or FULL_32 in (size, offset):
        place -= LOCATOR.size
        signature, _, place, _ = LOCATOR.unpack(_read(file, place, LOCATOR.size))
        end = END_64.unpack(_read(file, place, END_64.size))
        if signature != b"PK\6\7" or end[0] != b"PK\6\6":
            raise FlawError("its 64-bit directory is missing")
        count, size, offset = end[-3:]
    if size > MAX_DIRECTORY_BYTES or offset + size > place:
        raise FlawError("its directory lies outside the file or is absurdly large")
    return count, size, offset


def _entry(directory: memoryview) -> tuple[str, int, int, memoryview]:
    """The first entry's name, where its local header lies, its size; and the rest of the directory."""
    if len(directory) < ENTRY.size:
        raise FlawError("its directory ends too early")
    fields = ENTRY.unpack_from(directory)
    flags, method = fields[3:5]
    packed, size, name_size, extra_size, comment_size = fields[8:13]
    stop = ENTRY.size + name_size + extra_size
    if fields[0] != b"PK\1\2" or stop + comment_size > len(directory):
        raise FlawError("its directory is malformed")
    name = bytes(directory[ENTRY.size : ENTRY.size + name_size]).decode()
    size, packed, header = _wide(directory[ENTRY.size + name_size : stop], size, packed, fields[-1])
    if method or flags & ENCRYPTED_FLAG or packed != size:
        raise FlawError("{name} is compressed or encrypted, as PyTorch never does", name=shown(name))
    return name, header, size, directory[stop + comment_size :]


def _wide(extra: memoryview, *values: int) -> list[int]:
    """The values, those that 32 bits cannot hold taken from the extra field for 64 bits (kind 1), in order."""
    wide: bytes | memoryview = b""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            wide = extra[4 : 4 + length]
        extra = extra[4 + length :]
    present = iter(struct.unpack_from(f"<{len(wide) // 8}Q", wide))
    try:
        return [next(present) if value == FULL_32 else value for value in values]
    except StopIteration as error:
        raise FlawError("a 64-bit size is missing") from error


def _data_start(file: BinaryIO, header: int, name: str) -> int:
    fields = LOCAL_HEADER.unpack(_read(file, header, LOCAL_HEADER.size))
    name_size, extra_size = fields[-2:]
    place: int = header + LOCAL_HEADER.size
    if fields[0] != b"PK\3\4" or bytes(_read(file, place, name_size)) != name.encode():
        raise FlawError("{name} is not where the directory says", name=shown(name))
    return place + int(name_size) + int(extra_size)


def _check_apart(spans: list[tuple[int, int, str]]) -> None:
    end = 0
    for start, stop, name in sorted(spans):
        if start < end:
            raise FlawError("{name} overlaps another entry", name=shown(name))
        end = stop


def _read(file: BinaryIO, offset: int, size: int) -> memoryview:
    """Exactly `size` bytes, which the caller has bounded."""
    if not 0 <= offset < 2**63:
        raise FlawError("an offset lies outside the file")
    file.seek(offset)
    content = file.read(size)
    if len(content) != size:
        raise FlawError("it is shorter than it says")
    return memoryview(content)
