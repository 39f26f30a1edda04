"""Where Qt meets the engine: threads, order, and what reaches the window."""

import gc
import threading

import pytest

from app.host.engine_host import State
from engine.errors import PreparedModelError
from engine.settings import GenerationOptions, Settings
from tests.helpers.fake_engine import FakeEngine, Gate

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def ready(qtbot, make_host):
    """`ready(engine)`: a host with a loaded model."""

    def make(engine):
        host = make_host(engine)
        with qtbot.waitSignal(host.loaded):
            host.load("starter")
        return host

    return make


def test_everything_reaches_the_gui_thread_in_order(qtbot, ready):
    host = ready(FakeEngine(scripts=[["a", "b", "c"]]))
    seen = []
    host.text_arrived.connect(lambda text: seen.append((text, threading.get_ident())))
    host.finished.connect(lambda summary: seen.append((summary.finish_reason, threading.get_ident())))
    with qtbot.waitSignal(host.finished):
        host.generate(HELLO)
    assert "".join(text for text, _ in seen) == "abcstop"
    assert {thread for _, thread in seen} == {threading.get_ident()}


def test_the_engine_is_used_from_one_thread_that_is_not_the_gui_s(ready):
    engine = FakeEngine()
    ready(engine).shutdown()
    assert len(engine.threads) == 1
    assert threading.get_ident() not in engine.threads
    assert engine.seen == ["load starter", "close", "release"]


def test_settings_and_options_are_passed_on(qtbot, make_host):
    engine = FakeEngine()
    host = make_host(engine)
    with qtbot.waitSignal(host.loaded) as loaded:
        host.load("starter", Settings(window=3, memory_budget=20_000_000, selection="exact"))
    model = loaded.args[0]
    assert (model.selection, model.memory_budget, model.planned_bytes) == ("exact", 20_000_000, 12_200_000)
    with qtbot.waitSignal(host.finished):
        host.generate(HELLO, GenerationOptions(max_tokens=7))
    assert engine.options[0].max_tokens == 7


@pytest.mark.parametrize("outcome", [None, PreparedModelError("No such folder.")])
def test_nobody_looks_for_garbage_while_a_model_is_loaded(qtbot, make_host, outcome):
    gate, done = Gate(), []
    engine = FakeEngine(loads=[outcome])
    load = engine.load

    def load_slowly(*arguments):
        gate.reached.set()
        gate.opened.wait()
        return load(*arguments)

    engine.load = load_slowly
    host = make_host(engine)
    host.loaded.connect(done.append)
    host.load_failed.connect(lambda message, _details: done.append(message))
    host.load("starter")
    qtbot.waitUntil(gate.reached.is_set)
    looking = gc.isenabled()
    gate.opened.set()
    qtbot.waitUntil(lambda: len(done) == 1)
    assert not looking
    assert gc.isenabled()


def test_loading_another_model_closes_the_first(qtbot, ready):
    engine = FakeEngine()
    host = ready(engine)
    with qtbot.waitSignal(host.loaded):
        host.load("other")
    assert engine.seen == ["load starter", "close", "load other"]


def test_a_failed_load_can_be_repeated(qtbot, make_host):
    host = make_host(FakeEngine(loads=[PreparedModelError("damaged")]))
    with qtbot.waitSignal(host.load_failed) as failed:
        host.load("starter")
    assert failed.args == ["damaged", ""]
    assert host.state is State.FAILED
    with qtbot.waitSignal(host.loaded):
        host.reload()


def test_one_answer_at_a_time(qtbot, ready):
    gate = Gate()
    host = ready(FakeEngine(scripts=[["a", gate]]))
    host.generate(HELLO)
    with pytest.raises(RuntimeError, match="answering"):
        host.generate(HELLO)
    with qtbot.waitSignal(host.finished) as finished:
        host.stop()
    assert finished.args[0].finish_reason == "cancelled"


def test_nothing_is_answered_before_a_model_is_loaded(make_host):
    with pytest.raises(RuntimeError, match="empty"):
        make_host(FakeEngine()).generate(HELLO)


def test_what_tokens_cost_is_kept_apart_from_the_prompt(qtbot, ready):
    host = ready(FakeEngine(scripts=[["a", "b", "c"]]))
    with qtbot.waitSignal(host.finished):
        host.generate(HELLO)
    assert len(host.recent_tokens.tokens) == 2


def test_shutting_down_twice_is_harmless(make_host):
    engine = FakeEngine()
    host = make_host(engine)
    host.shutdown()
    host.shutdown()
    assert host.state is State.CLOSED
    assert engine.seen == ["release"]
