import pytest

from app.conversations.plain import plain


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("Please look at this **Markdown**", "Please look at this Markdown"),
        ("# Heading 1\n## Heading 2", "Heading 1 Heading 2"),
        ("1. one\n2. `two`\n- [x] three", "one two three"),
        ("> quoted *words*\n>> deeper", "quoted words deeper"),
        ("```python\nx = 1\n```", "x = 1"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a b 1 2"),
        ("[words](https://example.org) ![picture](p.png)", "words picture"),
        ("above\n\n---\n\nbelow", "above below"),
        ("cut off in the **middle", "cut off in the middle"),
        ("这是**“重点”**", "这是“重点”"),
        # what is no mark stays
        ("2 * 3 * 4 and C*", "2 * 3 * 4 and C*"),
        ("snake_case_name, __init__ and _it_", "snake_case_name, __init__ and it"),
        ("a - b # c > d", "a - b # c > d"),
    ],
)
def test_marks_go_and_words_stay(markdown, words):
    assert plain(markdown) == words
