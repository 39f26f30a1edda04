"""The contexts of several conversations: the present one, which is computed, and those put aside in memory."""

from dataclasses import dataclass

from engine.inference.execution import Context
from engine.inference.states import ContextState
from engine.tokens.prompt import common_prefix

MAX_CONTEXTS = 64  # put aside: each is compared with every prompt
SHORT_TAIL = 32  # tokens that are sooner computed again than kept in a context of their own


@dataclass(frozen=True)
class Remembered:
    """A context that was put aside. tokens: in it. points: after how many of them a seeded answer may go on. bytes: of
    memory."""

    tokens: list[int]
    state: ContextState
    points: tuple[int, ...]
    bytes: int

    def reach(self, prompt: list[int], seeded: bool) -> int:
        """The most tokens of a prompt that are in it, and to which there is a way back."""
        common = common_prefix(self.tokens, prompt)
        if seeded:
            points = (each for each in self.points if each <= common)
            return max((each for each in points if self.state.reach(each) == each), default=0)
        return self.state.reach(common)


class Contexts:
    """The present context and those of other conversations, found by the tokens that they begin with. The least
    recently used are the first to be let go.

    A seeded answer is the same whatever came before. It goes on from where seeded answers and their prompts ended, as
    it would have without what came between: how a token was computed, in a prompt's block or by itself, shows in the
    last bits, and what a predictor left out shows in more. tokens: in the present context. room: bytes for the others.
    """

    def __init__(self, context: Context, room: int, *, marks_prompts: bool):
        """marks_prompts: where a prompt ends, the same state is reached every time: the pools are no part of it."""
        self._context, self._marks_prompts = context, marks_prompts
        self.tokens: list[int] = []
        self._room = room
        self._points: list[int] = []  # of the present context, in order
        self._aside: list[Remembered] = []  # the least recently used first

    @property
    def bytes_aside(self) -> int:
        """Bytes of the contexts that were put aside."""
        return sum(each.bytes for each in self._aside)

    def limit(self, room: int) -> None:
        """Let the contexts that were put aside take so many bytes, from now on."""
        self._room = room
        while self._aside and (self.bytes_aside > room or len(self._aside) > MAX_CONTEXTS):
            del self._aside[0]

    def find(self, prompt: list[int], seeded: bool = False) -> int:
        """Make the context that has most of a prompt's beginning the present one, with that beginning alone. Its last
        token counts for nothing: its logits are needed. Returns the tokens that are in the context."""
        present, wanted = self._present(), prompt[:-1]
        best = max([present, *reversed(self._aside)], key=lambda each: each.reach(wanted, seeded))
        reach = best.reach(wanted, seeded)
        if best is not present:
            self._aside.remove(best)
            self._put_aside(present)
        self._begin_with(best, reach)
        if seeded and self._marks_prompts:
            self._points.append(len(wanted))
        return reach

    def end(self, seeded: bool) -> None:
        """An answer has ended, whatever ended it."""
        if seeded and self._points[-1:] != [len(self.tokens)]:
            self._points.append(len(self.tokens))

    def trim(self, tokens: int) -> int:
        """Keep the first `tokens` tokens of the present context, or fewer where there is no way back to just these.
        Returns how many."""
        kept = self._context.trim(tokens)
        del self.tokens[kept:]
        self._points = [each for each in self._points if each <= kept]
        return kept

    def forget(self) -> None:
        """Give up all contexts."""
        self._aside.clear()
        self.trim(0)

    def _begin_with(self, best: Remembered, reach: int) -> None:
        """Make the first `reach` tokens of a context the present one. What it has beyond them is worth keeping, unless
        it is short."""
        tail = len(best.tokens) - reach
        if tail > SHORT_TAIL and best.bytes <= self._room:
            self._take(best, best.state.beginning(reach) if reach else None, reach)
            self._put_aside(best, likely=reach <= tail)
        else:
            self._take(best, best.state, len(best.tokens))
            self.trim(reach)

    def _take(self, other: Remembered, state: ContextState | None, tokens: int) -> None:
        self._context.take(state)
        self.tokens = other.tokens[:tokens]
        self._points = [each for each in other.points if each <= tokens]

    def _present(self) -> Remembered:
        state = self._context.state
        return Remembered(self.tokens, state, tuple(self._points), state.bytes)

    def _put_aside(self, context: Remembered, likely: bool = True) -> None:
        """Keep a context as long as there is room. likely: that it is wanted again; one most of which has just been
        taken over by another is probably an earlier state of the same conversation, and the first to be let go."""
        if len(context.tokens) > SHORT_TAIL:
            self._aside.insert(len(self._aside) if likely else 0, context)
            self.limit(self._room)
