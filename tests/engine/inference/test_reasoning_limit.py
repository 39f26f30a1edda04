"""The limit of reasoning, with the marks of the families that people use."""

from itertools import product

import mlx.core as mx
import pytest

from engine.inference.reasoning_limit import ReasoningLimit
from engine.tokens.channels import Channel, Channels, end_of_reasoning
from tests.helpers.families import ANSWER, GRAINS, NAMES, Family, of_grain


@pytest.fixture(scope="module", params=[pair for pair in product(NAMES, GRAINS[:2]) if of_grain(*pair)], ids="-".join)
def family(request, tmp_path_factory):
    name, grain = request.param
    return Family(name, grain, tmp_path_factory.mktemp("families") / name)


def written(family, most, stream):
    """The tokens of an answer whose model writes the stream, and once its reasoning was ended, its answer."""
    prompt, said = family.prompt("answer"), []
    limit = ReasoningLimit(family.tokenizer, prompt, most)
    answer = family.tokenizer.encode_marked(ANSWER)
    wanted = iter(stream)
    size = max(family.tokenizer.ids) + 1
    sample = limit.sampling(lambda logits, _: int(mx.argmax(logits).item()))
    for _ in range(len(stream) + len(answer) + 20):
        token = next(wanted, None)
        if token is None:
            break
        said.append(sample((mx.arange(size) == token).astype(mx.float32)[None], [*prompt, *said]))
        if said[-1] != token:  # the end of reasoning has begun
            rest = end_of_reasoning(family.tokenizer)[1:]
            wanted = iter([*rest, *answer])
    return said


def texts(family, tokens):
    channels = Channels(family.tokenizer, family.prompt("answer"), ())
    events = [event for token in tokens for event in channels.add(token)] + channels.finish()
    return [
        "".join(event.text for event in events if event.channel is each) for each in (Channel.REASONING, Channel.ANSWER)
    ]


def reasoning_tokens(family, tokens):
    channels, count = Channels(family.tokenizer, family.prompt("answer"), ()), 0
    for token in tokens:
        count += channels.reasons
        channels.add(token)
    return count


@pytest.mark.parametrize("most", [0, 1, 7])
def test_reasoning_ends_after_so_many_tokens_and_the_answer_follows(family, most):
    stream = family.tokens("answer")
    reasoned, answered = texts(family, stream)
    said = written(family, most, stream)
    if reasoning_tokens(family, stream) <= most:
        assert said == stream
        return
    shortened, answer = texts(family, said)
    assert reasoning_tokens(family, said) <= most + len(end_of_reasoning(family.tokenizer))
    assert reasoned.startswith(shortened.rstrip("\ufffd"))
    assert len(shortened) < len(reasoned) or not reasoned
    assert answer.strip() == answered.strip() == ANSWER


def test_what_is_shorter_stays_as_it_is(family):
    stream = family.tokens("answer")
    assert written(family, len(stream), stream) == stream
