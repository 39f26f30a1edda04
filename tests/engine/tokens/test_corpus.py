import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FlashbulbError
from engine.inference.load import load
from engine.tokens.corpus import Corpus, talk, windows


@given(length=st.integers(2, 200), context=st.integers(2, 40))
def test_every_token_but_the_first_is_predicted_once_with_history(length, context):
    tokens, predicted, seen = list(range(length)), [], []
    for inputs, targets, repeated in windows(tokens, context):
        assert len(inputs) <= context
        assert targets[: len(inputs)] == [t + 1 for t in inputs if t + 1 < length]
        assert repeated == 0 if not seen else repeated >= context // 2
        predicted += targets[repeated:]
        seen += inputs[repeated:]
    assert predicted == tokens[1:]
    assert seen in (tokens, tokens[:-1])


def test_a_text_that_fits_is_one_window():
    assert list(windows([4, 5, 6], 3)) == [([4, 5, 6], [5, 6], 0)]


def test_conversations_are_sequences_of_their_own(tiny_model, tmp_path):
    model = load(tiny_model)
    turns = ["Do you like music?", "I play the guitar."]
    path = tmp_path / "talk.jsonl.gz"
    path.write_bytes(gzip.compress((json.dumps({"turns": turns}) + "\n\n" + json.dumps({"turns": turns[:1]})).encode()))
    assert talk(path).splitlines() == [*turns, turns[0]]
    first, second = Corpus.read(path).sequences(model.tokenizer)
    model.close()
    assert first.tokens[0] == 0
    assert first.bytes == sum(len(turn) + 1 for turn in turns)
    assert second.bytes == len(turns[0]) + 1


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\xff", b"{}", b'{"turns": 3}'])
def test_what_is_no_text_is_refused(tiny_model, tmp_path, content):
    model = load(tiny_model)
    path = tmp_path / ("text.txt" if not content.startswith(b"{") else "text.jsonl")
    path.write_bytes(content)
    with pytest.raises(FlashbulbError, match=path.name):
        Corpus.read(path).sequences(model.tokenizer)
    model.close()
