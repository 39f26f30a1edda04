"""Programs beside the window: one engine thread, the window first, each its own model."""

import json
import math
import queue
import socket
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from app.host import events as host_events
from app.host.deadline import Deadline
from app.host.engine_host import State
from app.host.engine_thread import EngineThread
from app.host.jobs import AnswerJob, LoadJob
from engine.errors import CancelledError
from engine.server.answering import Answered, AnswerRequest, Failed, Written
from engine.server.rest import USUAL_REST_S
from engine.settings import GenerationOptions, Settings
from tests.helpers.fake_engine import FakeEngine, Gate

HELLO = [{"role": "user", "content": "Hello"}]
PATIENCE_S = 30


class Asked:
    """A request of a program, and what it was told."""

    def __init__(self, model="starter", program="editor", prompt=HELLO, rest_s=None):
        self.events, self.over = [], threading.Event()
        self.request = AnswerRequest(Path(model), prompt, GenerationOptions(), program, self._told, rest_s)

    def _told(self, event):
        self.events.append(event)
        if isinstance(event, Answered | Failed):
            self.over.set()

    def wait(self):
        assert self.over.wait(PATIENCE_S)
        return self.events[-1]

    @property
    def written(self):
        return [event.piece for event in self.events if isinstance(event, Written)]


def loads(engine):
    return [seen for seen in engine.seen if seen.startswith("load")]


def test_a_program_is_answered_by_the_windows_model(ready):
    engine = FakeEngine(scripts=[["a", "b"]])
    host, asked = ready(engine), Asked()
    host.submit(asked.request)
    assert isinstance(asked.wait(), Answered)
    assert len(asked.written) == 2
    assert loads(engine) == ["load starter"]


def test_the_windows_question_goes_before_those_that_programs_asked_first(qtbot, ready):
    gate, order = Gate(), []
    engine = FakeEngine(scripts=[[gate, "first"], ["window"], ["second"], ["third"]])
    host, first, second, third = ready(engine), Asked(), Asked(), Asked(program="agent")
    for asked in (first, second, third):
        host.submit(asked.request)
    assert gate.reached.wait(PATIENCE_S)
    host.text_arrived.connect(order.append)
    with qtbot.waitSignal(host.finished):
        host.generate(HELLO)
        gate.opened.set()
    assert order == ["window"]
    assert first.over.is_set()
    for asked in (second, third):
        assert isinstance(asked.wait(), Answered)


def test_another_model_is_loaded_for_a_program_and_the_windows_own_again(qtbot, ready):
    engine = FakeEngine(scripts=[["a"], ["b"]])
    host, asked, said = ready(engine), Asked(model="another"), []
    host.submit(asked.request)
    assert isinstance(asked.wait(), Answered)
    host.reading.connect(said.append)
    with qtbot.waitSignal(host.finished):
        host.generate(HELLO)
    assert loads(engine) == ["load starter", "load another", "load starter"]
    assert said == [0.0]
    assert host.state is State.READY


def test_what_programs_wait_for_is_cancelled_when_the_window_ends(qtbot, ready):
    gate = Gate()
    host, present, waiting = ready(FakeEngine(scripts=[[gate, "a"]])), Asked(), Asked()
    for asked in (present, waiting):
        host.submit(asked.request)
    assert gate.reached.wait(PATIENCE_S)
    assert host.shutdown()
    assert isinstance(present.wait(), Failed)
    assert isinstance(waiting.wait(), Failed)


class Clock:
    """Seconds that pass when a test wants it."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def thread(monkeypatch):
    """`thread(engine)`: the engine's thread, on a clock of its own, and what it reports."""
    monkeypatch.setattr("app.host.engine_thread.LOOK_S", 0.01)
    threads = []

    def start(engine):
        reported = queue.SimpleQueue()
        threads.append(EngineThread(engine, lambda job, event: reported.put((job, event)), clock := Clock()))
        return threads[-1], clock, reported

    yield start
    for each in threads:
        each.finish()
        assert each.join(Deadline.of_the_end())


def event_of(reported, job, kind):
    """The next event of a job that is of a kind."""
    while True:
        owner, event = reported.get(timeout=PATIENCE_S)
        assert not isinstance(event, host_events.Failed) or kind is host_events.Failed
        if owner is job and isinstance(event, kind):
            return event


def load(thread, reported, model="starter"):
    """Load the window's model."""
    thread.submit(job := LoadJob(model, Settings()))
    event_of(reported, job, host_events.Loaded)


def ask(thread, **how):
    """Have a program answered."""
    thread.attend((asked := Asked(**how)).request)
    assert isinstance(asked.wait(), Answered)


def wait_until(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_windows_model_is_back_once_a_programs_has_rested(thread):
    engine = FakeEngine()
    host, clock, reported = thread(engine)
    load(host, reported)
    ask(host, model="another")
    assert (host.in_memory.folder, host.in_memory.rest_s) == (Path("another"), USUAL_REST_S)
    clock.now += USUAL_REST_S - 1
    ask(host, model="another")
    clock.now += USUAL_REST_S - 1
    assert host.in_memory.rest_s == 1
    clock.now += 1
    event_of(reported, None, host_events.MemoryChanged)
    assert (host.in_memory.folder, host.in_memory.rest_s) == (Path("starter"), None)
    assert loads(engine) == ["load starter", "load another", "load starter"]
    clock.now += 10 * USUAL_REST_S
    ask(host, model="starter")
    assert loads(engine)[3:] == []


def test_a_program_says_how_long_its_model_stays_and_cannot_unload_the_windows(thread):
    engine = FakeEngine()
    host, _, reported = thread(engine)
    load(host, reported)
    ask(host, model="starter", prompt=None, rest_s=0)
    ask(host, model="starter", rest_s=0)
    assert (host.in_memory.folder, host.in_memory.rest_s) == (Path("starter"), None)
    ask(host, model="another", rest_s=0)
    event_of(reported, None, host_events.MemoryChanged)
    assert host.in_memory.folder == Path("starter")
    ask(host, model="another", rest_s=math.inf)
    assert host.in_memory.rest_s is None
    ask(host, model="another", prompt=None, rest_s=0)
    assert host.in_memory.folder == Path("starter")


def test_without_a_model_of_the_window_a_program_s_is_unloaded_and_nothing_is_looked_at_any_more(thread):
    engine = FakeEngine()
    host, clock, _ = thread(engine)
    ask(host, model="another")
    looks = []
    engine.model.keep_within_budget = looks.append
    wait_until(lambda: looks)
    clock.now += USUAL_REST_S
    wait_until(lambda: host.in_memory is None)
    assert engine.seen[-1] == "close"
    looked = len(looks)
    time.sleep(0.1)
    assert len(looks) == looked


def test_a_model_that_does_not_come_back_is_loaded_when_the_window_asks(thread):
    engine = FakeEngine(loads=[None, None, KeyError("broken")])
    host, clock, reported = thread(engine)
    load(host, reported)
    ask(host, model="another")
    clock.now += USUAL_REST_S
    wait_until(lambda: len(loads(engine)) == 3)
    wait_until(lambda: host.in_memory is None)
    host.submit(job := AnswerJob(HELLO, GenerationOptions()))
    event_of(reported, job, host_events.Answered)
    assert host.in_memory.folder == Path("starter")


class SlowEngine(FakeEngine):
    """Tells of a load again and again until its gate is open; `broken` is set where it is told to stop."""

    def __init__(self):
        super().__init__()
        self.gate, self.slow, self.broken = Gate(), False, threading.Event()

    def load(self, path, settings, progress=lambda *_: None):
        while self.slow and not self.gate.opened.is_set():
            self.gate.reached.set()
            try:
                progress(0.5, "reading")
            except CancelledError:
                self.broken.set()
                raise
            time.sleep(0.001)
        return super().load(path, settings)


@pytest.fixture
def coming_back(thread):
    """The window's model is coming back, slowly."""
    engine = SlowEngine()
    host, clock, reported = thread(engine)
    load(host, reported)
    ask(host, model="another")
    engine.slow = True
    clock.now += USUAL_REST_S
    assert engine.gate.reached.wait(PATIENCE_S)
    return host, engine, reported


def test_who_asks_while_the_windows_model_comes_back_is_told_how_far_it_is(coming_back):
    host, engine, reported = coming_back
    host.submit(job := AnswerJob(HELLO, GenerationOptions()))
    assert event_of(reported, job, host_events.Reading).share == 0.5
    engine.gate.opened.set()
    event_of(reported, job, host_events.Answered)
    assert loads(engine) == ["load starter", "load another", "load starter"]


def test_who_wants_another_model_does_not_wait_for_it(coming_back):
    host, engine, reported = coming_back
    host.submit(job := LoadJob("third", Settings()))
    assert engine.broken.wait(PATIENCE_S)
    engine.gate.opened.set()
    event_of(reported, job, host_events.Loaded)
    assert loads(engine)[2:] == ["load third"]


def test_the_end_does_not_wait_for_it_either(coming_back):
    host, engine, _ = coming_back
    host.finish()
    assert engine.broken.wait(PATIENCE_S)
    assert host.join(Deadline.of_the_end())
    assert engine.seen[-1] == "release"


def test_a_budget_that_is_moved_is_the_budget_of_all_models(thread):
    engine = FakeEngine()
    host, _, reported = thread(engine)
    load(host, reported)
    ask(host, model="another")
    host.move_budget(20_000_000)
    wait_until(lambda: "budget 20000000" in engine.seen)
    assert engine.model.settings.memory_budget == 20_000_000
    ask(host, model="another", prompt=None, rest_s=0)
    assert engine.model.settings.memory_budget == 20_000_000
    assert host.in_memory.folder == Path("starter")


@pytest.fixture
def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def chat(port, **headers):
    """A chat of a program over HTTP: the status, and what came back."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    body = json.dumps({"model": "starter", "messages": HELLO})
    connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json", **headers})
    reply = connection.getresponse()
    content = json.loads(reply.read())
    connection.close()
    return reply.status, content


def test_programs_ask_over_http_while_that_is_allowed(qtbot, ready, free_port):
    host = ready(FakeEngine(scripts=[["Hel", "lo"]]))
    with qtbot.waitSignals([host.serving.changed, host.serving.changed], timeout=60_000):
        host.serving.follow(True, False, free_port)
    assert host.serving.address == f"http://127.0.0.1:{free_port}"
    status, content = chat(free_port, **{"user-agent": "editor/1.0"})
    assert (status, content["choices"][0]["message"]["content"]) == (200, "Hello")
    assert [program.name for program in host.serving.connected] == ["editor"]
    with qtbot.waitSignals([host.serving.changed, host.serving.changed], timeout=60_000):
        host.serving.follow(False, False, free_port)
    assert (host.serving.address, host.serving.connected) == ("", [])
    with pytest.raises(ConnectionRefusedError):
        chat(free_port)


def test_a_key_is_asked_for_where_it_is_needed(qtbot, ready, free_port, monkeypatch):
    monkeypatch.setenv("FLASHBULB_SERVER_KEY", "a key of mine")
    host = ready(FakeEngine(scripts=[["Hello"]]))
    with qtbot.waitSignals([host.serving.changed, host.serving.changed], timeout=60_000):
        host.serving.follow(True, True, free_port)
    assert host.serving.key == "a key of mine"
    assert chat(free_port)[0] == 401
    assert chat(free_port, authorization="Bearer a key of mine")[0] == 200


def test_a_port_that_another_program_has_is_said(qtbot, ready, free_port):
    host = ready(FakeEngine())
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        with qtbot.waitSignals([host.serving.changed, host.serving.changed], timeout=60_000):
            host.serving.follow(True, False, free_port)
    assert host.serving.address == ""
    assert f"port {free_port}" in host.serving.problem


def test_only_what_was_wanted_last_is_told(qtbot, ready, free_port):
    host = ready(FakeEngine())
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        host.serving.follow(True, False, free_port)
        host.serving.follow(True, False, other.getsockname()[1])
        qtbot.waitUntil(lambda: bool(host.serving.problem), timeout=60_000)
    assert host.serving.address == ""
    host.serving.follow(True, False, free_port)
    qtbot.waitUntil(lambda: bool(host.serving.address), timeout=60_000)
    assert host.serving.problem == ""
