"""Emphasis beside scripts without spaces, held against CommonMark's own rules where those suffice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtGui import QFont, QTextDocument

from app.chat.emphasis import MARK, marked
from app.chat.markdown import FEATURES, parsed


def read(markdown):
    return parsed(markdown, QFont()).toPlainText()


def spans(markdown):
    """The pieces that are bold, italic or struck through."""
    document = parsed(markdown, QFont())  # kept: its blocks go with it
    found, block = [], document.begin()
    while block.isValid():
        piece = block.begin()
        while not piece.atEnd():
            style = piece.fragment().charFormat()
            kind = "b" * (style.fontWeight() > 400) + "i" * style.fontItalic() + "s" * style.fontStrikeOut()
            found += [(kind, piece.fragment().text())] if kind else []
            piece += 1
        block = block.next()
    return found


@pytest.mark.parametrize(
    ("markdown", "found"),
    [
        ("这是**“重点”**内容。", [("b", "“重点”")]),
        ("**提示：**先保存。", [("b", "提示：")]),
        ("他说*“好”*了。", [("i", "“好”")]),
        ("这是**（注）**和*《书》*的", [("b", "（注）"), ("i", "《书》")]),
        ("これは**「強調」**です。", [("b", "「強調」")]),
        ("カタカナ*（注）*だ", [("i", "（注）")]),
        ("한국어**(강조)**는", [("b", "(강조)")]),
        ('안녕**"굵게"**하세요', [("b", '"굵게"')]),
        ("中文~~“删”~~内容", [("s", "“删”")]),
        ("中文~「删」~内容", [("s", "「删」")]),
        ("***强调：***文字", [("bi", "强调：")]),
        ("**注意!**后面", [("b", "注意!")]),
        ("是**“`代码`”**的", [("b", "“"), ("b", "”")]),
        ("这是**[链接](https://a.b/c_d)**。", [("b", "链接")]),
        ("- 项**（一）**目\n- 项**（二）**目", [("b", "（一）"), ("b", "（二）")]),
        ("ＡＢ**（Ｃ）**Ｄ", [("b", "（Ｃ）")]),
        ("是**“一\n二”**的", [("b", "“一 二”")]),
        ("\\**“是”**的", []),
        ("`**“是”**`的", []),
        ("是** “是” **的", []),
        ("是\n\n**“是”\n\n**的", []),
    ],
)
def test_letters_without_spaces_are_no_obstacle(markdown, found):
    assert spans(markdown) == found
    if found:
        assert not set("*~") & set(read(markdown))


@given(st.text(alphabet="ab *_~`\\[]()\"'.!-\n", max_size=60))
def test_without_such_letters_nothing_changes(text):
    assert marked(text) == text


@given(st.text(alphabet="a是 *_「”.", max_size=40))
def test_the_parser_sees_what_commonmark_sees_and_more(text):
    """Emphasis stays where CommonMark finds it, and nothing of the text is lost but signs."""
    document = QTextDocument()
    document.setMarkdown(text, FEATURES)
    letters = "".join(c for c in document.toPlainText() if c not in "*_ \n")
    assert "".join(c for c in read(text) if c not in "*_ \n") == letters
    assert MARK not in read(text)


def test_the_mark_itself_can_be_written():
    assert read(f"是{MARK}**“是”**") == f"是{MARK}“是”"
