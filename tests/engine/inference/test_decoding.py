"""Decoding with drafts says what decoding without them says: greedily, with a seed, and in distribution."""

from collections import Counter
from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

from engine.inference.decoding import Decoding
from engine.inference.load import load
from engine.inference.sampling import Sampling, sampler
from engine.planning.outlook import Outlook
from engine.prepare.prepare import prepare
from engine.settings import NEUTRAL_SAMPLING, OUR_SAMPLING, Settings
from engine.store.mlx_folder import MlxFolder
from engine.streaming.passes import Pass
from tests.helpers.checkpoints import write_opt, write_text
from tests.helpers.dense_models import write_dense
from tests.helpers.mlx_models import write_moe

PROMPT, ANSWER = [int(t) for t in np.random.default_rng(1).integers(0, 320, 14)], 16
LIKELIEST = Sampling(**{**OUR_SAMPLING, "temperature": 0.0})
LIVELY = Sampling(**{**OUR_SAMPLING, "temperature": 3.0, "top_p": 0.95, "repetition_penalty": 1.3, "min_p": 0.01})
BIASED = replace(LIVELY, logit_bias={token: (-100, 40, 3)[token % 3] for token in range(0, 320, 2)})


class Guesses:
    """Drafts from a text that the answer may be, so many at once, every few of them wrong."""

    def __init__(self, text=(), count=0, wrong_every=0):
        self._text, self._count, self._wrong_every = text, count, wrong_every

    source = "text"

    def begin(self, answer):
        pass

    def after(self, known, most, certain=()):
        right = self._text[len(known) : len(known) + min(self._count, most)]
        places = range(len(known), len(known) + len(right))
        wrong = self._wrong_every
        return [(t + 1) % 300 if wrong and p % wrong == 0 else t for p, t in zip(places, right, strict=True)]

    def verified(self, passed, decided, seconds, drafting_s, waited_s):
        pass


def answer(model, guesses, sampling=LIKELIEST, ends=(), seed=3):
    """The tokens of an answer, and its decoding."""
    model.forget()
    sample = sampler(sampling, model.vocabulary, range(model.vocabulary), seed)
    decoding = Decoding(model, sample, guesses, ends)
    tokens = [each.token for each in decoding.tokens(*model.prefill(PROMPT), ANSWER)]
    return tokens, decoding


MODELS = {
    "blocks": lambda folder: write_dense(folder),
    "16 bits": lambda folder: write_dense(folder, form=None, dtype=mx.float16),
    "rotating": lambda folder: write_dense(folder, "gemma3_text"),
    "recurrent": lambda folder: write_dense(folder, "lfm2"),
    "experts": lambda folder: write_moe(folder, "qwen3_moe"),
    "recurrent experts": lambda folder: write_moe(folder, "qwen3_next"),
    "a window of experts": lambda folder: write_moe(folder, "gpt_oss"),
}
NEURONS = ("exact neurons", "predicted neurons", "quantised neurons")
NEARLY = ("rotating", "recurrent", "recurrent experts", "a window of experts")  # caches that sum in another order


@pytest.fixture(scope="module", params=[*MODELS, *NEURONS])
def model(request, tmp_path_factory, tiny_model):
    """A streamed model with little memory, of each kind."""
    folder = tmp_path_factory.mktemp("drafts")
    if request.param == "quantised neurons":
        write_opt(folder / "checkpoint", True, hidden_size=64, word_embed_proj_dim=64, ffn_dim=97)
        prepare(folder / "checkpoint", folder / "model", calibration=write_text(folder / "text.txt", 1), bits=4)
        loaded = load(folder / "model", Settings(selection="exact", window=2))
    elif request.param in NEURONS:
        selection = "exact" if request.param.startswith("exact") else "predictor"
        loaded = load(tiny_model, Settings(selection=selection, window=2))
    else:
        folder = MODELS[request.param](folder / "model")
        smallest = Outlook.of(MlxFolder.open(folder), None).smallest_budget(Settings())
        loaded = load(folder, Settings(memory_budget=smallest))
    loaded.kind_of_test = request.param
    yield loaded
    loaded.close()


@pytest.mark.parametrize("sampling", [LIKELIEST, LIVELY, BIASED], ids=["greedy", "seeded", "biased"])
def test_an_answer_with_drafts_is_the_one_without(model, sampling):
    plain, _ = answer(model, Guesses(), sampling)
    for count, wrong_every in ((3, 0), (7, 3), (2, 1)):
        found, decoding = answer(model, Guesses([*PROMPT, *plain], count, wrong_every), sampling)
        assert found == plain
        assert decoding.drafted >= decoding.accepted
        assert (decoding.accepted == decoding.drafted) == (wrong_every == 0)
        assert decoding.passes < ANSWER - 1 or wrong_every == 1
    assert model.cached_tokens == [*PROMPT, *plain[:-1]]


def test_a_pass_of_several_tokens_is_to_the_bit_what_passes_of_one_are(model):
    if model.kind_of_test in NEARLY:
        pytest.skip("only nearly")
    plain, _ = answer(model, Guesses())
    model.forget()
    model.prefill(PROMPT)
    alone = [model.decode(token)[0][0, -1] for token in plain[:6]]
    model.forget()
    model.prefill(PROMPT)
    together, _ = model.verify(plain[:6])
    assert mx.array_equal(together[0], mx.stack(alone))


def test_what_follows_the_end_of_an_answer_is_not_kept(model):
    plain, _ = answer(model, Guesses())
    end = max(i for i in range(ANSWER) if plain[i] not in plain[:i])
    found, _ = answer(model, Guesses([*PROMPT, *plain], 7), ends={plain[end]})
    assert found[: end + 1] == plain[: end + 1]
    assert model.cached_tokens == [*PROMPT, *found[:-1]]


def test_the_window_ends_with_the_last_token_that_was_accepted(model):
    """It then holds what it would hold had these tokens been decoded one by one."""
    if model.kind_of_test not in (*NEURONS, "experts"):
        pytest.skip("no window")
    plain, _ = answer(model, Guesses())
    found = []
    for several in (False, True):
        model.forget()
        model.prefill(PROMPT)
        model.decode(plain[0])
        if several:
            model.verify([*plain[1:3], 7, 8, 9])
            model.keep(len(PROMPT) + 3)
        else:
            model.decode(plain[1])
            model.decode(plain[2])
        found.append(in_window(model))
    assert found[0] == found[1]


def in_window(model):
    """By layer, the bundles of the window, with the tokens since each was last needed."""
    window = model.streaming.passes.window
    ages = [window.token - layer.pool.last_k_active[: layer.pool.bundles] for layer in model.streaming.layers]
    return [{int(i): int(age[i]) for i in np.flatnonzero(age < window.size)} for age in ages]


class Bigrams:
    """A model of five tokens, whose scores depend on the last token."""

    bundles, context = 0, 100

    def __init__(self):
        self.cached_tokens = [0]
        self.scores = mx.array(np.random.default_rng(5).standard_normal((5, 5)), mx.float32)

    def expect(self, tokens):
        """Nothing is read."""

    def verify(self, tokens, cancelled=None):
        self.cached_tokens += tokens
        return self.scores[mx.array(tokens)][None], Pass(0)

    def keep(self, tokens):
        del self.cached_tokens[tokens:]
        return len(self.cached_tokens)


@pytest.mark.parametrize("changes", [{}, {"top_p": 0.8, "temperature": 1.7}, {"repetition_penalty": 2.0, "top_k": 3}])
def test_what_is_sampled_has_the_models_own_distribution(changes):
    """Of pairs of tokens, by a chi-squared test against decoding without drafts; other numbers are drawn."""
    sampling = Sampling(**{**NEUTRAL_SAMPLING, **changes})
    guesses = Guesses([0, *[1, 3, 2, 4] * 3], 3, 2)
    (plain, none), (drafted, accepted) = pairs_of(sampling, Guesses(), 1), pairs_of(sampling, guesses, 2)
    assert none == 0 < accepted
    seen = [(plain[pair], drafted[pair]) for pair in plain | drafted]
    distance = sum((one - other) ** 2 / (one + other) for one, other in seen)
    degrees = len(seen) - 1
    assert distance < degrees + 3.3 * (2 * degrees) ** 0.5 + 3  # beyond the 99.9th percentile


def pairs_of(sampling, guesses, seed, answers=400):
    pairs, accepted = Counter(), 0
    for i in range(answers):
        sample = sampler(sampling, 5, range(4), seed * answers + i)
        decoding = Decoding(model := Bigrams(), sample, guesses)
        logits, current = model.verify([0])
        model.keep(1)
        tokens = [each.token for each in decoding.tokens(logits, current, 4)]
        assert 4 not in tokens  # which stands for nothing
        pairs[tokens[1], tokens[2]] += 1
        accepted += decoding.accepted
    return pairs, accepted


class OtherBigrams:
    """Drafts of a model whose scores are others, drawn as the answer is."""

    source = "other"

    def __init__(self, scores):
        self._scores = scores

    def begin(self, answer):
        self._draw = answer.draw

    def after(self, known, most, certain=()):
        text = list(known)
        for _ in range(min(3, most)):
            text.append(self._draw(self._scores[mx.array(text[-1:])], text))
        return text[len(known) :]

    def verified(self, passed, decided, seconds, drafting_s, waited_s):
        pass


def test_drafts_that_are_drawn_from_other_scores_leave_the_distribution_as_it_is():
    """Of three tokens, by a chi-squared test against what the scores say; and more drafts are right than if both had
    drawn by themselves."""
    temperature, answers = 1.5, 1500
    sampling = Sampling(**{**NEUTRAL_SAMPLING, "temperature": temperature})
    other = Bigrams().scores + mx.random.normal((5, 5), key=mx.random.key(1))
    seen, drafted, accepted = Counter(), 0, 0
    for i in range(answers):
        drafts = OtherBigrams(other)
        decoding = Decoding(model := Bigrams(), sampler(sampling, 5, range(4), i), drafts)
        logits, current = model.verify([0])
        model.keep(1)
        seen[tuple(each.token for each in decoding.tokens(logits, current, 3))] += 1
        drafted, accepted = drafted + decoding.drafted, accepted + decoding.accepted
    own, others = (np.array(mx.softmax(scores[:, :4] / temperature, axis=-1)) for scores in (Bigrams().scores, other))
    distance = 0.0
    for texts in np.ndindex(4, 4, 4):
        expected = answers * own[0, texts[0]] * own[texts[0], texts[1]] * own[texts[1], texts[2]]
        distance += (seen[texts] - expected) ** 2 / expected
    assert distance < 103.4  # the 99.9th percentile of 63 degrees of freedom
    independent = (own * others).sum(axis=1).max()
    assert accepted > 1.1 * independent * drafted
