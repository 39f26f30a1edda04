"""`bench drafts` on a tiny shape: both ways are measured, and drafts are right where the text repeats itself."""

from engine.bench import drafts
from engine.bench.drafts import DENSE_3B, EDIT, TALK, Spoken, cases, run, run_experts, texts
from engine.bench.expert_shapes import EXPERT_SHAPES, ExpertShape
from engine.inference.pace import Pace
from tests.helpers.moe_sizes import TINY_EXPERTS

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
    monkeypatch.setattr(Pace, "is_overdrawn", False)
    again = Spoken(list(range(40)), list(range(10, 34)))
    talk = Spoken([1, 2], list(range(3, 27)))
    result = run(tmp_path, {EDIT: again, TALK: talk}, TINY, TINY, tokens=24, turns=2, shares=(0.0, 1.0))
    names = [case.name for case in cases((0.0, 1.0))]
    assert [row.name for row in result.rows] == [f"{name}: {way}" for name in names for way in ("without", "with")]
    assert all(row.tokens_per_second > 0 for row in result.rows)
    looked_up, nothing, beside, never, always = (result.details[name] for name in names)
    assert looked_up["drafters"]["lookup"][1] > 20
    assert looked_up["tokens_a_pass"] > 2
    assert (nothing["drafters"], nothing["tokens_a_pass"]) == ({}, 1)
    assert beside["tokens_a_pass"] > 2
    assert (never["drafters"]["draft"][1], never["tokens_a_pass"]) == (0, 1)
    drafted, right = always["drafters"]["draft"]
    assert drafted == right > 20
    assert len(always["times"]["each"]) == 2
    assert always["drive_bytes_per_s"] == []  # all of it is in memory
    assert always["stays"]
    assert always["budget_items"]["with"]["draft_model"] > 0
    assert "draft_model" not in always["budget_items"]["without"]
    assert list(tmp_path.iterdir()) == []


def test_models_with_experts_follow_a_drawn_routing(tmp_path, monkeypatch):
    monkeypatch.setattr(Pace, "best", lambda _, __, most, ___: (min(3, most), 2.0))
    tiny = ExpertShape(EXPERT_SHAPES["qwen3-30b-a3b"].config | TINY_EXPERTS, experts=32, top_k=4)
    monkeypatch.setitem(EXPERT_SHAPES, "tiny", tiny)
    again = Spoken(list(range(40)), list(range(10, 34)))
    result = run_experts("tiny", tmp_path, {EDIT: again, TALK: again}, tokens=16, turns=1)
    assert [row.name for row in result.rows] == [
        f"{case.name}: {way}" for case in cases(()) for way in ("without", "with")
    ]
    assert all(result.details[case.name]["tokens_a_pass"] > 2 for case in cases(()))


class Words:
    """A tokenizer of whole words."""

    def encode(self, text):
        return [hash(word) for word in text.split()]


def test_the_texts_are_one_that_repeats_its_prompt_and_talk():
    found = texts(Words(), "Hello there, and a good day to you. " * 40)
    edited, talk = found[EDIT], found[TALK]
    assert (len(edited.prompt), len(talk.prompt)) == (drafts.EDIT_TOKENS, drafts.TALK_TOKENS)
    assert edited.answer[:4] == edited.prompt[:4]
    assert edited.answer[: drafts.EDIT_TOKENS] != edited.prompt
