"""The proof that streaming changes nothing, on the starter; and that it would find a difference."""

import threading

import pytest

from engine.errors import CancelledError
from engine.inference.proof import PROMPTS, prove
from engine.settings import Settings
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.mlx_models import VOCABULARY, write_moe

STARTER = "starter"


def test_exact_selection_agrees_and_predicted_selection_tells_by_how_much_it_does_not():
    seen = []
    proof = prove(STARTER, Settings(memory_budget=1), lambda share, run: seen.append((share, run)))
    assert proof.exact.agrees
    assert proof.exact.perplexity == pytest.approx(proof.perplexity, rel=1e-3)
    assert proof.exact.cost.bytes_read < proof.cost.bytes_read / 3
    assert all(cost.seconds > 0 for cost in (proof.cost, proof.exact.cost, proof.predicted.cost))
    assert proof.cost.memory_bytes < proof.exact.cost.memory_bytes
    assert 0.8 < proof.predicted.same <= 1.0
    assert proof.predicted.difference > proof.exact.difference
    assert [prompt for prompt, _ in proof.answers] == list(PROMPTS)
    assert all(answer.endswith(("…", ".", "!", "?")) for _, answer in proof.answers)
    assert any(answer.endswith("…") for _, answer in proof.answers)
    assert proof.tokens > 3 * 12
    assert seen == sorted(seen, key=lambda step: step[0])
    assert [run for _, run in seen if run == "dense"]
    assert seen[-1] == (1.0, "predictor")


def test_a_worse_predictor_is_found_out():
    proof = prove(STARTER, Settings(threshold_shift=6.0))
    assert not proof.predicted.agrees
    assert proof.predicted.same < 1.0
    assert proof.exact.agrees


@pytest.mark.parametrize("run", ["dense", "exact"])
def test_it_can_be_cancelled_at_any_time(run):
    stop = threading.Event()
    with pytest.raises(CancelledError):
        prove(STARTER, Settings(), lambda _, running: stop.set() if running == run else None, stop)


def test_a_model_of_experts_answers_the_same_streamed_as_in_memory(tmp_path):
    folder = write_moe(tmp_path / "moe")
    write_tokenizer(folder, VOCABULARY)
    runs = []
    proof = prove(str(folder), Settings(), lambda share, run: runs.append((share, run)))
    assert proof.exact.agrees
    assert proof.all_resident
    assert proof.predicted is None
    assert proof.exact.cost.bytes_read > 0
    assert list(dict.fromkeys(run for _, run in runs)) == ["whole", "streamed"]
    assert [share for share, _ in runs] == sorted(share for share, _ in runs)
