from hypothesis import given
from hypothesis import strategies as st

from app.chat.token_estimate import estimate


def test_words_and_signs_are_counted_about_as_tokenizers_do():
    assert estimate("") == 0
    assert estimate("Hi") == 1
    assert 8 <= estimate("What do you like to do for fun today?") <= 14
    assert 4 <= estimate("你今天好吗？") <= 8


@given(st.text(max_size=200), st.integers(1, 5))
def test_more_text_is_more_tokens(text, times):
    assert estimate(text) <= estimate(text * times)


def test_a_long_text_is_taken_to_go_on_as_it_begins():
    assert estimate("word " * 100_000) == 100 * estimate("word " * 1000)
