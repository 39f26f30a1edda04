"""`bench drafts` on a tiny shape: both ways are measured, and drafts are right where the text repeats itself."""

from engine.bench import drafts
from engine.bench.drafts import DENSE_3B, Text, run, texts
from engine.inference.pace import Pace

TINY = DENSE_3B | {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 128,
    "max_position_embeddings": 256,
}


def test_both_ways_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(Pace, "tokens_of", lambda _, __, most, ___: min(3, most))  # whatever the time that passes take
    again = Text(list(range(40)), list(range(10, 34)))
    result = run(tmp_path, {"again": again, "new": Text([1, 2], list(range(3, 27)))}, TINY, tokens=24, turns=2)
    assert [row.name for row in result.rows] == [
        f"{name}, drafts: {way}" for name in ("again", "new") for way in ("none", "lookup")
    ]
    assert all(row.tokens_per_second > 0 for row in result.rows)
    counts = result.details["drafts"]
    assert counts["again"]["accepted"] > 20
    assert counts["again"]["tokens_a_pass"] > 2
    assert counts["new"]["drafted"] == 0
    assert counts["new"]["tokens_a_pass"] == 1
    assert result.details["speedup"].keys() == {"again", "new"}
    assert list(tmp_path.iterdir()) == []


class Words:
    """A tokenizer of whole words."""

    def encode(self, text):
        return [hash(word) for word in text.split()]


def test_the_texts_are_one_that_repeats_its_prompt_and_talk():
    found = texts(Words(), "Hello there, and a good day to you. " * 40)
    edited, talk = found["a program edited"], found["talk"]
    assert len(edited.prompt) == len(talk.prompt) == drafts.PROMPT_TOKENS
    assert edited.answer[:4] == edited.prompt[:4]
    assert edited.answer[: drafts.PROMPT_TOKENS] != edited.prompt
