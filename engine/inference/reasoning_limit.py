"""The limit of an answer's reasoning: after so many tokens, the mark of its end comes, whatever the model says."""

from collections import deque
from collections.abc import Sequence

import mlx.core as mx

from engine.inference.sampling import Sample
from engine.tokens.channels import Channels, end_of_reasoning
from engine.tokens.tokenizer import Tokenizer


class ReasoningLimit:
    """Follows an answer, token by token, as one thread chooses them. most: tokens of reasoning, in all."""

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int], most: int):
        self._channels, self._left = Channels(tokenizer, prompt, ()), most
        self._end = end_of_reasoning(tokenizer)
        self._forced: deque[int] = deque()
        self._ends = False  # the end of this reasoning was written: what comes next says so

    def sampling(self, sample: Sample) -> Sample:
        """A way to choose tokens, held to the limit: it is asked once for each token of the answer, in turn."""

        def choose(logits: mx.array, before: Sequence[int]) -> int:
            reasons = self._channels.reasons
            self._ends = self._ends and reasons
            if reasons and self._left <= 0 and not self._ends:
                self._forced.extend(self._end)
                self._ends = True
            token = sample(_only(logits, self._forced.popleft()) if self._forced else logits, before)
            self._left -= reasons
            self._channels.add(token)
            return token

        return choose


def _only(logits: mx.array, token: int) -> mx.array:
    """Logits [1, vocabulary] with which nothing but a token is chosen."""
    return mx.where(mx.arange(logits.shape[-1]) == token, 0.0, -mx.inf).astype(logits.dtype)[None]
