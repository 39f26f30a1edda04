"""The engine thread of `flashbulb serve`, with real models: one in memory, in turn, freed at the end."""

import math
import queue
import threading
import time
from pathlib import Path

import pytest

from engine.errors import CancelledError, FlashbulbError
from engine.server.answering import Answered, AnswerRequest, Began, BusyError, Failed, Loading, Written
from engine.server.engine_thread import EngineThread
from engine.server.turns import MAX_WAITING
from engine.settings import GenerationOptions, Settings

OPTIONS = GenerationOptions(temperature=0, max_tokens=3)


class Asked(AnswerRequest):
    """A request whose events can be waited for."""

    def __init__(self, folder, prompt="I have two dogs", program="editor", options=OPTIONS, rest_s=None):
        self.events: queue.SimpleQueue = queue.SimpleQueue()
        super().__init__(Path(folder), prompt, options, program, self.events.put, rest_s)

    def all(self):
        found = [self.events.get(timeout=60)]
        while not isinstance(found[-1], Answered | Failed):
            found.append(self.events.get(timeout=60))
        return found


@pytest.fixture
def thread():
    threads = []

    def start(**how):
        threads.append(EngineThread(Settings(window=2), **how))
        threads[-1].start()
        return threads[-1]

    yield start
    for each in threads:
        assert each.stop(30)


def test_an_answer_is_told_from_its_beginning_to_its_end(thread, tiny_model):
    engine, asked = thread(), Asked(tiny_model)
    engine.submit(asked)
    events = [event for event in asked.all() if not isinstance(event, Loading)]
    assert isinstance(events[0], Began)
    assert all(isinstance(event, Written) for event in events[1:-1])
    assert events[-1].summary.prompt_tokens > 0
    assert events[-1].receipt["tokens"] == len(events) - 2


def test_models_take_turns_in_memory_and_one_that_is_there_stays(thread, tiny_model):
    engine = thread(first=tiny_model)
    ends = []
    for model in (tiny_model, tiny_model, "starter", tiny_model):
        engine.submit(asked := Asked(model))
        ends.append(asked.all()[-1])
    assert [end.receipt["model"] for end in ends] == ["tiny-opt", "tiny-opt", "Starter", "tiny-opt"]
    assert ends[1].summary.cached_tokens > 0
    assert ends[3].summary.cached_tokens == 0


def test_the_model_in_memory_is_used_by_all_that_want_it_before_another_is_loaded(thread, tiny_model):
    engine, all_are_there = thread(), threading.Event()
    models = [tiny_model, "starter", tiny_model, "starter"]
    asked = [Asked(model, program=f"program {number}") for number, model in enumerate(models)]
    first = asked[0]
    first.told = lambda event: (all_are_there.wait(30), first.events.put(event))
    for each in asked:
        engine.submit(each)
    all_are_there.set()
    cached = [each.all()[-1].summary.cached_tokens for each in asked]
    assert [tokens > 0 for tokens in cached] == [False, False, True, True]


def test_a_model_is_unloaded_after_a_rest_and_loaded_again(thread, tiny_model):
    engine = thread(rest_s=0.05)
    for _ in range(2):
        engine.submit(asked := Asked(tiny_model))
        assert asked.all()[-1].summary.cached_tokens == 0
        end = time.monotonic() + 30
        while engine.in_memory is not None and time.monotonic() < end:
            time.sleep(0.01)
        assert engine.in_memory is None


def test_a_request_says_how_long_its_model_stays(thread, tiny_model):
    engine = thread(rest_s=0.0)
    engine.submit(asked := Asked(tiny_model, rest_s=math.inf))
    engine.submit(silent := Asked(tiny_model))
    assert isinstance(asked.all()[-1], Answered)
    assert silent.all()[-1].summary.cached_tokens > 0
    present = engine.in_memory
    assert (present.folder, present.rest_s) == (tiny_model, None)
    assert present.bytes > 0
    assert present.context > 0


def test_a_model_is_unloaded_at_once_where_that_is_asked(thread, tiny_model):
    engine = thread()
    engine.submit(asked := Asked(tiny_model))
    assert isinstance(asked.all()[-1], Answered)
    for folder, left in ((Path("starter"), tiny_model), (tiny_model, None)):
        engine.submit(asked := Asked(folder, prompt=None, rest_s=0))
        assert asked.all()[-1].summary.finish_reason == "unload"
        assert (engine.in_memory and engine.in_memory.folder) == left


def test_nothing_to_answer_loads_the_model(thread, tiny_model):
    engine = thread()
    engine.submit(asked := Asked(tiny_model, prompt=None))
    assert asked.all()[-1].summary.finish_reason == "load"
    assert engine.in_memory.folder == tiny_model


def test_a_model_that_cannot_be_loaded_fails_and_the_next_is_answered(thread, tiny_model, tmp_path):
    engine = thread(first=tmp_path / "nothing")
    engine.submit(lost := Asked(tmp_path / "nothing"))
    engine.submit(asked := Asked(tiny_model))
    assert isinstance(lost.all()[-1].error, FlashbulbError)
    assert isinstance(asked.all()[-1], Answered)


def test_a_request_that_is_cancelled_ends_and_the_next_is_answered(thread, tiny_model):
    engine = thread()
    long = Asked(tiny_model, options=GenerationOptions(max_tokens=10**6))
    long.told = lambda event: (
        (long.cancelled.set(), long.events.put(event)) if isinstance(event, Written) else long.events.put(event)
    )
    engine.submit(long)
    engine.submit(asked := Asked(tiny_model, program="another"))
    *_, written, end = long.all()
    assert isinstance(written, Written)
    assert isinstance(end.error, CancelledError)
    assert isinstance(asked.all()[-1], Answered)


def test_what_nobody_waits_for_makes_way_and_is_told(thread, tiny_model):
    engine = thread()
    busy = Asked(tiny_model, options=GenerationOptions(max_tokens=10**6))
    engine.submit(busy)
    assert isinstance(busy.events.get(timeout=60), Began | Loading)
    waiting = [Asked(tiny_model) for _ in range(MAX_WAITING)]
    for each in waiting:
        engine.submit(each)
    with pytest.raises(BusyError):
        engine.submit(Asked(tiny_model))
    waiting[5].cancelled.set()
    engine.submit(last := Asked(tiny_model))
    assert isinstance(waiting[5].all()[-1].error, CancelledError)
    for each in (busy, *waiting):
        each.cancelled.set()
    assert isinstance(last.all()[-1], Answered)


def test_stopping_cancels_what_is_under_way_and_what_waits(tiny_model):
    engine = EngineThread(Settings(window=2))
    engine.start()
    asked = [Asked(tiny_model, options=GenerationOptions(max_tokens=10**6)) for _ in range(2)]
    for each in asked:
        engine.submit(each)
    assert isinstance(asked[0].events.get(timeout=60), Began | Loading)
    assert engine.stop(30)
    assert [isinstance(each.all()[-1], Failed | Answered) for each in asked] == [True, True]
