from itertools import pairwise

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextCursor, QTextDocument
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.chat.markdown import FEATURES
from app.chat.table import PADDING, PAGE_CELLS, WIDTH_STEP, Table, fitted
from app.chat.text_size import set_text_size
from app.widgets.colours import colours

HEAD = "| plain | *middle* | right |\n|---|:-:|--:|\n"
ROWS = (
    "| one | **bold** and `code` | 1 |\n"
    "| [a link](https://example.org) | ~~no~~ \\| bar | 2 | too many |\n"
    "no bar in front | *x* | 3\n"
)


@pytest.fixture
def make(qtbot):
    """`make(source, step)`: a table that came in pieces, shown 500 pixels wide."""
    windows = []

    def make(source, step=None, head=HEAD):
        table, window = Table(head), QWidget()
        windows.append(window)
        qtbot.addWidget(window)
        layout = QVBoxLayout(window)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(table)
        layout.addStretch()
        window.resize(500, 300)
        window.show()
        for start in range(0, len(source), step or max(1, len(source))):
            table.append(source[start : start + (step or len(source))])
        qtbot.waitUntil(lambda: all(page.widths == table.views()[0].widths for page in table.views()))
        return table

    return make


@pytest.fixture
def normal_size():
    set_text_size(100)
    yield 100
    set_text_size(100)


def qt_document(source):
    document = QTextDocument()
    document.setMarkdown(source, FEATURES)
    return document


def cells(document):
    """Of each cell of a document's table: alignment, and the pieces of text with what marks them."""
    result, block = [], document.begin()
    while block.isValid():
        if QTextCursor(block).currentTable():
            pieces, it = [], block.begin()
            while not it.atEnd():
                style = it.fragment().charFormat()
                marks = (style.fontWeight(), style.fontItalic(), style.fontStrikeOut(), style.fontFixedPitch())
                pieces.append((it.fragment().text(), marks, style.anchorHref()))
                it += 1
            result.append((block.blockFormat().alignment(), pieces))
        block = block.next()
    return result


@pytest.mark.parametrize("step", [1, 3, 8, 1000])
def test_streamed_in_pieces_it_is_what_qt_makes_of_the_whole(make, step):
    (page,) = make(ROWS, step).views()
    expected = cells(qt_document(HEAD + ROWS))
    assert cells(page.document())[3:] == expected[3:]
    assert len(expected) == 12
    heads = cells(page.document())[:3]
    assert [pieces for _, pieces in heads] == [pieces for _, pieces in expected[:3]]
    assert [alignment for alignment, _ in heads] == [alignment for alignment, _ in expected[3:6]]  # of their columns


def test_missing_and_empty_cells_are_empty(make):
    (page,) = make("| a\n| b | | c |\n").views()
    assert [[text for text, *_ in pieces] for _, pieces in cells(page.document())[3:]] == [
        ["a"],
        [],
        [],
        ["b"],
        [],
        ["c"],
    ]


@pytest.mark.parametrize("step", [1, 7])
def test_streamed_in_pieces_it_looks_as_if_it_had_come_at_once(make, step):
    rows = ROWS * 10
    streamed, whole = make(rows, step), make(rows)
    assert [page.widths for page in streamed.views()] == [page.widths for page in whole.views()]
    assert streamed.grab().toImage() == whole.grab().toImage()


def test_a_long_table_stands_on_pages_with_one_head_and_the_same_columns(make, qtbot):
    rows = "".join(f"| {n} | {n * n} | {'x' * n} |\n" for n in range(50))
    pages = make(rows, 8).views()
    assert len(pages) > 1
    assert all(page.document().blockCount() <= PAGE_CELLS + 5 for page in pages)
    shown = [cell for page in pages for cell in cells(page.document())]
    assert shown[3:] == cells(qt_document(HEAD + rows))[3:]
    assert len({tuple(page.widths) for page in pages}) == 1
    qtbot.waitUntil(lambda: all(above.geometry().bottom() + 1 == below.y() for above, below in pairwise(pages)))


def test_what_stands_is_left_alone(make):
    table = make("| 1 | 2 | 3 |\n| 4 | 5 |")
    (page,) = table.views()
    changes = []
    page.document().contentsChange.connect(lambda position, _removed, _added: changes.append(position))
    table.append(" 6 |\n| 7 |")
    last = page.document().find("4").position()
    assert min(changes) >= last - 1


def test_more_text_than_fits_wraps_and_stays_within_the_width(make):
    table = make("| " + "many words " * 30 + "| " + "more " * 40 + "| 1 |\n")
    (page,) = table.views()
    assert sum(page.widths) < table.width()
    assert page.widths[2] < 80 < page.widths[0]
    table.window().resize(300, 300)
    assert sum(page.widths) < 300


def test_in_another_size_of_text_it_is_measured_again(make, normal_size):
    table = make(ROWS * 10 + "| the row that | is being | written")
    before, text = table.views()[0].widths, [page.toPlainText() for page in table.views()]
    table.window().resize(1000, 300)
    set_text_size(2 * normal_size)
    assert [page.toPlainText() for page in table.views()] == text
    assert all(new > old for new, old in zip(table.views()[0].widths, before, strict=True))
    table.append(" now |\n")
    assert table.views()[-1].toPlainText().rstrip().endswith("now")


def test_links_follow_the_appearance_and_lead_somewhere(make, qtbot, set_scheme):
    table = make(ROWS)
    (page,) = table.views()
    for scheme in (Qt.ColorScheme.Dark, Qt.ColorScheme.Light):
        set_scheme(scheme)
        link = page.document().find("a link")
        assert link.charFormat().foreground().color() == colours(page.palette()).accent
    with qtbot.waitSignal(table.link_clicked):
        page.anchorClicked.emit("https://example.org")


def test_columns_are_as_wide_as_they_like_where_there_is_room():
    assert fitted([20, 50], [20, 50], 500) == [32, 64]
    assert all(width % WIDTH_STEP == 0 for width in fitted([13, 57.3, 90], [1, 2, 3], 500))


def test_the_widest_columns_give_way_first():
    assert fitted([20, 400, 400], [20, 50, 50], 400) == [32, 184, 184]
    assert fitted([20, 400, 400], [20, 250, 50], 400) == [32, 250 + 2 * PADDING + 1, 400 - 32 - 261]


def test_a_column_of_long_text_gets_more_than_those_that_lack_little():
    short, middling, long = fitted([50, 140, 1000], [30, 40, 60], 400)
    assert short == 64  # all that it likes
    assert 51 <= middling < long / 2
    assert 400 - 2 < short + middling + long <= 400


def test_columns_never_want_more_than_there_is_while_letters_have_room():
    assert sum(fitted([300] * 8, [200] * 8, 400)) == 400
    assert fitted([300] * 8, [200] * 8, 10) == [24] * 8
