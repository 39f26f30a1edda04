"""An engine that says what it is told to: for tests of what protocols make of it."""

import threading
import time
from itertools import zip_longest
from types import SimpleNamespace

from engine.server.answering import Answered, AnswerRequest, Began, Failed, InMemory, Written, receipt
from engine.statistics import Summary
from engine.tokens.channels import Channel, ChannelEvent, ToolCall

REASONING, ANSWER, TOOL = Channel.REASONING, Channel.ANSWER, Channel.TOOL_CALL
WEATHER = ToolCall("get_weather", {"city": "Zürich", "days": 2})
TIME = ToolCall("get_time", {})
SAID = (  # a piece each
    (ChannelEvent(REASONING, "Let me "),),
    (ChannelEvent(REASONING, "see."),),
    (ChannelEvent(ANSWER, "It is"), ChannelEvent(ANSWER, " cold.")),
    (ChannelEvent(TOOL, '{"name": "get_weather"'),),
    (ChannelEvent(TOOL, ', "arguments": {}}'), ChannelEvent(TOOL, "", (WEATHER,)), ChannelEvent(ANSWER, "\n")),
    (ChannelEvent(TOOL, "get_time"), ChannelEvent(TOOL, "", (TIME,)), ChannelEvent(ANSWER, "\n")),
)
REASONED, TEXT = "Let me see.", "It is cold."


def piece(events, logprobs=None):
    """A token's part of an answer."""
    return SimpleNamespace(events=events, channel=events[-1].channel, logprobs=logprobs)


def noted(text, logprob=-0.5):
    """The probability of a token, and of the two that are likeliest."""
    top = [SimpleNamespace(text=each, logprob=value) for each, value in ((text, logprob), (b"\xc3", -2.0))]
    return SimpleNamespace(chosen=top[0], top=top)


class ScriptedAnswering:
    """Answers each request with the same pieces. waits: after the first of them, or after `before`, until the request
    is cancelled.
    pause_s: before each piece.
    error, breaks: it fails with this, before or after them. refusal: raised instead of taking a request."""

    def __init__(
        self,
        said=SAID,
        error=None,
        waits=False,
        finish_reason="stop",
        refusal=None,
        breaks=None,
        logprobs=(),
        before=(),
        pause_s=0.0,
    ):
        self.said, self.error, self.waits, self.refusal, self.breaks = said, error, waits, refusal, breaks
        self.pause_s = pause_s
        self.logprobs, self.before = logprobs, before  # of each piece; events before the first
        self.summary = Summary(prompt_tokens=10, cached_tokens=4, tokens=[7] * len(said), reasoning_tokens=2)
        self.summary.finish_reason = finish_reason
        self.requests: list[AnswerRequest] = []
        self.cancelled = threading.Event()
        self.in_memory: InMemory | None = None

    def submit(self, request):
        if self.refusal:
            raise self.refusal
        self.requests.append(request)
        threading.Thread(target=self._answer, args=(request,), daemon=True).start()

    def _answer(self, request):
        if self.error:
            request.told(Failed(self.error))
            return
        request.told(Began())
        for event in self.before:
            request.told(event)
            if self.waits and event is self.before[-1]:
                self._wait(request)
                return
        for events, probabilities in zip_longest(self.said, self.logprobs):
            time.sleep(self.pause_s)
            request.told(Written(piece(events, probabilities)))
            if self.waits:
                self._wait(request)
                return
        if self.breaks:
            request.told(Failed(self.breaks))
            return
        request.told(Answered(self.summary, receipt("starter", self.summary)))

    def _wait(self, request):
        request.cancelled.wait(30)
        self.cancelled.set()


def wait_until(true, seconds=30):
    """For what another thread will do."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    assert true()
