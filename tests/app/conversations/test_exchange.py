"""Files of conversations: read whole or refused in one line, whatever they hold."""

import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.conversations.conversation import Attachment, ToolCall
from app.conversations.exchange import from_bytes, from_json, read, to_json
from app.conversations.store import StoreError
from tests.helpers.talks import talk

PYTHON_WORDS = ("Traceback", "Error", "line 1", "char ", "NoneType", "expected", "codec", "object")
MESSAGE = {"id": "m1", "parent": None, "role": "user", "text": "Hi", "created": 1.7e9, "finish": "", "error": "",
           "receipt": {}}  # fmt: skip
CHAT = {"id": "c1", "title": "Hi", "created": 1.7e9, "updated": 1.7e9, "pinned": False, "leaf": "m1", "draft": "",
        "parameters": {}, "messages": [MESSAGE]}  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def file_of(*chats: dict) -> str:
    return json.dumps({"format": "flashbulb-conversations", "version": 1, "conversations": chats})


def test_what_is_exported_can_be_imported():
    conversations = [talk("Hi 你好", "Hello"), talk("One", "Two", "Three", "Four")]
    conversations[0].pinned, conversations[0].draft, conversations[0].model = True, "more", "/models/opt"
    conversations[1].answer(conversations[1].path()[0]).finish = "stop"
    conversations[1].path()[-1].receipt = {"hit_rate": 0.5}
    conversations[1].edits = {conversations[1].path()[0].id: "One, but better"}
    answer = conversations[0].path()[-1]
    answer.reasoning, answer.reasoning_seconds, answer.reasoning_tokens = "They greet.\n\nSo do I.", 1.5, 9
    answer.tool_calls = (ToolCall("wave", '{"hand": "left"}'),)
    conversations[0].path()[0].attachments = conversations[0].attachments = (Attachment("a.txt", "words"),)
    assert from_json(to_json(conversations)) == conversations


@pytest.mark.parametrize("value", [None, "x", 3, [3], [{}], [{"name": 3, "arguments": "x", "text": []}], {"name": "x"}])
def test_what_makes_no_sense_beside_the_words_hides_none_of_them(value):
    beside = dict.fromkeys(("tool_calls", "attachments", "reasoning_seconds", "reasoning_tokens"), value)
    (chat,) = from_json(file_of(CHAT | {"messages": [MESSAGE | beside], "attachments": value}))
    assert chat.messages["m1"].text == "Hi"
    assert (chat.messages["m1"].tool_calls, chat.messages["m1"].attachments, chat.attachments) == ((), (), ())


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "chats.json")
    with pytest.raises(StoreError, match=r"chats\.json was not imported\. It is no file\."):
        read(tmp_path / "chats.json")


def test_a_copy_has_other_ids_which_are_the_same_each_time():
    first = talk("One", "Two", "Three", "Four")
    copy = first.with_ids_of("seed")
    assert copy.as_markdown() == first.as_markdown()
    assert copy.id != first.id
    assert not copy.messages.keys() & first.messages.keys()
    assert copy == first.with_ids_of("seed") != first.with_ids_of("another")


def test_half_a_character_can_be_exported():
    (again,) = from_json(to_json([talk("Half \ud83d of it", "?")]))
    assert again.path()[0].text == "Half ? of it"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"not JSON",
        b"[" * 100_000,
        b"9" * 10_000,
        b"\xff\xfe{}",
        "schön".encode("latin-1"),
        b"PK\x03\x04rest",
        b"SQLite format 3\0",
        b'{"format": "something"}',
        b'{"format": "<img src=/dev/zero>"}',
        b'{"format": "flashbulb-conversations"}',
        b'{"format": "flashbulb-conversations", "version": 1, "conversations": [{}]}',
        b'{"format": "flashbulb-conversations", "version": 1, "conversations": 3}',
        b'{"format": "flashbulb-conversations", "version": 7, "conversations": []}',
        b'[{"mapping": 3}]',
    ],
)
def test_other_files_are_refused_in_plain_words(content):
    with pytest.raises(StoreError) as refused:
        from_bytes(content)
    words = str(refused.value)
    assert words
    assert "\n" not in words
    assert not [word for word in (*PYTHON_WORDS, "<img", "'") if word in words]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StoreError, match="cannot be read"):
        read(tmp_path / "nothing.json")


def test_a_file_names_itself_and_never_what_is_in_it(tmp_path):
    file = tmp_path / "chats.json"
    file.write_text(file_of(CHAT, CHAT | {"messages": [MESSAGE | {"role": "my secret"}]}))
    with pytest.raises(StoreError, match=r"chats\.json.* chat 2 ") as refused:
        read(file)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("factor", [1, 1e3, 1e6, 1e9])
def test_times_in_smaller_units_are_understood(factor):
    (chat,) = from_json(file_of(CHAT | {"created": 1_760_000_000 * factor, "updated": 1_760_000_000 * factor}))
    assert math.isclose(chat.updated, 1_760_000_000)
    assert math.isclose(chat.created, 1_760_000_000)


@pytest.mark.parametrize("time", [1e300, -5, None, "noon", True, float("nan"), float("inf"), 10**400, []])
def test_a_chat_without_a_time_that_makes_sense_is_as_old_as_its_messages(time):
    (chat,) = from_json(file_of(CHAT | {"created": time, "updated": time}))
    assert (chat.created, chat.updated) == (1.7e9, 1.7e9)


@given(st.sampled_from([*CHAT]), ANYTHING)
@settings(max_examples=150, deadline=None)
def test_any_value_in_a_chat_is_taken_or_refused(name, value):
    _is_taken_or_refused(file_of(CHAT | {name: value}))


@given(st.sampled_from([*MESSAGE]), ANYTHING)
@settings(max_examples=150, deadline=None)
def test_any_value_in_a_message_is_taken_or_refused(name, value):
    _is_taken_or_refused(file_of(CHAT | {"messages": [MESSAGE | {name: value}]}))


@given(ANYTHING)
@settings(max_examples=100, deadline=None)
def test_anything_at_all_is_taken_or_refused(content):
    _is_taken_or_refused(json.dumps(content))


def _is_taken_or_refused(text: str) -> None:
    try:
        (chat, *_) = from_json(text) or [None]
    except StoreError:
        return
    if chat is not None:
        assert from_json(to_json([chat])) == [chat]


# ---------------------------------------------------------------------------- ChatGPT
def node(id_: str, parent: str | None, role: str = "", text: str = "", **message) -> dict:
    said = {"author": {"role": role}, "content": {"content_type": "text", "parts": [text]}, "create_time": 1.7e9}
    return {"id": id_, "parent": parent, "children": [], "message": said | message if role else None}


def exported(*nodes: dict, shown: str, **fields) -> str:
    mapping = {n["id"]: n for n in nodes}
    return json.dumps([{"title": "Boats", "create_time": 1.7e9, "update_time": 1.7e9 + 5, "mapping": mapping,
                        "current_node": shown, "conversation_id": "abc-1"} | fields])  # fmt: skip


def test_what_chatgpt_exports_is_read_with_its_branches():
    (chat,) = from_json(
        exported(
            node("root", None),
            node("system", "root", "system", "Be kind."),
            node("q1", "system", "user", "A boat?"),
            node("a1", "q1", "assistant", "A small one."),
            node("a2", "q1", "assistant", "A ship."),
            node("q2", "a2", "user", "Larger?"),
            node("call", "q2", "assistant", "search()", recipient="browser"),
            node("tool", "call", "tool", "results"),
            node("a3", "tool", "assistant", "Yes."),
            shown="a3",
        )
    )
    assert (chat.id, chat.title, chat.updated) == ("abc-1", "Boats", 1.7e9 + 5)
    assert [m.text for m in chat.path()] == ["A boat?", "A ship.", "Larger?", "Yes."]
    assert [m.text for m in chat.siblings(chat.messages["a2"])] == ["A small one.", "A ship."]


def test_what_is_null_in_an_export_of_chatgpt_hides_nothing():
    (chat,) = from_json(
        exported(
            node("q", None, "user", "A boat?", metadata=None, recipient=None),
            node("x", "q", "assistant", content=None),
            node("y", "x", "assistant", content={"content_type": "text", "parts": None}),
            node("a", "y", "assistant", "A ship.", create_time=None),
            shown="a",
        )
    )
    assert [m.text for m in chat.path()] == ["A boat?", "A ship."]


def test_pictures_and_circles_and_empty_chats_of_chatgpt_hide_nothing():
    picture = {"content_type": "multimodal_text", "parts": [{"asset_pointer": "file"}, "What is this?"]}
    (chat,) = from_json(
        exported(
            node("q", "x", "user", content=picture), node("x", "q"), node("a", "x", "assistant", "A cat."), shown="gone"
        )
    )
    assert [m.text for m in chat.path()] == ["What is this?", "A cat."]
    assert from_json(exported(node("root", None), shown="root")) == []
