"""Markers: what models write between their reasoning, their answers and their calls of tools.

mlx-lm recognises those of many families; gpt-oss's and a few more are here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.tokens.tokenizer import Tokenizer

Edges = list[tuple[str, str | None]]
THINKING = (  # around reasoning; as tokens, or where the template writes them
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),  # Magistral
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command
    ("<seed:think>", "</seed:think>"),  # Seed
)
ANSWERS = (("<answer>", "</answer>"), ("<response>", "</response>"))  # around the answer: Hunyuan, ERNIE


@dataclass(frozen=True)
class Markers:
    """The markers of a model, under the names that mlx-lm's state machine asks for.

    structural_markers: those that are nothing but left out. initial: the state in which an answer begins. harmony:
    channels have headers, and tools are called in one. bare: a call of a tool may come without marks.
    """

    think_start: str | None = None
    think_end: str | None = None
    tool_call_start: str | None = None
    tool_call_end: str | None = None
    structural_markers: tuple[str, ...] = ()
    response_transitions: Mapping[str, Edges] = field(default_factory=dict)
    initial: str = "normal"
    harmony: bool = False
    bare: bool = False

    @property
    def has_thinking(self) -> bool:
        """True where the model writes reasoning between marks."""
        return self.think_start is not None

    @property
    def has_tool_calling(self) -> bool:
        """True where the model writes tool calls between marks."""
        return self.tool_call_start is not None


_CHANNELS: Edges = [("<|channel|>analysis", "analysis header"), ("<|channel|>commentary", "commentary header")]
_ENDS: Edges = [
    *((name, "header") for name in ("<|end|>", "<|return|>", "<|call|>")),
    *_CHANNELS,  # without an end before, as a model may forget it
    ("<|channel|>final", "commentary header"),
    ("<|start|>", "header"),
]
HARMONY = Markers(
    response_transitions={
        "header": [*_CHANNELS, ("<|message|>", "normal"), ("<|start|>", "header")],
        "analysis header": [("<|message|>", "reasoning")],
        "commentary header": [("<|message|>", "normal")],
        "reasoning": _ENDS,
        "normal": _ENDS,
    },
    initial="header",
    harmony=True,
)


def markers_of(tokenizer: Tokenizer) -> Markers:
    """A tokenizer's markers: as mlx-lm recognises them, else as they are known here."""
    if {"<|channel|>", "<|message|>"} <= tokenizer.added.keys():
        return HARMONY
    known = tokenizer.wrapper
    think_start, think_end = known.think_start, known.think_end
    if think_start is None:
        think_start, think_end = _thinking(tokenizer)
    return Markers(
        think_start,
        think_end,
        known.tool_call_start,
        known.tool_call_end,
        (*known.structural_markers, *_around_answers(tokenizer)),
        {state: list(edges) for state, edges in known.response_transitions.items()},
        known.response_initial_state or "normal",
        bare=tokenizer.calls_may_be_bare,
    )


def _thinking(tokenizer: Tokenizer) -> tuple[str | None, str | None]:
    written = tokenizer.template.written if tokenizer.template else ""
    return next(
        (
            (start, end)
            for start, end in THINKING
            if {start, end} <= tokenizer.added.keys() or (start in written and end in written)
        ),
        (None, None),
    )


def _around_answers(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Marks of answers that are tokens, or that the template looks for behind what was reasoned."""
    written = tokenizer.template.written if tokenizer.template else ""
    thinks = "</think>" in written
    found = [
        pair
        for pair in ANSWERS
        if set(pair) <= tokenizer.added.keys() or (thinks and pair == ANSWERS[0] and all(m in written for m in pair))
    ]
    return tuple(mark for pair in found for mark in pair)
