"""`bench drafts` on a tiny shape: both ways are measured, and drafts are right where the text repeats itself."""

from engine.bench import drafts
from engine.bench.drafts import DENSE_3B, Spoken, run, texts
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
    monkeypatch.setattr(Pace, "best", lambda _, __, most, ___: (min(3, most), 2.0))  # whatever passes take
    monkeypatch.setattr(Pace, "allows", lambda *_: True)
    again = Spoken(list(range(40)), list(range(10, 34)))
    talk = Spoken([1, 2], list(range(3, 27)))
    result = run(tmp_path, {"again": again, "talk": talk}, TINY, TINY, tokens=24, turns=2, shares=(0.0, 1.0))
    both = [f"{name}, drafts: {way}" for name in ("again", "talk") for way in ("none", "lookup")]
    models = [f"a draft model right {share}, drafts: {way}" for share in ("0%", "100%") for way in ("none", "draft")]
    assert [row.name for row in result.rows] == both + models
    assert all(row.tokens_per_second > 0 for row in result.rows)
    counts = result.details["drafts"]
    assert counts["again"]["accepted"] > 20
    assert counts["again"]["tokens_a_pass"] > 2
    assert counts["talk"]["drafted"] == 0
    assert counts["talk"]["tokens_a_pass"] == 1
    never, always = (counts[f"a draft model right {share}"] for share in ("0%", "100%"))
    assert (never["accepted"], never["tokens_a_pass"]) == (0, 1)
    assert always["accepted"] == always["drafted"] > 20
    assert result.details["speedup"].keys() == counts.keys()
    items = result.details["budget_items"]
    assert items["beside"]["draft_model"] > 0
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
