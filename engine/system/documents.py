"""Files that others wrote: what they hold is parsed once, here, into typed values with bounds.

A file that is not what it should be raises FlawError, and what a library raises over its content becomes one error that
names the file and the cure.
"""

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

from msgspec import Meta, ValidationError, convert

from engine.errors import CheckpointError, FlashbulbError, FlawError, PreparedModelError, TokenizerError
from engine.text import Text, shown, text_of

MAX_JSON_BYTES = 16_000_000
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DOWNLOAD_AGAIN = Text("Download it again.")
PREPARE_AGAIN = Text("Prepare or download the model again.")
LFS_CURE = Text("Run `git lfs pull` in its folder.")

# Text of one line: no control character reaches a terminal, and nothing is in it that UTF-8 cannot say.
Line = Annotated[str, Meta(max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*\Z")]

T = TypeVar("T")


@contextmanager
def parsing(
    path: Path, error: type[CheckpointError] | type[PreparedModelError] | type[TokenizerError], cure: Text
) -> Iterator[None]:
    """A block in which whatever reading and parsing the file at `path` raises becomes one `error` with a `cure`.

    Errors for a person pass, and so does what the file has no part in, such as an interrupt.
    """
    try:
        yield
    except FlashbulbError:
        raise
    except FileNotFoundError as raised:
        raise error(Text("{path} is missing. {cure}", path=path, cure=cure)) from raised
    except BaseException as raised:
        if not _of_the_file(raised):
            raise
        cure = (raised.cure if isinstance(raised, FlawError) else None) or cure
        raise error(
            Text("{path} cannot be read: {flaw}. {cure}", path=path, flaw=reason(raised), cure=cure)
        ) from raised


def _of_the_file(raised: BaseException) -> bool:
    """Errors of a library over a file's content; a panic below Python is one, though it is no Exception."""
    return isinstance(raised, Exception) or type(raised).__name__ == "PanicException"


def reason(raised: BaseException) -> str:
    """The end of a sentence that says why a file could not be read."""
    match raised:
        case FlawError():
            return text_of(raised)
        case RecursionError():
            return Text("it is nested too deeply")
        case json.JSONDecodeError():
            return Text("it is no JSON")
        case UnicodeDecodeError():
            return Text("it is no UTF-8 text")
        case MemoryError():
            return Text("it needs more memory than there is")
        case OSError():
            return raised.strerror or type(raised).__name__
    return Text("it holds what it should not ({error})", error=shown(f"{type(raised).__name__}: {raised}"))


def read_bytes(path: Path, limit: int = MAX_JSON_BYTES) -> bytes:
    """A small file's bytes, without a byte order mark.

    Raises FlawError for one that is empty, larger than `limit` bytes, no ordinary file or a Git LFS pointer; OSError.
    """
    check_whole(path)
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise FlawError("it is absurdly large")
    return content.removeprefix(BYTE_ORDER_MARK)


def check_whole(path: Path) -> None:
    """Raises FlawError for a file that is empty, no ordinary file or a Git LFS pointer; OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise FlawError("it is no ordinary file")
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
    if not start:
        raise FlawError("it is empty")
    if start == LFS_POINTER:
        raise FlawError("it is a Git LFS pointer instead of the file itself", LFS_CURE)


def read_json(path: Path, limit: int = MAX_JSON_BYTES) -> dict[str, object]:
    """The names and values of a JSON file. Raises FlawError, RecursionError, UnicodeDecodeError, OSError."""
    return parse_json(read_bytes(path, limit))


def parse_json(content: bytes, unique: bool = False) -> dict[str, object]:
    """The names and values that JSON holds. unique: refuse a name that is there twice.

    Raises FlawError, RecursionError, UnicodeDecodeError.
    """
    try:
        parsed = json.loads(content.decode(), object_pairs_hook=_unique if unique else None)
    except json.JSONDecodeError as error:
        if not error.doc[error.pos :].strip() or error.msg.startswith("Unterminated"):
            raise FlawError("it is cut off") from error
        raise FlawError("it is no JSON (line {line}: {reason})", line=error.lineno, reason=error.msg) from error
    if not isinstance(parsed, dict):
        raise FlawError("it is no table of names and values")
    return parsed


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise FlawError("it holds a name twice")
    return table


def typed(content: object, kind: type[T]) -> T:
    """A parsed document as a value of `kind`, a dataclass whose annotations give bounds; names it lacks are ignored.

    Raises FlawError, which says what is missing or out of bounds and where.
    """
    try:
        return convert(content, kind)
    except ValidationError as error:
        if isinstance(error.__cause__, FlawError):
            raise error.__cause__ from None
        raise FlawError("it does not hold what it should ({error})", error=_plain(str(error))) from error


def _plain(complaint: str) -> str:
    """A complaint of msgspec's, "Expected `int` <= 9, got 10 - at `$.layers[0].rank`", with the place first."""
    said, _, place = complaint.replace("`", "").partition(" - at $")
    said = said.removeprefix("Object ").replace("object", "table").replace("array", "list")
    place = place.lstrip(".")
    return f"{place}: {said[:1].lower()}{said[1:]}" if place else f"{said[:1].lower()}{said[1:]}"


def is_plain(name: str) -> bool:
    """True of a name that is a file's in a folder, and no path to elsewhere."""
    return Path(name).name == name and "\0" not in name and name not in ("", ".", "..")


def read_typed(path: Path, kind: type[T], limit: int = MAX_JSON_BYTES) -> T:
    """A JSON file as a value of `kind`. Raises FlawError, RecursionError, UnicodeDecodeError, OSError."""
    return typed(read_json(path, limit), kind)


def try_read(path: Path, kind: type[T]) -> T | None:
    """A JSON file as a value of `kind`; None where there is none that can be used."""
    try:
        return read_typed(path, kind)
    except (OSError, ValueError, RecursionError):
        return None
