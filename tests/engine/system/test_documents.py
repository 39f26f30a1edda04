"""Files that others wrote: named as what they are, or typed values within bounds."""

import json
from dataclasses import dataclass
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from engine.errors import CancelledError, CheckpointError, FlawError
from engine.system.documents import Line, is_plain, parse_json, parsing, read_json, read_typed, try_read, typed
from engine.text import Text

CURE = Text("Download it again.")


@dataclass(frozen=True)
class Inner:
    rank: Annotated[int, Meta(ge=1, le=9)]


@dataclass(frozen=True)
class Outer:
    layers: list[Inner]
    name: Line = "x"


def told(path, read=read_json) -> str:
    with pytest.raises(CheckpointError) as caught, parsing(path, CheckpointError, CURE):
        read(path)
    return str(caught.value).removeprefix(f"{path} ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read: it is empty. Download it again."),
        (b'{"a": 1', "cannot be read: it is cut off. Download it again."),
        (b'{"a": "b', "cannot be read: it is cut off. Download it again."),
        (b"{'a': 1}", "cannot be read: it is no JSON (line 1: "),
        (b"[1]", "cannot be read: it is no table of names and values. Download it again."),
        (b'{"a":' * 100_000, "cannot be read: it is nested too deeply. Download it again."),
        (b'{"a": "\xff"}', "cannot be read: it is no UTF-8 text. Download it again."),
        (b'{"a": ' + b"1" * 9000 + b"}", "cannot be read: it holds what it should not ("),
        (b" " * 17_000_000, "cannot be read: it is absurdly large. Download it again."),
        (b"version https://git-lfs.github.com/spec/v1\noid x\n", "it is a Git LFS pointer instead of the file itself."),
    ],
)
def test_a_file_is_named_as_what_it_is(tmp_path, content, message):
    (tmp_path / "x.json").write_bytes(content)
    assert message in told(tmp_path / "x.json")


def test_a_pointer_has_a_cure_of_its_own(tmp_path):
    (tmp_path / "x.json").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert told(tmp_path / "x.json").endswith("Run `git lfs pull` in its folder.")


def test_what_is_missing_or_no_file_is_told(tmp_path):
    assert told(tmp_path / "x.json") == "is missing. Download it again."
    assert told(tmp_path) == "cannot be read: it is no ordinary file. Download it again."


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    (tmp_path / "x.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "x.json") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "missing required field layers"),
        ({"layers": [{"rank": 1}, {"rank": 10}]}, r"layers\[1\]\.rank: expected int <= 9"),
        ({"layers": [{"rank": True}]}, r"layers\[0\]\.rank: expected int, got bool"),
        ({"layers": {}}, "layers: expected list, got table"),
        ({"layers": [], "name": "\x1b[31m"}, "name: expected str matching"),
        ({"layers": [], "name": "\ud800"}, "name: expected str matching"),
        ([], "expected table, got list"),
    ],
)
def test_values_out_of_bounds_are_named_by_their_place(content, message):
    with pytest.raises(FlawError, match=message):
        typed(content, Outer)


def test_names_that_nobody_knows_are_ignored(tmp_path):
    (tmp_path / "x.json").write_text('{"layers": [{"rank": 3, "new": 1}], "newer": []}')
    assert read_typed(tmp_path / "x.json", Outer) == Outer([Inner(3)])


def test_a_name_twice_is_refused_where_it_matters():
    assert parse_json(b'{"a": 1, "a": 2}') == {"a": 2}
    with pytest.raises(FlawError, match="a name twice"):
        parse_json(b'{"a": 1, "a": 2}', unique=True)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=9))
def test_any_value_is_typed_or_refused(value):
    try:
        assert typed({"layers": value}, Outer).layers == []
    except FlawError as error:
        str(error).encode()


def test_what_cannot_be_used_is_none(tmp_path):
    assert try_read(tmp_path / "x.json", Outer) is None
    for content in ("{", "[]", json.dumps({"layers": 3}), "[" * 100_000):
        (tmp_path / "x.json").write_text(content)
        assert try_read(tmp_path / "x.json", Outer) is None


class PanicException(BaseException):
    """As a library in Rust raises it."""


@pytest.mark.parametrize("raised", [PanicException("boom"), ZeroDivisionError(), IndexError("x"), MemoryError()])
def test_whatever_a_library_raises_is_an_error_of_the_file(tmp_path, raised):
    with pytest.raises(CheckpointError, match="cannot be read"), parsing(tmp_path, CheckpointError, CURE):
        raise raised


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), CancelledError("Stopped."), SystemExit(2)])
def test_what_is_no_fault_of_the_file_passes(tmp_path, raised):
    with pytest.raises(type(raised)), parsing(tmp_path, CheckpointError, CURE):
        raise raised


@pytest.mark.parametrize(
    ("name", "plain"), [("a.json", True), ("", False), ("..", False), ("a/b", False), ("a\0", False)]
)
def test_only_names_in_a_folder_are_plain(name, plain):
    assert is_plain(name) is plain
