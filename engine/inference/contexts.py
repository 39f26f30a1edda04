"""The contexts of several conversations: the present one, which is computed, and those put aside in memory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from engine.inference.execution import Context
from engine.inference.kept import BLOCK_TOKENS
from engine.inference.states import ContextState
from engine.tokens.prompt import common_prefix

MAX_CONTEXTS = 64  # put aside: each is compared with every prompt
SHORT_TAIL = 32  # tokens that are sooner computed again than kept in a context of their own


@dataclass
class Label:
    """The conversation that a context belongs to, and what of it is on disk. blocks: names of its first ones.
    kept_tokens: in it when it was written last, or could not be."""

    conversation: str = ""
    blocks: tuple[str, ...] = ()
    kept_tokens: int = 0


@dataclass(frozen=True)
class Remembered:
    """A context that was put aside, or the present one. tokens: in it. points: after how many of them a seeded answer
    may go on. bytes: of memory."""

    tokens: list[int]
    state: ContextState
    points: tuple[int, ...]
    bytes: int
    label: Label

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
    hold(tokens): is asked to let the present one have room for so many, before it is there.
    """

    def __init__(self, context: Context, room: int, *, marks_prompts: bool):
        """marks_prompts: where a prompt ends, the same state is reached every time: the pools are no part of it."""
        self._context, self._marks_prompts = context, marks_prompts
        self.tokens: list[int] = []
        self._room = room
        self._points: list[int] = []  # of the present context, in order
        self._label = Label()
        self._seeded = False
        self._aside: list[Remembered] = []  # the least recently used first
        self.hold: Callable[[int], None] = lambda _: None

    def branches(self, seeded: bool) -> bool:
        """True where a beginning that conversations share is of use to the next only if it is computed by itself."""
        return not self._context.trims or (seeded and self._marks_prompts)

    @property
    def bytes_aside(self) -> int:
        """Bytes of the contexts that were put aside."""
        return sum(each.bytes for each in self._aside)

    def limit(self, room: int) -> None:
        """Let the contexts that were put aside take so many bytes, from now on."""
        self._room = room
        while self._aside and (self.bytes_aside > room or len(self._aside) > MAX_CONTEXTS):
            del self._aside[0]

    @property
    def present(self) -> Remembered:
        """The present context, which goes on changing."""
        state = self._context.state
        return Remembered(self.tokens, state, tuple(self._points), state.bytes, self._label)

    @property
    def all(self) -> list[Remembered]:
        """The present context and the others, the latest first."""
        return [self.present, *reversed(self._aside)]

    def reach(self, prompt: list[int], seeded: bool = False) -> int:
        """The tokens that `find` would return."""
        return max(each.reach(prompt[:-1], seeded) for each in self.all)

    def find(self, prompt: list[int], seeded: bool = False, conversation: str = "", branch: int = 0) -> int:
        """Make the context that has most of a prompt's beginning the present one, with that beginning alone. Its last
        token counts for nothing: its logits are needed. Returns the tokens that are in the context.

        conversation: that the context belongs to from now on. branch: tokens of the prompt that will be computed by
        themselves, as other conversations begin with them as well.
        """
        present, wanted = self.present, prompt[:-1]
        best = max([present, *reversed(self._aside)], key=lambda each: each.reach(wanted, seeded))
        reach = best.reach(wanted, seeded)
        if best is not present:
            self._aside.remove(best)
            self._put_aside(present)
        self._begin_with(best, reach)
        self._label = Label(conversation, best.label.blocks[: reach // BLOCK_TOKENS])
        self._seeded = seeded
        if seeded and self._marks_prompts:
            self._points += [branch, len(wanted)] if reach < branch else [len(wanted)]
        return reach

    def mark(self) -> None:
        """Here an answer has ended, or a part of its prompt: where it is seeded, others may go on from here."""
        if self._seeded and len(self.tokens) not in self._points:
            self._points.append(len(self.tokens))

    def leave(self, tokens: int) -> None:
        """Put the present context aside, and begin with an empty one beside which there is room for so many tokens."""
        self._put_aside(self.present)
        self._take(Remembered([], self._context.state, (), 0, Label()), None, 0)
        self._make_way(tokens)

    def take_up(self, tokens: list[int], state: ContextState, points: Iterable[int], label: Label) -> None:
        """Go on from a context that comes from elsewhere, in the place of the present one."""
        self._take(Remembered(tokens, state, tuple(points), state.bytes, label), state, len(tokens))

    def trim(self, tokens: int) -> int:
        """Keep the first `tokens` tokens of the present context, or fewer where there is no way back to just these.
        Returns how many."""
        kept = self._context.trim(tokens)
        del self.tokens[kept:]
        self._label.blocks = self._label.blocks[: kept // BLOCK_TOKENS]
        self._points = [each for each in self._points if each <= kept]
        return kept

    def forget(self, conversation: str | None = None) -> None:
        """Give up the contexts of a conversation, or all, and their memory."""
        left = [] if conversation is None else [each for each in self._aside if each.label.conversation != conversation]
        gone, self._aside = len(left) < len(self._aside), left
        if conversation in (None, self._label.conversation):
            self._take(Remembered([], self._context.state, (), 0, Label()), None, 0)
            gone = True
        if gone:
            self.hold(len(self.tokens))

    def _begin_with(self, best: Remembered, reach: int) -> None:
        """Make the first `reach` tokens of a context the present one. What it has beyond them is worth keeping, unless
        it is short."""
        tail = len(best.tokens) - reach
        if tail > SHORT_TAIL and best.bytes <= self._room:
            self._put_aside(best, likely=reach <= tail)
            self._make_way(reach)
            self._take(best, best.state.beginning(reach) if reach else None, reach)
        else:
            self._take(best, best.state, len(best.tokens))
            self.trim(reach)

    def _make_way(self, tokens: int) -> None:
        """Let pools give the room that a context of so many tokens needs, before it is there."""
        self._context.take(None)
        if tokens:
            self.hold(tokens)
            self._context.take(None)

    def _take(self, other: Remembered, state: ContextState | None, tokens: int) -> None:
        self._context.take(state)
        self.tokens = other.tokens[:tokens]
        self._points = [each for each in other.points if each <= tokens]
        self._label = other.label

    def _put_aside(self, context: Remembered, likely: bool = True) -> None:
        """Keep a context as long as there is room. likely: that it is wanted again; one most of which has just been
        taken over by another is probably an earlier state of the same conversation, and the first to be let go."""
        if len(context.tokens) > SHORT_TAIL:
            self._aside.insert(len(self._aside) if likely else 0, context)
            self.limit(self._room)
