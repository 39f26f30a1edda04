"""Bodies of requests, as programs really send them."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.server.desk import decoded
from engine.server.refusals import RefusedError


class Said(msgspec.Struct):
    """A body."""

    text: str


def written(text):
    return json.dumps({"text": text}).encode()


@given(st.text())
def test_a_text_is_what_it_was(text):
    for form in (written(text), json.dumps({"text": text}, ensure_ascii=False).encode()):
        assert decoded(form, Said).text == text


@given(st.lists(st.sampled_from(["\ud83d", "\ude42", "\\", "u", "d83d", "\n", '"', "a", "\\ud83d"]), max_size=12))
def test_halves_of_characters_are_other_signs_and_nothing_else_changes(parts):
    """As a program writes them that cuts texts anywhere."""
    text = "".join(parts)
    expected = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    whole = "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in expected)
    assert decoded(written(text), Said).text == whole


def test_a_mark_at_the_beginning_is_passed_over():
    assert decoded(b"\xef\xbb\xbf" + written("Hello"), Said).text == "Hello"


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b'{"text": NaN}', b'{"text": "\\ud83d', b"[" * 10**6, b'{"text": ' * 10**5, b"\\ud83d"]
)
def test_what_is_no_json_is_refused(body):
    with pytest.raises(RefusedError) as caught:
        decoded(body, Said)
    assert caught.value.status == 400
