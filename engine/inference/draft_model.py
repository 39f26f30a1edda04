"""The draft model: a small model with the same tokens, which says what a large one will probably say next."""

import logging
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import cast

import mlx.core as mx

from engine.arrays.packed import FEW_VECTORS
from engine.errors import CancelledError, FlashbulbError
from engine.flash.reader import open_reader
from engine.inference.drafts import Answer
from engine.inference.execution import Execution
from engine.planning.memory import Planner
from engine.system.allocator import give_back_free_memory

TRIED_TOKENS = 32  # of a prompt, as it is loaded: what one of them takes
MEDIAN_DRAFTS = 5  # whose median is what a draft takes
log = logging.getLogger(__name__)


class DraftModel:
    """A drafter that is a model, all of it in memory. Its context follows the large model's: it keeps what both have in
    common, and takes in the rest when it is next asked for drafts.

    name: the model's. vocabulary: tokens that it has. room_share: as `Drafter` has it, from whoever plans memory.
    has_failed: True once it was closed as it could not be computed.
    """

    def __init__(self, execution: Execution, planner: Planner, progress: Callable[[float], None] = lambda _: None):
        """execution: nothing of it evaluated yet. planner: of all of it in memory. Raises what loading does."""
        plan, settings = planner.plan(0), planner.settings
        self.name, self.vocabulary = execution.stored.name, execution.sizes.shape(settings).vocabulary
        self._reader = open_reader(threads=1)
        try:
            self._streaming = execution.install(settings, plan, self._reader)
            if self._streaming.can_fill:
                self._streaming.fill(progress)
        except BaseException:
            self._reader.close()
            raise
        self._execution: Execution | None = execution  # None once it is closed
        self._chunk, self._longest = plan.workspace.chunk, planner.most
        self._tokens: list[int] = []  # of its context,
        self._right = 0  # of which so many are known to be the answer's
        self.room_share = 0.0
        self.has_failed = False
        self._seconds: deque[float] = deque(maxlen=MEDIAN_DRAFTS)  # that a draft takes
        self._read_s: deque[float] = deque(maxlen=MEDIAN_DRAFTS)  # that a prompt's token takes
        self._answer = Answer(_likeliest, self.vocabulary)
        self.resize(plan.tokens)
        self._try_out()

    # ------------------------------------------------------------------------------------------------- as a drafter
    @property
    def drafting_s(self) -> float:
        """Seconds that a token's draft takes, as measured."""
        return median(self._seconds)

    def begin(self, answer: Answer) -> None:
        """Another answer begins."""
        self._answer, self._right = answer, 0

    def kind_after(self, known: Sequence[int]) -> Hashable:
        """One kind of all, where it can go on from what is known."""
        if self._execution is None or not self._follows(known):
            return None
        return "next"

    def catching_up_s(self, known: Sequence[int]) -> float:
        """Seconds that a part of a prompt takes which it has not read."""
        missing = len(known) - self._shared(known)
        return missing * median(self._read_s) if missing > FEW_VECTORS else 0.0

    def catch_up(self, known: Sequence[int]) -> None:
        """Read what is known, but for the last token. Raises CancelledError."""
        began, tokens = perf_counter(), list(known[self._go_back(known) : -1])
        with self._guarded():
            self._read(tokens)
        self._read_s.append((perf_counter() - began) / max(1, len(tokens)))

    def draft(self, known: Sequence[int], count: int) -> Sequence[int]:
        """At most so many tokens, as many as there is room for, and none beyond an answer's end."""
        if not count or self._execution is None:
            return []
        began, drafts = perf_counter(), list[int]()
        with self._guarded():
            self._draft(known, min(count, self._rows - len(known) + 1), drafts)
        if drafts:
            self._seconds.append((perf_counter() - began) / len(drafts))
        return drafts

    # ------------------------------------------------------------------------------------------------- as a model
    @property
    def is_open(self) -> bool:
        """False once it was closed, perhaps as it had no room any more."""
        return self._execution is not None

    def resize(self, rows: int) -> None:
        """Have room for so many tokens, or as many as it was made for."""
        if self._execution is None:
            return
        self._rows = min(rows, self._longest)
        if len(self._tokens) > self._rows:
            self._trim(self._rows)
        self._execution.context.resize(self._rows)

    def close(self) -> None:
        """Free memory. It says nothing from now on. Harmless when repeated."""
        if self._execution is None:
            return
        self._streaming.close()
        self._reader.close()
        self._execution, self.room_share = None, 0.0
        del self._streaming
        mx.clear_cache()
        give_back_free_memory()

    def _follows(self, known: Sequence[int]) -> bool:
        """True where there is room for what is known, and it has all of these tokens."""
        return len(known) <= self._rows and max(known[self._shared(known) :]) < self.vocabulary

    def _shared(self, known: Sequence[int]) -> int:
        """Tokens of the context that are known, all but the last, which is always computed: its logits are needed."""
        most = min(len(self._tokens), len(known) - 1)
        while self._right < most and self._tokens[self._right] == known[self._right]:
            self._right += 1
        return self._right

    def _go_back(self, known: Sequence[int]) -> int:
        """Let the context hold nothing but what is known. Returns how many tokens that are."""
        self._trim(self._shared(known))
        return self._right

    def _trim(self, tokens: int) -> None:
        kept = self._open.context.trim(tokens)
        del self._tokens[kept:]
        self._right = min(self._right, kept)

    def _draft(self, known: Sequence[int], count: int, drafts: list[int]) -> None:
        answer, text = self._answer, list(known)
        logits = self._compute(text[self._go_back(known) :])
        self._open.context.mark(1 + count)  # what comes now may be wrong
        while True:
            drafts.append(answer.draw(_as_wide(logits[:, -1], answer.vocabulary), [*text, *drafts]))
            if len(drafts) == count or drafts[-1] in answer.ends or drafts[-1] >= self.vocabulary:
                return
            logits = self._compute(drafts[-1:])

    def _read(self, tokens: list[int]) -> None:
        self._streaming.passes.begin(len(tokens), self._answer.cancelled)
        for block in self._open.blocks(tokens, self._chunk, observed=False):
            self._forward(block, last_only=True)

    def _compute(self, tokens: list[int]) -> mx.array:
        """Logits [1, tokens, vocabulary] of a few tokens, which are appended to the context; of more, of the last."""
        if len(tokens) > FEW_VECTORS:  # there was no way back to just what is known
            self._read(tokens[:-1])
            tokens = tokens[-1:]
        self._streaming.passes.begin(0, self._answer.cancelled)
        return self._forward(tokens, last_only=len(tokens) == 1)

    def _forward(self, tokens: list[int], last_only: bool) -> mx.array:
        self._streaming.passes.current.stop_if_cancelled()
        self._streaming.passes.advance(len(tokens))
        logits = self._open.compute(tokens, last_only)
        if len(tokens) > 1:
            self._streaming.forget_readers()
        self._tokens += tokens
        return logits

    @property
    def _open(self) -> Execution:
        assert self._execution is not None
        return self._execution

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """A block after which the context holds its tokens, whatever happens. A model that fails drafts no more: the
        large one answers all the same."""
        try:
            yield
        except BaseException as error:
            self._streaming.drop()
            self._trim(len(self._tokens))
            if not isinstance(error, FlashbulbError) or isinstance(error, CancelledError):
                raise
            log.warning("%s drafts no more: %s", self.name, error)
            self.has_failed = True
            self.close()

    def _try_out(self) -> None:
        """Compute a few tokens, so that it is known what they take."""
        for seconds, tokens in ((self._seconds, 1), (self._read_s, TRIED_TOKENS), (self._seconds, 1)):
            began = perf_counter()
            self._read([0] * min(tokens, self._rows - len(self._tokens)))
            seconds.append((perf_counter() - began) / tokens)
        self._seconds.popleft()  # the first pass of all takes longer
        self._trim(0)


def _likeliest(logits: mx.array, before: Sequence[int]) -> int:  # noqa: ARG001
    return cast(int, mx.argmax(logits).item())


def _as_wide(logits: mx.array, vocabulary: int) -> mx.array:
    """Logits [1, vocabulary] for the tokens of a vocabulary of which there may be more, or fewer, rows."""
    missing = vocabulary - logits.shape[-1]
    if missing <= 0:
        return logits[:, :vocabulary]
    return mx.concatenate([logits, mx.full((1, missing), -mx.inf, logits.dtype)], axis=-1)
