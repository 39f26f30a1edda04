"""The receipt under an answer: what it cost, as one line, in detail, and what would make it faster. No widgets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from app.host.engine_host import ModelInfo
from app.widgets import units
from app.widgets.language import tr
from app.widgets.memory_words import weights_in_words
from engine.settings import Selection
from engine.statistics import CERTAIN, LOOKUP, Summary

SMALL_SHARE = 0.1  # of a token's time: more memory saves what waits for flash at most, and so little is hardly any
MAX_FIGURE, MAX_COUNT = 2**53, 2**31 - 1  # of a figure, and of what is counted: Qt counts no further
COUNT_FIELDS = (
    "window",
    "context",
    "prompt_tokens",
    "cached_tokens",
    "read_back_tokens",
    "tokens",
    "reasoning_tokens",
    "left_early",
    "left_out",
    "passes",
    "drafted",
    "accepted",
    "drafted_by_model",
    "accepted_of_model",
    "longer_window",
)
MAX_LEFT_EARLY_SHARE = (
    0.1  # of the neurons that were read, that left early: more than a window that now and then overflows
)


@dataclass(frozen=True)
class Receipt:
    """Taken from the engine's Summary and the model as it was loaded. Bytes and seconds; per_token: the engine's means.

    model_bytes: of the model's files; pool_bytes: the neuron pool's; flash_bytes: of all FFN weights on flash.
    longer_window: one in tokens that would be worth it by the cost model, 0 if none is known; longer_needs: bytes that
    the budget lacks for it.
    read_back_tokens: of the cached ones, from disk; context_trouble: as in Summary.
    reasoning_tokens: of the tokens, those before the answer itself. drafted, accepted: tokens that were guessed ahead,
    and those of them that were right; passes: of the model, after the prompt's. drafted_by_model, accepted_of_model: of
    these, those of draft_model. overlap: as in Summary.
    """

    model: str = ""
    selection: str = ""
    window: int = 0
    memory_budget: int | None = None
    model_bytes: int = 0
    pool_bytes: int = 0
    flash_bytes: int = 0
    context: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    read_back_tokens: int = 0
    context_trouble: str = ""
    tokens: int = 0
    tokens_per_second: float = 0.0
    time_to_first_token_s: float = 0.0
    reasoning_tokens: int = 0
    time_to_first_answer_s: float = 0.0
    prefill_bytes_read: int = 0
    footprint_bytes: int = 0
    left_early: int = 0
    left_out: int = 0
    passes: int = 0
    drafted: int = 0
    accepted: int = 0
    draft_model: str = ""
    drafted_by_model: int = 0
    accepted_of_model: int = 0
    overlap: str = ""
    finish_reason: str = ""
    loss: float | None = None
    longer_window: int = 0
    longer_needs: int = 0
    per_token: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, summary: Summary, model: ModelInfo) -> "Receipt":
        longer_window, longer_needs = model.longer_window or (0, 0)
        by_model = [(name, *counts) for name, counts in summary.drafters.items() if name not in (LOOKUP, CERTAIN)]
        draft_model, drafted_by_model, accepted_of_model = by_model[0] if by_model else ("", 0, 0)
        return cls(
            model=model.name,
            selection=model.selection,
            window=model.window,
            memory_budget=model.memory_budget,
            model_bytes=int(model.model_bytes),
            pool_bytes=int(model.planned.get("pool", 0)),
            flash_bytes=int(model.flash_bytes),
            context=model.context,
            prompt_tokens=summary.prompt_tokens,
            cached_tokens=summary.cached_tokens,
            read_back_tokens=summary.read_back_tokens,
            context_trouble=summary.context_trouble,
            tokens=len(summary.tokens),
            tokens_per_second=summary.tokens_per_second,
            time_to_first_token_s=summary.time_to_first_token_s,
            reasoning_tokens=summary.reasoning_tokens,
            time_to_first_answer_s=summary.time_to_first_answer_s,
            prefill_bytes_read=summary.prefill_bytes_read,
            footprint_bytes=summary.footprint_bytes,
            left_early=summary.left_early,
            left_out=summary.left_out,
            passes=summary.passes,
            drafted=summary.drafted,
            accepted=summary.accepted,
            draft_model=draft_model,
            drafted_by_model=drafted_by_model,
            accepted_of_model=accepted_of_model,
            overlap=summary.overlap,
            finish_reason=summary.finish_reason,
            loss=model.loss,
            longer_window=longer_window,
            longer_needs=longer_needs,
            per_token=summary.per_token,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Receipt | None":
        """None for what is no receipt: it may come from a damaged row, or from another version."""
        kinds = {f.name: type(f.default) if f.name != "per_token" else dict for f in fields(cls)}
        kept = {name: value for name, value in content.items() if _fits(value, kinds.get(name))}
        if any(not 0 <= kept.get(name, 0) <= MAX_COUNT for name in COUNT_FIELDS):
            return None
        return cls(**kept) if kept.keys() - {"model"} else None  # of an answer that never ended, only that is known

    @property
    def context_tokens(self) -> int:
        """Tokens of the context that the conversation took after this answer."""
        return self.prompt_tokens + self.tokens

    @property
    def on_flash_bytes(self) -> int:
        """Weights that had no room in memory; 0 if all had."""
        return max(0, self.flash_bytes - self.pool_bytes)

    @property
    def _of_experts(self) -> bool:
        return "all_experts" in self.per_token

    @property
    def _of_blocks(self) -> bool:
        return "active_blocks" in self.per_token

    @property
    def _streamed(self) -> bool:
        """True if some of the weights came from flash, or could have."""
        cost = self.per_token
        return any(cost.get(name, 0) > 0 for name in ("all_experts", "active_neurons", "bytes_read"))

    @property
    def _cramped(self) -> bool:
        """True if the neuron pool was too small for the window, by so much that it shows."""
        return (
            not self._of_experts
            and not self._of_blocks
            and self.left_early > MAX_LEFT_EARLY_SHARE * self.per_token.get("loaded_neurons", 0) * self.tokens
        )

    # ------------------------------------------------------------------ in words
    def line(self) -> str:
        """In one line: how fast, and why it ended if it is not complete. What was not measured is left out."""
        ended = {
            "cancelled": tr("stopped"),
            "interrupted": tr("interrupted"),
            "length": tr("cut off after %Ln token(s)", None, self.tokens),
            "context": tr("cut off, the context is full"),
        }
        return " · ".join(filter(None, (self._speed(), ended.get(self.finish_reason, ""))))

    def _speed(self) -> str:
        if self.tokens_per_second:
            return f"{units.decimal(self.tokens_per_second, 1)}{units.NO_BREAK_SPACE}" + tr("tok/s")
        return tr("first token {0}").format(units.seconds(self.time_to_first_token_s)) if self.tokens else ""

    def rows(self) -> list[tuple[str, str]]:
        """In detail: names and values."""
        rows = [(tr("Model"), self.model)] if self.model else []
        if self.model_bytes:
            rows.append((tr("Weights"), weights_in_words(self.model_bytes, self.on_flash_bytes)))
        counts = (units.count(n) for n in (self.prompt_tokens, self.cached_tokens, self.tokens))
        rows.append((tr("Tokens"), tr("{0} prompt tokens ({1} from cache), {2} generated").format(*counts)))
        rows += self._rows_of_context()
        if self.reasoning_tokens:
            rows.append((tr("Reasoning"), tr("%Ln token(s) of these", None, self.reasoning_tokens)))
        if self.tokens:
            rows.append((tr("First token"), units.seconds(self.time_to_first_token_s)))
            if self.reasoning_tokens and self.time_to_first_answer_s:
                rows.append((tr("First answer token"), units.seconds(self.time_to_first_answer_s)))
            if self._streamed or self.prefill_bytes_read:
                rows.append((tr("Read for the prompt"), units.size(self.prefill_bytes_read)))
        rows += self._rows_of_drafts() + self._rows_of_a_token()
        if self.selection and not self._of_experts and not self._of_blocks:
            window = tr("{0}, window of %Ln token(s)", None, self.window)
            rows.append((tr("Selection"), window.format(self._selection())))
        if self.footprint_bytes:
            rows.append((tr("Peak memory"), units.size(self.footprint_bytes)))
        return rows

    def _rows_of_context(self) -> list[tuple[str, str]]:
        """The part of the chat that came from disk, or why none did."""
        if self.read_back_tokens:
            return [(tr("Chat"), tr("%Ln token(s) read back from disk", None, self.read_back_tokens))]
        troubles = {
            "damaged": tr("read anew, as what was kept on disk was damaged"),
            "other": tr("read anew, as it was kept for another model or other settings"),
        }
        return [(tr("Chat"), troubles[self.context_trouble])] if self.context_trouble in troubles else []

    def _rows_of_drafts(self) -> list[tuple[str, str]]:
        if not self.drafted:
            return []
        tokens = units.decimal((self.tokens - 1) / max(1, self.passes), 1)
        words = tr("{0} of %Ln drafted token(s) right, {1} tokens a pass", None, self.drafted)
        return [(tr("Drafts"), words.format(units.count(self.accepted), tokens)), *self._row_of_helper()]

    def _row_of_helper(self) -> list[tuple[str, str]]:
        """The drafts that a small model made."""
        if not self.drafted_by_model:
            return []
        words = tr("{0} of %Ln drafted token(s) right ({1})", None, self.drafted_by_model)
        return [(tr("Helper model"), words.format(units.count(self.accepted_of_model), self.draft_model))]

    def _rows_of_a_token(self) -> list[tuple[str, str]]:
        cost = self.per_token
        if not cost:
            return []
        if not self._streamed:
            return [(tr("Time per token"), units.milliseconds(cost.get("total_ms", 0)))]
        read = (units.size(cost.get("bytes_read", 0)), units.count(cost.get("reads", 0)))
        flash = (tr("Flash"), tr("{0} in {1} reads per token").format(*read))
        if self._of_blocks:
            return [(tr("Time per token"), self._shares()), flash]
        kind = "expert" if self._of_experts else "neuron"
        counts = [units.count(cost.get(f"{name}_{kind}s", 0)) for name in ("active", "loaded", "resident")]
        experts = tr("{0} active, {1} read, {2} of {3} in memory").format(
            *counts, units.count(cost.get("all_experts", 0))
        )
        neurons = tr("{0} active, {1} read, {2} in the pool").format(*counts)
        return [
            (tr("Time per token"), self._shares()),
            flash,
            *self._row_of_overlap(),
            (tr("Experts"), experts) if self._of_experts else (tr("Neurons"), neurons),
            (tr("Hit rate"), units.percent(cost.get("hit_rate", 0))),
        ]

    def _row_of_overlap(self) -> list[tuple[str, str]]:
        """The way of reading that tokens were fastest with."""
        ways = {
            "none": tr("when it is needed"),
            "ahead": tr("ahead, while attention is computed"),
            "beside": tr("while what is in memory is computed"),
            "both": tr("ahead, and while what is in memory is computed"),
        }
        return [(tr("Read"), ways[self.overlap])] if self.overlap in ways else []

    def hint(self) -> str:
        """Plain words on what took the time, and what would help. Empty where there is nothing to say."""
        total = self.per_token.get("total_ms", 0)
        if not total:
            return ""
        if not self._streamed:
            return tr("All of the model is in memory, so computing takes all of the time.")
        io, compute = (self.per_token.get(name, 0) / total for name in ("io_ms", "compute_ms"))
        if io >= SMALL_SHARE:
            waiting = tr("Waiting for flash {0} of the time, computing {1}.")
            return waiting.format(units.percent(io), units.percent(compute)) + " " + self._remedy()
        return tr(
            "Computing takes {0} of the time, waiting for flash {1}: more memory would hardly make it faster."
        ).format(units.percent(compute), units.percent(io))

    def _remedy(self) -> str:
        """Words on what would make waits for flash fewer."""
        if self._of_experts or self._of_blocks:
            return self._remedy_by_memory()
        if self.selection == Selection.DENSE:
            return tr("All neurons are read for every token: predicted selection reads far less.")
        if self._cramped:
            return tr(
                "The neuron cache was too small for a window of {0}. A larger memory budget or a shorter window helps."
            ).format(self.window)
        if self.longer_window and self.longer_needs:
            return tr("A window of {0} would need {1} more memory and read less.").format(
                self.longer_window, units.size(self.longer_needs)
            )
        if self.longer_window:
            return tr("A window of {0} fits the memory budget, and would read less.").format(self.longer_window)
        return self._remedy_by_memory()

    def _remedy_by_memory(self) -> str:
        if not self.on_flash_bytes:
            return tr("Everything fits, but is not read yet: the next answers will be faster.")
        if self._of_blocks:
            words = tr(
                "What has no room in memory is read for every token; with {0} more, nothing would be read any more."
            )
        elif self._of_experts:
            words = tr(
                "A larger memory budget keeps more experts in memory; with {0} more, nothing would be read any more."
            )
        else:
            words = tr(
                "A larger memory budget keeps more neurons in memory; with {0} more, nothing would be read any more."
            )
        return words.format(units.size(self.on_flash_bytes))

    def _selection(self) -> str:
        names = {"predictor": tr("approximate"), "exact": tr("exact"), "dense": tr("all neurons")}
        name = names.get(self.selection, self.selection)
        if self.selection != Selection.PREDICTOR or self.loss is None:
            return name
        loss = round(100 * self.loss, 1)
        if not loss:  # nor a minus before nothing
            return tr("{0}, no loss measured").format(name)
        sign = "+" if loss > 0 else "\u2212"
        return tr("{0}, {1} perplexity").format(name, f"{sign}{units.decimal(abs(loss), 1)}{units.NO_BREAK_SPACE}%")

    def _shares(self) -> str:
        cost = self.per_token
        parts = ((tr("flash"), "io_ms"), (tr("bookkeeping"), "memory_ms"), (tr("computing"), "compute_ms"))
        total = cost.get("total_ms", 0)
        shares = [
            tr("{0} {1} ({2})").format(
                name, units.milliseconds(cost.get(key, 0)), units.percent(cost.get(key, 0) / total)
            )
            for name, key in parts
            if total
        ]
        return tr("{0}: {1}").format(units.milliseconds(total), tr(", ").join(shares))


def _fits(value: object, kind: type | None) -> bool:
    if kind is dict:
        return isinstance(value, dict) and all(map(_is_figure, value.values()))
    if kind is str:
        return isinstance(value, str)
    if kind is type(None):  # what may be unknown
        return value is None or _is_figure(value)
    return kind is not None and _is_figure(value) and (kind is float or isinstance(value, int))


def _is_figure(value: object) -> bool:
    """True if it can be shown and added up."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_FIGURE
