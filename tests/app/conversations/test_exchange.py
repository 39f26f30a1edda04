import json

import pytest

from app.conversations.exchange import from_json, to_json
from app.conversations.store import StoreError
from tests.app.conversations.test_store import talk


def test_what_is_exported_can_be_imported():
    conversations = [talk("Hi 你好", "Hello"), talk("One", "Two", "Three", "Four")]
    conversations[0].pinned, conversations[0].draft = True, "more"
    conversations[1].answer(conversations[1].path()[0]).finish = "stop"
    conversations[1].path()[-1].receipt = {"hit_rate": 0.5}
    assert from_json(to_json(conversations)) == conversations


def test_a_copy_has_other_ids_and_says_the_same():
    first = talk("One", "Two", "Three", "Four")
    copy = first.with_new_ids()
    assert copy.as_markdown() == first.as_markdown()
    assert copy.id != first.id
    assert not copy.messages.keys() & first.messages.keys()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "not JSON",
        '{"format": "something"}',
        '{"format": "flashbulb-conversations", "version": 1, "conversations": [{}]}',
        '{"format": "flashbulb-conversations", "version": 1, "conversations": 3}',
        '{"format": "flashbulb-conversations", "version": 7, "conversations": []}',
    ],
)
def test_other_files_are_refused(text):
    with pytest.raises(StoreError, match=r"holds no conversations|newer"):
        from_json(text)


def test_a_strange_role_is_refused():
    content = json.loads(to_json([talk("Hi", "Hello")]))
    content["conversations"][0]["messages"][0]["role"] = "system"
    with pytest.raises(StoreError, match="role"):
        from_json(json.dumps(content))
