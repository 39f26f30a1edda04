"""The cost of a token. Every number that the command line or the window shows is defined here, once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

LOOKUP, CERTAIN = "lookup", "certain"  # in the place of a draft model's name: of the text, of what a form prescribes
BundleKind = Literal["neuron", "expert", "block", "row"]


@dataclass(frozen=True)
class PromptProgress:
    """The part of a prompt that is computed, in tokens: a block's are done as its layers are. seconds_left: at the pace
    so far."""

    tokens: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class TokenStatistics:
    """The cost of one decoded token: the paper's three parts of latency (section 3) and what was read.

    io_ms, memory_ms, compute_ms: waiting for flash; bookkeeping of pool and window; all else. They sum to total_ms.
    bytes_read, reads: what was asked of the drive for this token.
    active, loaded, resident: bundles by layer: in the active set; of these, read from flash; in the pool afterwards.
    bundles: all of a layer. kind: what a bundle is. experts: of a model of experts, the ids of those that the token
    used, by layer, in order. active_share: of the neurons in these, those that are not zero; None where all are taken
    to be.
    """

    io_ms: float
    memory_ms: float
    compute_ms: float
    bytes_read: int
    reads: int
    active: tuple[int, ...]
    loaded: tuple[int, ...]
    resident: tuple[int, ...]
    bundles: int
    footprint_bytes: int
    kind: BundleKind = "neuron"
    experts: tuple[tuple[int, ...], ...] = ()
    active_share: float | None = None

    @property
    def total_ms(self) -> float:
        """The latency of the token: its three parts."""
        return self.io_ms + self.memory_ms + self.compute_ms

    @property
    def hit_rate(self) -> float:
        """Share of the active set that was already in the pool; 1.0 where nothing was active."""
        active = sum(self.active)
        return 1.0 - sum(self.loaded) / active if active else 1.0

    def shares(self, tokens: int) -> "Iterator[TokenStatistics]":
        """The cost of each of the tokens that one pass has decided: equal shares of its time and of what was read.
        Whole numbers stay whole, and add up."""
        for i in range(tokens):
            yield replace(
                self,
                io_ms=self.io_ms / tokens,
                memory_ms=self.memory_ms / tokens,
                compute_ms=self.compute_ms / tokens,
                bytes_read=_share(self.bytes_read, i, tokens),
                reads=_share(self.reads, i, tokens),
                loaded=tuple(_share(loaded, i, tokens) for loaded in self.loaded),
            )


def _share(whole: int, part: int, parts: int) -> int:
    return whole * (part + 1) // parts - whole * part // parts


@dataclass
class Summary:
    """The cost of a whole answer. Times in seconds; `per_token` holds means over the decoded tokens.

    cached_tokens: tokens of the prompt that the KV cache still held. read_back_tokens: of these, from disk.
    context_trouble: why what was kept of the conversation on disk was of no use: "damaged", or "other" where it is
    another model's; empty for none. left_early: neurons that left the pool while still
    in the window, because the pool was full. footprint_bytes: the process's highest while it answered. left_out: the
    oldest messages that the context had no room for.
    text: the answer's; reasoning: what came before it, of which reasoning_tokens of the tokens are. tool_calls: those
    that the model asks for, by name and arguments. time_to_first_answer_s: to the first text of the answer itself, 0.0
    where there is none.
    stop_text: the one of the request's that ended the answer; empty where none did.
    passes: of the model, after the prompt's. drafted: tokens that they verified beside those that were known; accepted:
    of these, those that are in the answer. drafters: both counts by the name of what made the drafts: of
    the draft model, LOOKUP or CERTAIN. overlap: the way of using the time that flash takes that was found to be the
    fastest, `none`, `ahead`, `beside` or `both`; empty where that is not known.
    """

    prompt_tokens: int = 0
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    reasoning: str = ""
    reasoning_tokens: int = 0
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = ""
    stop_text: str = ""
    time_to_first_token_s: float = 0.0
    time_to_first_answer_s: float = 0.0
    tokens_per_second: float = 0.0
    prefill_seconds: float = 0.0
    prefill_bytes_read: int = 0
    cached_tokens: int = 0
    read_back_tokens: int = 0
    context_trouble: str = ""
    footprint_bytes: int = 0
    left_early: int = 0
    left_out: int = 0
    passes: int = 0
    drafted: int = 0
    accepted: int = 0
    drafters: dict[str, tuple[int, int]] = field(default_factory=dict)
    overlap: str = ""
    per_token: dict[str, float] = field(default_factory=dict)

    @property
    def tokens_a_pass(self) -> float:
        """Tokens that a pass has decided in the mean; 0.0 where there was none after the prompt's."""
        return (len(self.tokens) - 1) / self.passes if self.passes else 0.0


PER_TOKEN = ("io_ms", "memory_ms", "compute_ms", "total_ms", "bytes_read", "reads", "hit_rate")


def means(statistics: Sequence[TokenStatistics]) -> dict[str, float]:
    """The mean of each figure over `statistics`; bundles are counted over all layers, under the name of their kind.
    Empty for no tokens."""
    if not statistics:
        return {}
    count, kind = len(statistics), statistics[-1].kind
    result = {name: sum(getattr(s, name) for s in statistics) / count for name in PER_TOKEN}
    for name in ("active", "loaded", "resident"):
        result[f"{name}_{kind}s"] = sum(sum(getattr(s, name)) for s in statistics) / count
    shares = [s.active_share for s in statistics if s.active_share is not None]
    if shares:
        result["active_share"] = sum(shares) / len(shares)
    if kind == "expert":
        result["all_experts"] = sum(s.bundles * len(s.active) for s in statistics) / count
    return result
