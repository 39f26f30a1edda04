"""Markdown as one line of plain words, for a title or a preview. No Qt; one pass over a text."""

import re

MARKS = (
    (re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)"), r"\1"),  # links and pictures: their words
    (re.compile(r"^[ \t]*(?:`{3,}|~{3,}).*$", re.MULTILINE), ""),  # fences
    (re.compile(r"^[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+[ \t]*(?::?-+:?)?[ \t]*$", re.MULTILINE), ""),  # below a head
    (re.compile(r"^(?:[ \t]*>)+[ \t]*", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*(?:#{1,6}|[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t])?", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*([-*_])(?:[ \t]*\1){2,}[ \t]*$", re.MULTILINE), ""),  # rules
    (re.compile(r"`+|\*\*+|~~"), ""),
    (re.compile(r"(?<![\w*])\*([^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<!\w)_([^\s_](?:[^_\n]*[^\s_])?)_(?!\w)"), r"\1"),
    (re.compile(r"[ \t]*(?<!\\)\|[ \t]*"), " "),  # between cells
)
MAX_CHARACTERS = 1000  # characters that are looked at


def plain(markdown: str) -> str:
    """The words of Markdown's beginning, without its marks."""
    text = markdown[:MAX_CHARACTERS]
    for mark, instead in MARKS:
        text = mark.sub(instead, text)
    return " ".join(text.split())
