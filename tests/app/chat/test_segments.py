import pytest

from app.chat.segments import Code, CodeBegins, CodeEnds, Prose, Rows, Segmenter, TableBegins, TableEnds

CASES = [
    ("just prose\n\nmore", [("prose", "just prose\n\nmore")]),
    ("a\n```python\nx = 1\n\ny\n```\nb", [("prose", "a\n"), ("python", "x = 1\n\ny\n"), ("prose", "b")]),
    ("```\nno end", [("", "no end")]),
    ("~~~c\n```\n~~~\n", [("c", "```\n")]),
    ("````\n```\n````", [("", "```\n")]),
    ("`inline` code\n``twice`` too", [("prose", "`inline` code\n``twice`` too")]),
    ("```inline``` code", [("prose", "```inline``` code")]),
    (
        "1. one\n   ```sh\n   ls\n     -l\n   ```\n2. two",
        [("prose", "1. one\n"), ("sh", "ls\n  -l\n"), ("prose", "2. two")],
    ),
    ("text ```\nnot a fence", [("prose", "text ```\nnot a fence")]),
    ("```js {1,2}\nx\n```", [("js", "x\n")]),
    ("```\n```", [("", "")]),
    ("a | b\n-|-\n1 | 2\n3\n\nend", [("prose", ""), ("table", "a | b\n-|-\n1 | 2\n3\n"), ("prose", "\nend")]),
    ("so:\n| a |\n|:-:|\n| 1", [("prose", "so:\n"), ("table", "| a |\n|:-:|\n| 1")]),
    ("| a |\n|---|\n- item", [("prose", ""), ("table", "| a |\n|---|\n"), ("prose", "- item")]),
    ("| a |\n|---|\n-1 | x\n", [("prose", ""), ("table", "| a |\n|---|\n-1 | x\n")]),
    ("| a |\n|---|\n# Head\n", [("prose", ""), ("table", "| a |\n|---|\n"), ("prose", "# Head\n")]),
    ("| a |\n|---|\n```\nx\n```", [("prose", ""), ("table", "| a |\n|---|\n"), ("", "x\n")]),
    ("| a \\| b |\n|---|", [("prose", ""), ("table", "| a \\| b |\n|---|\n")]),
    ("| a | b |\n|---|\n| 1 |\n", [("prose", "| a | b |\n|---|\n| 1 |\n")]),
    ("- a | b\n--|--\n", [("prose", "- a | b\n--|--\n")]),
    ("a | b\n```\n--|--\n```\n", [("prose", "a | b\n"), ("", "--|--\n")]),
]


def parts(pieces):
    """Pieces put together: ("prose", text), ("table", rows) and (language, code)."""
    result = []
    for piece in pieces:
        match piece:
            case Prose(text):
                if result and result[-1][0] == "prose":
                    result[-1] = ("prose", result[-1][1] + text)
                else:
                    result.append(("prose", text))
            case CodeBegins(language):
                result.append((language, ""))
            case TableBegins(head, delimiters):
                assert result[-1][1].endswith(head)
                result[-1] = ("prose", result[-1][1].removesuffix(head))
                result.append(("table", head + delimiters))
            case Code(text) | Rows(text):
                result[-1] = (result[-1][0], result[-1][1] + text)
    return result


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
@pytest.mark.parametrize(("source", "expected"), CASES)
def test_prose_and_code_are_parted(source, expected, step):
    segmenter = Segmenter()
    pieces = [p for start in range(0, len(source), step) for p in segmenter.feed(source[start : start + step])]
    pieces += segmenter.finish()
    assert parts(pieces) == expected
    begun = sum(isinstance(piece, CodeBegins) for piece in pieces)
    assert begun == sum(isinstance(piece, CodeEnds) for piece in pieces)
    kinds = [type(piece) for piece in pieces if isinstance(piece, TableBegins | TableEnds)]
    assert kinds in ([], [TableBegins], [TableBegins, TableEnds])


def test_text_is_shown_as_it_comes():
    segmenter = Segmenter()
    assert list(segmenter.feed("Hel")) == [Prose("Hel")]
    assert list(segmenter.feed("lo\n``")) == [Prose("lo\n")]
    assert list(segmenter.feed("x")) == [Prose("``x")]
