"""The journal of what a preparation has done, and whose it is."""

import json

import pytest

from engine.errors import FlashbulbError
from engine.prepare.journal import JOURNAL, Journal
from engine.store.reports import LayerReport


def test_layers_are_remembered(tmp_path):
    journal = Journal(tmp_path / "work", {"dtype": "float32"})
    reports = [LayerReport(96, 0.9, rank, threshold=0.5, recall=1.0, false_positives=0.1) for rank in (3, 4)]
    for report in reports:
        journal.add(report)
    journal.close()
    again = Journal(tmp_path / "work", {"dtype": "float32"})
    assert again.layers == reports
    again.close()


LISTED = b'{"purpose": "x", "layers": [{"rank": 3}]}'


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"purpose": 1}', b"\xff", b"[" * 100_000, LISTED])
def test_a_damaged_or_foreign_journal_begins_anew(tmp_path, content):
    (tmp_path / JOURNAL).write_bytes(content)
    (tmp_path / "learned.0.npz").write_bytes(b"of another purpose")
    journal = Journal(tmp_path, {"dtype": "float32"})
    assert journal.layers == []
    journal.close()
    assert json.loads((tmp_path / JOURNAL).read_text())["layers"] == []
    assert not (tmp_path / "learned.0.npz").exists()


def test_another_purpose_begins_anew(tmp_path):
    journal = Journal(tmp_path, {"dtype": "float32"})
    journal.add(LayerReport(96, 0.9, 3, threshold=0.5, recall=1.0, false_positives=0.1))
    journal.close()
    other = Journal(tmp_path, {"dtype": "float16"})
    assert other.layers == []
    other.close()


def test_it_belongs_to_one(tmp_path):
    journal = Journal(tmp_path, {})
    with pytest.raises(FlashbulbError, match="Another Flashbulb is preparing"):
        Journal(tmp_path, {})
    journal.close()
    Journal(tmp_path, {}).close()
