"""Programs beside the window: one engine thread, the window first, each its own model."""

import json
import socket
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest

from app.host.engine_host import State
from engine.server.answering import Answered, AnswerRequest, Failed, Written
from engine.settings import GenerationOptions
from tests.helpers.fake_engine import FakeEngine, Gate

HELLO = [{"role": "user", "content": "Hello"}]
PATIENCE_S = 30


class Asked:
    """A request of a program, and what it was told."""

    def __init__(self, model="starter", program="editor"):
        self.events, self.over = [], threading.Event()
        self.request = AnswerRequest(Path(model), HELLO, GenerationOptions(), program, self._told)

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


@pytest.fixture
def ready(qtbot, make_host):
    def make(engine):
        host = make_host(engine)
        with qtbot.waitSignal(host.loaded):
            host.load("starter")
        return host

    return make


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
