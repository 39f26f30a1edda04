"""The constraint of an answer: tokens that its grammar allows, and those that it leaves no choice about."""

from collections import deque
from collections.abc import Sequence

import mlx.core as mx
import numpy as np
from llguidance import LLMatcher

from engine.errors import SchemaError
from engine.inference.sampling import Sample
from engine.settings import GenerationOptions
from engine.text import shown
from engine.tokens.channels import state_at
from engine.tokens.grammar import Grammar, grammar_of
from engine.tokens.tokenizer import Tokenizer


class Constraint:
    """Follows an answer, token by token, as one thread chooses them.

    calls: the format of calls, where it is not the model's own. forced: tokens that come next, whatever the model says.
    length: of the answer, in tokens, once nothing can follow; None before.
    begun: what is said of the answer already. Raises SchemaError where that cannot be held to the grammar any more.
    """

    def __init__(self, tokenizer: Tokenizer, grammar: Grammar, begun: str = ""):
        vocabulary, self.calls = tokenizer.vocabulary, grammar.calls
        self._size, self._ends = len(vocabulary.tokens), tokenizer.eos_token_ids
        self._matcher = LLMatcher(vocabulary.matching, LLMatcher.grammar_from_lark(grammar.rules), log_level=0)
        self._check()
        self.forced: deque[int] = deque()
        self.length: int | None = None
        self._chosen = 0
        before = vocabulary.matching.tokenize_str(begun)
        if self._matcher.try_consume_tokens(before) < len(before):
            raise SchemaError("The answer that was begun cannot be held to the schema any more.")
        self._look_ahead()

    def sampling(self, sample: Sample) -> Sample:
        """A way to choose tokens, held to the constraint: it is asked once for each token of the answer, in turn."""

        def choose(logits: mx.array, before: Sequence[int]) -> int:
            if self.length is not None:
                return min(self._ends, default=0)
            self._chosen += 1
            token = self.forced.popleft() if self.forced else self._choose(sample, logits, before)
            if not self.forced and self._matcher.is_stopped():
                self.length = self._chosen
            return token

        return choose

    def _choose(self, sample: Sample, logits: mx.array, before: Sequence[int]) -> int:
        token = sample(mx.where(self._allowed(logits.shape[-1]), logits, -mx.inf), before)
        if token not in self._ends:
            self._matcher.consume_token(token)
            self._look_ahead()
        return token

    def _allowed(self, size: int) -> mx.array:
        """The tokens that may come next: true or false, [vocabulary]."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        allowed = np.zeros(size, np.bool_)
        known = min(size, self._size)
        allowed[:known] = np.unpackbits(bits, bitorder="little")[:known]
        return mx.array(allowed)

    def _look_ahead(self) -> None:
        self._check()
        self.forced.extend(self._matcher.compute_ff_tokens())
        self._matcher.consume_tokens(list(self.forced))
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            reason = shown(self._matcher.get_error().split("\n<non-verbose/>")[0])
            raise SchemaError("The answer cannot be held to the schema: {reason}.", reason=reason)


def constraint_of(
    tokenizer: Tokenizer, options: GenerationOptions, prompt: Sequence[int], begun: str | None
) -> Constraint | None:
    """The constraint of an answer that was asked for with these options; None where it is free.

    prompt: its tokens. begun: what is said already of an answer that goes on, or "" for what is no chat's. Raises
    SchemaError, in bounded time.
    """
    state = "normal" if begun is not None else state_at(tokenizer, prompt)
    grammar = grammar_of(tokenizer, options, state, continued=begun is not None)
    return Constraint(tokenizer, grammar, begun or "") if grammar else None
