"""The last requests of other programs, for a window that shows them: in memory only, and only while that is wanted."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what is only imported when it is wanted
    from engine.server.answering import Answering, AnswerRequest, Event, InMemory, Prompt

MAX_REQUESTS = 10  # that are remembered
MAX_WORDS_CHARACTERS = 120  # characters


@dataclass(frozen=True)
class Overheard:
    """A request. words: the first of its last message. tokens: of its answer; None as long as there is none.

    over: True once it is answered, cancelled or failed.
    """

    program: str
    model: str
    words: str
    tokens: int | None = None
    tokens_per_second: float = 0.0
    over: bool = False


class Overhearing:
    """Passes requests on to an engine, and remembers the last ones while `wanted`. Any thread may use it."""

    def __init__(self, answering: "Answering"):
        self._answering = answering
        self._lock = threading.Lock()
        self._wanted = False
        self._heard: dict[object, Overheard] = {}  # the oldest first

    @property
    def wanted(self) -> bool:
        """True while requests are remembered. False forgets them, and what is still to be said of them too."""
        return self._wanted

    @wanted.setter
    def wanted(self, wanted: bool) -> None:
        with self._lock:
            self._wanted = wanted
            if not wanted:
                self._heard.clear()

    @property
    def heard(self) -> list[Overheard]:
        """The last requests, the latest first."""
        with self._lock:
            return [*self._heard.values()][::-1]

    @property
    def in_memory(self) -> "InMemory | None":
        """As `Answering` has it."""
        return self._answering.in_memory

    def submit(self, request: "AnswerRequest") -> None:
        """Have it answered. Raises BusyError."""
        if not self._wanted or request.prompt is None:
            self._answering.submit(request)
            return
        key = object()

        def told(event: "Event") -> None:
            self._hear(key, event)
            request.told(event)

        self._remember(key, Overheard(request.program, request.folder.name, first_words(request.prompt)))
        try:
            self._answering.submit(replace(request, told=told))
        except BaseException:
            self._forget(key)
            raise

    def _remember(self, key: object, overheard: Overheard) -> None:
        with self._lock:
            if self._wanted:
                self._heard[key] = overheard
            if len(self._heard) > MAX_REQUESTS:
                del self._heard[next(iter(self._heard))]

    def _forget(self, key: object) -> None:
        with self._lock:
            self._heard.pop(key, None)

    def _hear(self, key: object, event: "Event") -> None:
        from engine.server.answering import Answered, Failed

        with self._lock:
            heard = self._heard.get(key)
            if heard is None:
                return
            if isinstance(event, Answered):
                tokens, rate = len(event.summary.tokens), event.summary.tokens_per_second
                model = str(event.receipt["model"])
                self._heard[key] = replace(heard, model=model, tokens=tokens, tokens_per_second=rate, over=True)
            elif isinstance(event, Failed):
                self._heard[key] = replace(heard, over=True)


def first_words(prompt: "Prompt") -> str:
    """The first words of what was asked last, in one line; none of a prompt in tokens."""
    if isinstance(prompt, str):
        return _in_one_line(prompt)
    return next((_in_one_line(_text_of(said)) for said in reversed(prompt) if isinstance(said, Mapping)), "")


def _text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    parts: Sequence[Any] = content
    return " ".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))


def _in_one_line(text: str) -> str:
    words = " ".join(text[: 10 * MAX_WORDS_CHARACTERS].split())
    return "".join(c for c in words if c.isprintable())[:MAX_WORDS_CHARACTERS]
