"""The choices of a user: how a model is held, and how it answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from engine.errors import OptionError
from engine.text import shown

MIN_SHARE = 1e-6  # of probability: what is below leaves the likeliest token alone, as this does
FORBIDDING_BIAS, MAX_BIAS = -100.0, 100.0  # of a token
USUAL_PENALISED_TOKENS = 64
MAX_STOP_CHARACTERS = 100_000  # of all texts that end an answer: what looks for them takes 200 bytes for each


class Selection(StrEnum):
    """The way in which a token's neurons are chosen."""

    PREDICTOR = "predictor"
    EXACT = "exact"  # by their true activations
    DENSE = "dense"  # all of them

    @property
    def streams_all(self) -> bool:
        """True where every token needs every neuron."""
        return self is Selection.DENSE

    @property
    def predicts(self) -> bool:
        """True where what is chosen is a guess: an answer may then differ from the model's own."""
        return self is Selection.PREDICTOR


SELECTIONS = tuple(Selection)


class Drafting(StrEnum):
    """The source of drafts: tokens that probably come next, of which a pass verifies several where that is faster."""

    LOOKUP = "lookup"  # what followed the same words before, in the prompt or the answer
    NONE = "none"


DRAFTS = tuple(Drafting)
DRAFT_MODEL_AUTO, DRAFT_MODEL_NONE = "auto", "none"  # in the place of a draft model's name


@dataclass(frozen=True)
class Settings:
    """The way in which a model is loaded.

    window: tokens for which a neuron stays in memory (paper, section 3.1); 0 keeps nothing from token to token.
    memory_budget: bytes, a hard ceiling on what loading and running the model adds to the process; None takes room for
    all of the FFN where free memory allows it, else for half. selection: `predictor`, `exact` (true activations; equals
    dense, on Metal but for rounding to the model's dtype) or `dense` (all neurons, the reference).
    threshold_shift: added to every predictor's threshold, in logits; below 0, more neurons are read and fewer of those
    that matter are missed. What predicting costs was measured without a shift only. context: tokens, None for the
    model's own. compute_dtype: `float32` or None, which computes small models in float32 and large ones in their own
    dtype.

    How flash is read, each of which can be switched off. reader_threads: reads outstanding at once, and read_gap: bytes
    between two bundles that are read through (0 joins only neighbours, -1 nothing); None takes what the drive's profile
    says. bundling: a neuron's parts are one read (3.2); without, each part is its own. overlap: what a layer will
    probably need is read while its attention is computed, and what is in memory is computed while the rest is read,
    each as long as tokens take less time with it, which is tried as they are decoded. None does so where nothing that
    is said can depend on it: with experts, and with neurons where there is no GPU. With one, all neurons in memory are
    multiplied, and timing would say which these are: there it is for who asks. early_reads: layers that have attention
    and FFN side by side read while attention is computed: there the neurons are known by then, and nothing depends on
    timing.
    hot_neurons: rows that the window does not need keep the neurons that were used most often; where it would leave
        less than a third of them, uses alone say who stays.
    small_context: keys and values of a checkpoint's context are kept in 8 bits instead of 16 or 32, where its attention
    knows such: twice the conversation in the same memory, at some loss, which `context_loss` measures.
    drafts: where several tokens of one pass take less time than passes of one, some are guessed, and verified together;
    what is said stays what the model says by itself. draft_model: a small model that guesses, by name or folder, where
    drafts are on; `auto` for one on this disk that has the same tokens, as far as there is room for it, or `none`.
    read_at_once: where the budget has room for every bundle, all are read while the model is loaded, in one sweep, as
    who waits for answers wants it; without, each when it is first needed, as who measures does.
    """

    window: int = 5
    memory_budget: int | None = None
    selection: Selection = Selection.PREDICTOR
    threshold_shift: float = 0.0
    context: int | None = None
    compute_dtype: str | None = None
    reader_threads: int | None = None
    read_gap: int | None = None
    bundling: bool = True
    overlap: bool | None = None
    early_reads: bool = True
    hot_neurons: bool = True
    read_at_once: bool = False
    drafts: Drafting = Drafting.LOOKUP
    draft_model: str = DRAFT_MODEL_AUTO
    small_context: bool = False

    def __post_init__(self) -> None:
        if self.selection not in SELECTIONS:
            raise ValueError(f"selection is one of {', '.join(SELECTIONS)}, not {self.selection!r}")
        object.__setattr__(self, "selection", Selection(self.selection))  # by its name, as files and commands have it
        object.__setattr__(self, "drafts", Drafting(self.drafts))
        if not math.isfinite(self.threshold_shift):
            raise ValueError(f"a threshold is shifted by a number, not by {self.threshold_shift!r}")
        if self.window < 0:
            raise ValueError("a window holds 0 tokens or more")

    @property
    def wants_draft_model(self) -> bool:
        """True where a small model may guess."""
        return self.drafts is not Drafting.NONE and self.draft_model != DRAFT_MODEL_NONE


class ToolChoice(StrEnum):
    """The model's choice of calling tools."""

    AUTO = "auto"  # it calls or answers
    NONE = "none"
    REQUIRED = "required"


TOOL_CHOICES = tuple(ToolChoice)
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


def function_of(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """The description of a tool's function, which may stand below its kind."""
    found = tool.get("function")
    return found if isinstance(found, Mapping) else tool


def name_of(tool: Mapping[str, Any]) -> str:
    """The name by which a tool is called."""
    return str(function_of(tool).get("name", ""))


@dataclass(frozen=True)
class GenerationOptions:
    """The way in which an answer is sampled, and the model is asked. Raises OptionError for what is out of range.

    What is None is as the model's makers advise, and else as OUR_SAMPLING.

    max_tokens: of the answer, with its reasoning; min_tokens: before which no token of the model's ends it.
    reasoning_tokens: of the reasoning, at most; then its end comes, and the answer. context: of the conversation and
    the answer together, at most. temperature: 0 takes the likeliest token. top_k: the likeliest tokens
    that may be sampled, 0 for all; top_p: the likeliest that have this probability together; min_p: those that have
    this share of the likeliest one's. repetition_penalty: what the scores of the last tokens are divided by, 1 for no
    penalty; presence_penalty, frequency_penalty: what is taken from their scores, once or each time. penalised_tokens:
    how many of the last tokens, prompt and answer, these look at.
    logit_bias: what is added to the scores of tokens, by their ids: FORBIDDING_BIAS says that one never comes, unless a
    schema leaves nothing else; with MAX_BIAS those that have it are nearly all that ever comes.
    seed: from 0; None is different every time. stop: texts before which the answer ends.
    suffix: of a prompt that is a text, what stands behind the gap that the answer fills.

    enable_thinking, reasoning_effort: what the chat template is told of them; None leaves it to the template.
    plain_format: a line a message instead of the chat template, for one that fails.
    tools: functions that the model may ask to be called, described as OpenAI's API describes them. tool_choice: whether
    it may call none, must call none, or must call one. allowed_tools: names of those that it may call, empty for all.
    parallel_calls: it may call several; else the first call ends the answer.
    schema: a JSON schema that the answer satisfies, in one line of JSON, unless it is cut off; ANY_OBJECT for any
    object. Where tools may be called as well, an answer satisfies it or calls. The reasoning before is free.
    logprobs: the likeliest tokens whose probabilities are told beside each token's own, 0 for that alone; None for
    nothing of the kind.
    chat_template_kwargs: what else the chat template is told, by name.
    shorten: leave out the oldest messages of a conversation for which the context has no room, instead of an error;
    shorten_to_context: those for which the one that was chosen has none, if the model's is as long.
    conversation: the name under which the context is kept on disk, where contexts are; empty for none.
    """

    max_tokens: int = 256
    min_tokens: int = 0
    reasoning_tokens: int | None = None
    context: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    suffix: str = ""
    top_k: int | None = None
    repetition_penalty: float | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    penalised_tokens: int = USUAL_PENALISED_TOKENS
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    enable_thinking: bool | None = None
    reasoning_effort: str | None = None
    plain_format: bool = False
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: ToolChoice = ToolChoice.AUTO
    allowed_tools: tuple[str, ...] = ()
    parallel_calls: bool = True
    schema: Mapping[str, Any] | bool | None = None
    logprobs: int | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    shorten: bool = True
    shorten_to_context: bool = False
    conversation: str = ""

    def __post_init__(self) -> None:
        for name, (kind, least, most) in OPTION_RANGES.items():
            if (value := getattr(self, name)) is not None:
                _check_range(name, value, kind, least, most)
        self._check_bias()
        if isinstance(self.stop, str) or not all(isinstance(text, str) for text in self.stop):
            raise OptionError("stop is a list of texts, not {value}.", value=_shown(self.stop))
        if taken := TEMPLATE_NAMES & self.chat_template_kwargs.keys():
            raise OptionError("chat_template_kwargs cannot have {name}: it is said otherwise.", name=min(taken))
        if sum(map(len, self.stop)) > MAX_STOP_CHARACTERS:
            raise OptionError("stop has more than {most} characters.", most=MAX_STOP_CHARACTERS)
        object.__setattr__(self, "stop", tuple(self.stop))
        self._check_tools()

    def _check_bias(self) -> None:
        for token, bias in self.logit_bias.items():
            if isinstance(token, bool) or not isinstance(token, int) or token < 0:
                raise OptionError("logit_bias names tokens by their ids, not by {value}.", value=_shown(token))
            _check_range("logit_bias", bias, float, FORBIDDING_BIAS, MAX_BIAS)

    def _check_tools(self) -> None:
        if self.tool_choice not in TOOL_CHOICES:
            raise OptionError("tool_choice is auto, none or required, not {value}.", value=_shown(self.tool_choice))
        object.__setattr__(self, "tool_choice", ToolChoice(self.tool_choice))
        names = {name_of(tool) for tool in self.tools}
        if unknown := [name for name in self.allowed_tools if name not in names]:
            raise OptionError("There is no tool {name} among those that were described.", name=_shown(unknown[0]))
        if self.tool_choice is ToolChoice.REQUIRED and not self.tools:
            raise OptionError("A tool is to be called, and none was described.")

    def context_of(self, context: int) -> int:
        """Tokens of conversation and answer together, of a model whose context has so many."""
        return min(context, self.context or context)

    def shortens(self, context: int) -> bool:
        """True where the oldest messages are left out for which there is no room, of a model whose context has so many
        tokens."""
        return self.shorten or (self.shorten_to_context and self.context is not None and self.context <= context)

    @property
    def template_variables(self) -> dict[str, Any]:
        """The variables that the chat template is told, under each name that templates have for them."""
        told: dict[str, Any] = {"tools": list(self.tools)} if self.tools else {}
        if self.enable_thinking is not None:
            told |= {"enable_thinking": self.enable_thinking, "thinking": self.enable_thinking}
            told |= {} if self.enable_thinking else {"thinking_budget": 0}
        if self.reasoning_tokens is not None:
            told["thinking_budget"] = self.reasoning_tokens
        if self.reasoning_effort is not None:
            told |= {"reasoning_effort": self.reasoning_effort, "thinking_effort": self.reasoning_effort}
        return {**told, **self.chat_template_kwargs}


TEMPLATE_NAMES = {"messages", "tools", "documents", "add_generation_prompt", "most", "cancelled", "self"}
NEUTRAL_SAMPLING: Mapping[str, float] = {  # what changes nothing
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "repetition_penalty": 1.0,
    "min_p": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
OUR_SAMPLING: Mapping[str, float] = {
    **NEUTRAL_SAMPLING,
    "temperature": 0.7,
    "top_p": 0.9,
}  # where a model's makers advise nothing
OPTION_RANGES: Mapping[str, tuple[type, float, float]] = {
    "max_tokens": (int, 1, 2**31 - 1),
    "min_tokens": (int, 0, 2**31 - 1),
    "reasoning_tokens": (int, 0, 2**31 - 1),
    "context": (int, 1, 2**31 - 1),
    "temperature": (float, 0, 100),
    "top_p": (float, MIN_SHARE, 1),
    "seed": (int, 0, 2**64 - 1),
    "top_k": (int, 0, 2**31 - 1),
    "repetition_penalty": (float, 0.01, 100),
    "min_p": (float, 0, 1),
    "presence_penalty": (float, -100, 100),
    "frequency_penalty": (float, -100, 100),
    "penalised_tokens": (int, 0, 2**31 - 1),
    "logprobs": (int, 0, 20),
}


def in_range(name: str, value: object) -> bool:
    """True for a value that the option of this name can have."""
    return _is_between(value, *OPTION_RANGES[name])


def _is_between(value: object, kind: type, least: float, most: float) -> bool:
    accepted = int if kind is int else (int, float)
    return isinstance(value, accepted) and not isinstance(value, bool) and least <= value <= most


def _check_range(name: str, value: Any, kind: type, least: float, most: float) -> None:
    if _is_between(value, kind, least, most):
        return
    low, high, given = _plain(least), _plain(most), _shown(value)
    if kind is int:
        raise OptionError(
            "{name} is a whole number from {least} to {most}, not {value}.",
            name=name,
            least=low,
            most=high,
            value=given,
        )
    raise OptionError(
        "{name} is a number from {least} to {most}, not {value}.", name=name, least=low, most=high, value=given
    )


def _plain(limit: float) -> str:
    return f"{limit:g}" if limit < 1e6 else str(limit)


def _shown(value: object) -> str:
    return "more" if isinstance(value, int) and abs(value) > 2**64 else shown(value)
