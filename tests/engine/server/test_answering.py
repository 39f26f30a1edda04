"""The events that a request is told on the engine's thread, whatever happens there."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.errors import CancelledError, PreparedModelError
from engine.server.answering import Answered, AnswerRequest, Began, Failed, Loading, Written, attend
from engine.settings import GenerationOptions
from engine.statistics import Summary


class Answer:
    """An answer of two pieces, after which something may happen."""

    def __init__(self, after=lambda: None):
        self.summary, self._after = Summary(tokens=[1, 2], text="Hello"), after

    def __iter__(self):
        yield "Hel"
        self._after()
        yield "lo"


def loaded(answer):
    return lambda folder, progress: SimpleNamespace(name=folder.name, generate=lambda *_: answer)


def never(*_):
    pytest.fail("nobody asked for that")


@pytest.fixture
def told():
    return []


@pytest.fixture
def request_(told):
    return AnswerRequest(Path("/models/tiny"), "Hi", GenerationOptions(), "editor", told.append)


def test_an_answer_is_told_piece_by_piece_with_its_receipt(request_, told):
    attend(request_, loaded(Answer()), never)
    assert told[:-1] == [Began(), Written("Hel"), Written("lo")]
    assert isinstance(told[-1], Answered)
    assert told[-1].receipt["model"] == "tiny"
    assert told[-1].receipt["tokens"] == 2
    assert "Hello" not in str(told[-1].receipt)


def test_loading_is_told_and_cancelled_at_its_next_step(request_, told):
    def load(_, progress):
        progress(0.5, "reading")
        request_.cancelled.set()
        progress(0.6, "reading")

    attend(request_, load, never)
    assert told[0] == Loading(0.5, "reading")
    assert isinstance(told[1].error, CancelledError)
    assert len(told) == 2


def test_a_request_that_was_cancelled_while_it_waited_loads_nothing(request_, told):
    request_.cancelled.set()
    attend(request_, never, never)
    assert [type(event) for event in told] == [Failed]


@pytest.mark.parametrize("error", [PreparedModelError("It is damaged."), KeyError("a bug"), SystemExit()])
def test_whatever_goes_wrong_is_told(request_, told, error):
    def fails():
        raise error

    attend(request_, loaded(Answer(fails)), never)
    assert told[-1] == Failed(error)


@pytest.mark.parametrize("fails", [False, True])
def test_whoever_hears_the_last_finds_done_what_follows_an_answer(request_, told, fails):
    found = []
    attend(request_, never if fails else loaded(Answer()), never, lambda request: found.append((request, len(told))))
    assert found == [(request_, len(told) - 1)]


def test_what_asks_for_no_rest_and_nothing_else_unloads(request_, told):
    folders = []
    attend(replace(request_, prompt=None, rest_s=0.0), never, folders.append)
    assert folders == [Path("/models/tiny")]
    assert [event.summary.finish_reason for event in told] == ["unload"]


@pytest.mark.parametrize(("prompt", "rest_s"), [(None, None), (None, 1.0), ("Hi", 0.0)])
def test_whatever_asks_for_more_does_not(request_, told, prompt, rest_s):
    attend(replace(request_, prompt=prompt, rest_s=rest_s), loaded(Answer()), never)
    assert isinstance(told[-1], Answered)
