"""The place where Qt meets the engine: threads, order, and what reaches the window."""

import gc
import threading

import pytest

from app.host.engine_host import State
from app.host.engine_protocol import ANSWER, REASONING, TOOL_CALL
from app.host.jobs import AnswerJob
from engine.errors import PreparedModelError
from engine.inference.kept import KeptContexts
from engine.settings import GenerationOptions, Settings
from engine.tokens.channels import Channel
from tests.helpers.fake_engine import (
    Event,
    FakeEngine,
    Gate,
    Piece,
    call_text,
    called,
    thought,
    token_statistics,
)

HELLO = [{"role": "user", "content": "Hello"}]
ORDER = ["reasoning", "answer", "writing", "called"]


def test_everything_reaches_the_gui_thread_in_order(qtbot, ready):
    host = ready(FakeEngine(scripts=[["a", "b", "c"]]))
    seen = []
    host.text_arrived.connect(lambda text: seen.append((text, threading.get_ident())))
    host.finished.connect(lambda summary: seen.append((summary.finish_reason, threading.get_ident())))
    with qtbot.waitSignal(host.finished):
        host.generate(HELLO)
    assert "".join(text for text, _ in seen) == "abcstop"
    assert {thread for _, thread in seen} == {threading.get_ident()}


class ReadingEngine(FakeEngine):
    """Takes its time to read, and can be stopped at every layer."""

    def load(self, path, settings, progress=lambda *_: None):
        for share in (0.25, 0.5, 1.0):
            progress(share, "reading")
            step = self.loads.pop(0) if self.loads else None
            if isinstance(step, Gate):
                step.reached.set()
                step.opened.wait()
        return super().load(path, settings)


def test_reading_is_told_until_the_model_is_loaded(qtbot, make_host):
    host, told = make_host(ReadingEngine()), []
    host.reading.connect(told.append)
    host.loaded.connect(lambda _: told.append("loaded"))
    with qtbot.waitSignal(host.loaded):
        host.load("starter")
    assert told == [0.25, 0.5, 1.0, "loaded"]


def test_choosing_another_model_stops_reading(qtbot, make_host):
    gate = Gate()
    host = make_host(fake := ReadingEngine(loads=[gate]))
    host.load("large")
    assert gate.reached.wait(5)
    host.load("small")
    gate.opened.set()
    with qtbot.waitSignal(host.loaded):
        pass
    assert fake.seen == ["load small"]


def test_reasoning_and_tool_calls_come_apart_from_the_answer_and_in_their_order(qtbot, ready):
    script = [thought("Let me "), thought("see."), "Yes", "!", call_text("<a>"), called("add", n=1), called("stop")]
    host, seen = ready(FakeEngine(scripts=[script])), []
    host.reasoning_arrived.connect(lambda text, seconds: seen.append(("reasoning", text, seconds >= 0)))
    host.text_arrived.connect(lambda text: seen.append(("answer", text)))
    host.call_arrived.connect(lambda text: seen.append(("writing", text)))
    host.tools_called.connect(lambda calls: seen.extend(("called", *call) for call in calls))
    with qtbot.waitSignal(host.finished) as finished:
        host.generate(HELLO)
    whole = {kind: "".join(part[1] for part in seen if part[0] == kind) for kind in ("reasoning", "answer", "writing")}
    assert whole == {"reasoning": "Let me see.", "answer": "Yes!", "writing": "<a>"}
    assert [part[1:] for part in seen if part[0] == "called"] == [("add", {"n": 1}), ("stop", {})]
    assert [kind for kind, *_ in seen] == sorted((kind for kind, *_ in seen), key=ORDER.index)
    assert finished.args[0].reasoning_tokens == 2


def test_the_channels_are_those_of_the_engine():
    assert (REASONING, ANSWER, TOOL_CALL) == (Channel.REASONING, Channel.ANSWER, Channel.TOOL_CALL)


def test_reasoning_lasts_from_its_first_token_to_the_first_that_follows():
    job = AnswerJob(HELLO, GenerationOptions())
    said = [(5.0, thought("a")), (6.0, thought("b")), (8.5, Event(ANSWER, "c")), (20.0, Event(ANSWER, "d"))]
    for moment, event in said:
        job.time_reasoning(moment, Piece((event,), token_statistics()))
    assert job.reasoning_seconds == 3.5


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


def test_a_budget_is_moved_after_the_present_token(qtbot, ready):
    gate = Gate()
    engine = FakeEngine(scripts=[["a", gate, "b", "c"]])
    host = ready(engine)
    host.generate(HELLO)
    qtbot.waitUntil(gate.reached.is_set)
    host.move_budget(20_000_000)
    host.move_budget(15_000_000)
    with qtbot.waitSignal(host.memory_changed):
        gate.opened.set()
    assert host.state is State.ANSWERING or host.recent_tokens.latest
    assert host.model.memory_budget == 15_000_000
    qtbot.waitUntil(lambda: host.state is State.READY)
    assert [each for each in engine.seen if each.startswith("budget")] == ["budget 15000000"]
    assert host.model.planned == engine.model.budget.items
    with qtbot.waitSignal(host.loaded):
        host.reload()
    assert host.model.memory_budget == 15_000_000


def test_while_nothing_is_asked_a_short_system_is_helped(qtbot, ready, monkeypatch):
    monkeypatch.setattr("app.host.engine_thread.LOOK_S", 0.01)
    engine = FakeEngine()
    host = ready(engine)
    engine.model.keep_within_budget = lambda _: engine.model.give_back()
    with qtbot.waitSignal(host.memory_changed):
        pass
    assert host.model.given_bytes > 0
    engine.model.keep_within_budget = lambda _: None


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


def test_a_context_is_kept_once_the_engine_is_idle(qtbot, make_host, monkeypatch, tmp_path):
    monkeypatch.setattr("app.host.engine_thread.LOOK_S", 0.05)
    engine, files = FakeEngine(scripts=[["a"], ["b"]]), KeptContexts(tmp_path)
    host = make_host(engine)
    host.keep_in(files)
    with qtbot.waitSignal(host.loaded):
        host.load("starter")
    assert engine.kept_in is files
    for count in (1, 2):
        with qtbot.waitSignal(host.finished):
            host.generate(HELLO, GenerationOptions(conversation="a"))
        qtbot.waitUntil(lambda count=count: engine.seen.count("keep contexts") == count)
    assert [options.conversation for options in engine.options] == ["a", "a"]
