"""The host under random legal actions: one job at a time, answers that never mix, and an end that always comes."""

import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from PySide6.QtCore import QCoreApplication

from app.host.deadline import Deadline
from app.host.engine_host import EngineHost, State
from app.host.events import PROGRESS_EVENTS
from engine.errors import CancelledError, PreparedModelError, ReadError
from engine.settings import Settings
from tests.helpers.fake_engine import FakeEngine, Generation

PATIENCE_S = 10
RESULTS = (None, PreparedModelError, ReadError, ValueError, SystemExit)  # the last as a panic of a library is
MODELS, ENDS = st.sampled_from(["A", "B"]), st.sampled_from(RESULTS)
IDLE = (State.EMPTY, State.READY, State.FAILED)


class WatchedHost(EngineHost):
    """Counts the jobs that were begun, and those that have ended."""

    begun = ended = 0

    def _begin(self, job):
        self.begun += 1
        super()._begin(job)

    def _report(self, job, event):
        super()._report(job, event)
        self.ended += not isinstance(event, PROGRESS_EVENTS)


class SteppedEngine(FakeEngine):
    """Stands still in each call until the test says how that ends."""

    def __init__(self):
        super().__init__()
        self.standing, self.go_on = threading.Event(), threading.Event()
        self.result: type[BaseException] | None = None
        self.cancelled: threading.Event | None = None
        self.calls = 0

    def wait(self, cancelled: threading.Event | None = None) -> None:
        self.calls += 1
        assert self.calls == 1, "two jobs at a time"
        self.cancelled = cancelled
        self.standing.set()
        while not self.go_on.wait(0.001):
            if self.is_cancelled():
                break
        self.standing.clear()
        self.go_on.clear()
        self.calls -= 1
        result, self.result = self.result, None
        if result is not None:
            raise result("as the test wants it")

    def is_cancelled(self) -> bool:
        return self.cancelled is not None and self.cancelled.is_set()

    def load(self, path, settings, *more):
        self.wait()
        model = super().load(path, settings, *more)
        model.name = path
        model.generate = lambda messages, options, cancelled, progress: SteppedAnswer(self, model, messages, cancelled)
        return model

    def prove(self, model, settings, progress, cancelled):
        self.wait(cancelled)
        if cancelled.is_set():
            raise CancelledError("Stopped.")
        return f"proof of {model}"


class SteppedAnswer:
    """Says its own question and the model, in two pieces."""

    def __init__(self, engine, model, messages, cancelled):
        self._engine, self._cancelled = engine, cancelled
        pieces = [f"{messages[-1]['content']} ", f"by {model.name}"]
        self._inner = Generation(pieces, messages, threading.Event())
        self.summary = self._inner.summary

    def __iter__(self):
        pieces = iter(self._inner)
        yield next(pieces)
        self._engine.wait(self._cancelled)
        if self._cancelled.is_set():
            self.summary.finish_reason = "cancelled"
            return
        yield from pieces


class AnyOrder(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.engine = SteppedEngine()
        self.host = WatchedHost(self.engine)
        self.asked, self.text, self.ended = 0, "", []
        self.chosen, self.proofs = None, 0
        self.host.text_arrived.connect(self._on_text)
        self.host.finished.connect(self._on_finished)
        self.host.answer_failed.connect(self._on_failed)
        self.host.proved.connect(self._on_proof)
        self.host.proof_failed.connect(self._on_proof)

    def _on_text(self, text):
        self.text += text

    def _on_finished(self, summary):
        assert self.host.model is not None
        self.ended.append((self.asked, self.text, summary.finish_reason))
        self.text = ""

    def _on_failed(self, _message, _details):
        self.ended.append((self.asked, self.text, "error"))
        self.text = ""

    def _on_proof(self, *_):
        self.proofs -= 1

    # ------------------------------------------------------------------ what a person does
    @rule(model=MODELS)
    def choose(self, model):
        self.chosen = model
        self.host.load(model, Settings())
        self._settle(False)

    @rule()
    def reload(self):
        self.host.reload()
        self._settle(False)

    @precondition(lambda self: self.host.state is State.READY)
    @rule()
    def ask(self):
        assert len(self.ended) == self.asked
        self.asked += 1
        self.host.generate([{"role": "user", "content": f"question {self.asked}"}])
        self._settle(False)

    @rule()
    def stop(self):
        self.host.stop()
        self._settle(False)

    @precondition(lambda self: self.host.state in IDLE)
    @rule()
    def prove(self):
        self.proofs += 1
        self.host.prove("model", Settings())
        self._settle(False)

    @rule()
    def cancel_proof(self):
        self.host.cancel_proof()
        self._settle(False)

    # ------------------------------------------------------------------ what the engine does
    @precondition(lambda self: self.engine.standing.is_set())
    @rule(result=ENDS, seen=st.booleans())
    def go_on(self, result, seen):
        """seen: whether the window hears of it before the next action."""
        self.engine.result = result
        self.engine.standing.clear()
        self.engine.go_on.set()
        self._settle(seen)

    @rule()
    def look(self):
        self._settle(True)

    def _settle(self, seen: bool) -> None:
        """Until nothing happens by itself any more."""
        assert self._until(self._stands)
        while seen:
            QCoreApplication.processEvents()
            assert self._until(self._stands)
            seen = self.host._job is not None and not self.engine.standing.is_set()

    def _stands(self) -> bool:
        if self.engine.standing.is_set():
            return not self.engine.is_cancelled()
        return self.host.begun == self.host.ended

    @invariant()
    def what_is_said_is_so(self):
        if self.host.state in (State.READY, State.ANSWERING):
            assert self.host.model is not None
            assert self.host.model.name == self.chosen
        if self.host.state is State.READY:
            assert len(self.ended) == self.asked
            assert self.proofs == 0
        for number, text, finish in self.ended[-1:]:
            assert f"question {number} by ".startswith(text[: len(f"question {number} by ")])
            assert finish != "stop" or text.startswith(f"question {number} by ")

    def teardown(self):
        """The end, whatever there was: what waits comes to its end, and everything is released."""
        self._settle(True)
        while self.host.state not in IDLE:
            self.go_on(None, True)
        assert len(self.ended) == self.asked
        assert self.proofs == 0
        assert self.host.shutdown(Deadline(PATIENCE_S))
        assert self.engine.seen[-1] == "release"
        assert len(self.engine.threads) == 1
        self.host.deleteLater()

    def _until(self, condition):
        end = time.monotonic() + PATIENCE_S
        while not condition() and time.monotonic() < end:
            time.sleep(0.0005)
        return condition()


@pytest.mark.usefixtures("qapp")
class TestAnyOrder(AnyOrder.TestCase):
    settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
