import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.inline import parts


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a `b` c", ["`b`"]),
        ("``a`b`` c", ["``a`b``"]),
        ("`a", []),
        ("`` a ` b", []),
        ("`a ``b`` c`", ["`a ``b`` c`"]),
        ("```a``` and ``", ["```a```"]),
        ("a ` b\n\nc ` d", []),
        ("`one` `two`", ["`one`", "`two`"]),
    ],
)
def test_code_is_what_stands_between_runs_of_the_same_length(text, code):
    assert [part for part, is_code in parts(text) if is_code] == code


@given(st.text(alphabet="`` a\n", max_size=50))
def test_nothing_is_lost(text):
    assert "".join(part for part, _ in parts(text)) == text
