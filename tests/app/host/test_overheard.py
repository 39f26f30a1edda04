"""Requests of programs: remembered only while that is wanted."""

from pathlib import Path

import pytest

from app.host.overheard import MAX_REQUESTS, MAX_WORDS_CHARACTERS, Overhearing, first_words
from engine.errors import CancelledError
from engine.server.answering import Answered, AnswerRequest, BusyError, Failed
from engine.settings import GenerationOptions
from engine.statistics import Summary


class Engine:
    """Keeps requests until the test answers them."""

    def __init__(self):
        self.requests, self.busy = [], False

    def submit(self, request):
        if self.busy:
            raise BusyError("Too many requests wait.", 1)
        self.requests.append(request)


def asked(words, told=lambda event: None):
    return AnswerRequest(Path("models/tiny"), [{"role": "user", "content": words}], GenerationOptions(), "editor", told)


def answered():
    return Answered(Summary(finish_reason="stop", tokens=[1, 2, 3]), {"model": "Tiny"})


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def overhearing(engine):
    made = Overhearing(engine)
    made.wanted = True
    return made


def test_nothing_is_remembered_unless_it_is_wanted(engine):
    overhearing = Overhearing(engine)
    request = asked("a secret")
    overhearing.submit(request)
    assert engine.requests == [request]
    overhearing.wanted = True
    engine.requests[0].told(answered())
    assert overhearing.heard == []


def test_a_request_is_remembered_with_what_it_took(engine, overhearing):
    events = []
    request = asked("Hello\n  there", events.append)
    overhearing.submit(request)
    (waiting,) = overhearing.heard
    assert (waiting.program, waiting.model, waiting.words) == ("editor", "tiny", "Hello there")
    assert (waiting.tokens, waiting.over) == (None, False)
    assert engine.requests[0].cancelled is request.cancelled
    engine.requests[0].told(answered())
    (over,) = overhearing.heard
    assert (over.model, over.tokens, over.over) == ("Tiny", 3, True)
    assert [type(event) for event in events] == [Answered]


def test_one_that_fails_is_over_and_one_that_is_not_taken_is_not_remembered(engine, overhearing):
    overhearing.submit(asked("first"))
    engine.requests[0].told(Failed(CancelledError("The request was cancelled.")))
    assert [(heard.tokens, heard.over) for heard in overhearing.heard] == [(None, True)]
    engine.busy = True
    with pytest.raises(BusyError):
        overhearing.submit(asked("second"))
    assert [heard.words for heard in overhearing.heard] == ["first"]


def test_turning_it_off_forgets_all_also_what_ends_later(engine, overhearing):
    overhearing.submit(asked("a secret"))
    overhearing.wanted = False
    assert overhearing.heard == []
    overhearing.wanted = True
    engine.requests[0].told(answered())
    assert overhearing.heard == []


def test_the_last_ones_are_remembered_the_latest_first(overhearing):
    for number in range(MAX_REQUESTS + 3):
        overhearing.submit(asked(str(number)))
    assert [heard.words for heard in overhearing.heard] == [str(n) for n in range(MAX_REQUESTS + 2, 2, -1)]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("Once upon\na time", "Once upon a time"),
        ([1, 2, 3], ""),
        ([], ""),
        ([{"role": "user", "content": "first"}, {"role": "user", "content": "last"}], "last"),
        ([{"role": "user", "content": None}], ""),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "a b"),
        ("a\u202eb\x00c", "abc"),
        ("x" * 100_000, "x" * MAX_WORDS_CHARACTERS),
    ],
)
def test_the_first_words_are_of_what_was_asked_last(prompt, words):
    assert first_words(prompt) == words
