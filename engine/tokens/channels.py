"""Channels: what of an answer's tokens is reasoning, what is the answer, and what calls a tool.

mlx-lm knows the markers of each family, and finds them in text. Markers that are tokens of their own are found by their
ids here: in that text a lone surrogate, which no decoded text holds, stands for each. So letters that only look like
such a marker stay what they are, and nothing of a marker is ever shown.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from mlx_lm.generate import TextStateMachine, make_text_state_machine

from engine.settings import name_of
from engine.tokens.detokenizer import Detokenizer
from engine.tokens.markers import Edges, Markers, markers_of
from engine.tokens.prompt import whole
from engine.tokens.tokenizer import Tokenizer
from engine.tokens.tool_calls import CallFormat

FIRST_STANDIN = 0xD800
SURROGATES = re.compile("[\ud800-\udfff]")
LOOKED_BACK_TOKENS = 4096  # tokens of the prompt in which it is looked for reasoning that the template began
STOPPED_BY = "stopped by "  # begins the state after a stop text, which has an end of its own for each of them
RECIPIENT = re.compile(r"to=(?:functions\.)?([^\s<\ud800-\udfff]+)")  # of a harmony message: the tool that it calls

HARMONY_ANSWER = "<|end|><|start|>assistant<|channel|>final<|message|>"  # begins so behind reasoning
OTHERS_TURN = re.compile(r"(?:user|system|developer|tool)\b|\S* to=assistant\b")  # in a harmony message's header


class Channel(StrEnum):
    """The kind of a piece of an answer."""

    REASONING = "reasoning"
    ANSWER = "answer"
    TOOL_CALL = "tool call"


STATES = {"reasoning": Channel.REASONING, "normal": Channel.ANSWER, "tool": Channel.TOOL_CALL}


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool that a model asks for: nothing executes it here."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class ChannelEvent:
    """Text of a channel, as it comes; of tool calls that are complete, `calls`, where they could be understood."""

    channel: Channel
    text: str
    calls: tuple[ToolCall, ...] = ()


# -------------------------------------------------------------------------------------------------- from text
class ChannelText:
    """Splits text, in which stand-ins stand for markers that are tokens, into events as it comes.

    stop: texts that end the answer, where they stand in its answer. initial: the state to begin in, if not the usual.
    plain: an answer that goes on, or a text that is no chat: what it begins with is kept as it is.
    names: of stand-ins, which are no text, but which calls of tools are parsed with. tools: what may be called, as
    parsers know it; where there are any, an answer that is a call without marks is one. one_call: the first call ends
    the answer.
    """

    def __init__(
        self,
        markers: Markers,
        stop: Sequence[str] = (),
        parser: Any = None,
        initial: str | None = None,
        plain: bool = False,
        names: Mapping[str, str] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        one_call: bool = False,
    ):
        ends: Edges = [(text, f"{STOPPED_BY}{text}") for text in stop if text]
        transitions = {state: list(edges) for state, edges in markers.response_transitions.items()}
        transitions |= {state: [] for _, state in ends if state}
        transitions["normal"] = [*transitions.get("normal", []), *ends]
        self._machine: TextStateMachine = make_text_state_machine(replace(markers, response_transitions=transitions))
        self._state = self._machine.make_state(initial or markers.initial)
        self._harmony, self._parser, self._names = markers.harmony, parser, {} if names is None else names
        self._header, self._call, self._tools = "", "", list(tools) or None
        self._one_call = one_call
        self._held = "" if markers.bare and tools and not plain else None  # while it may be a call without marks
        self._begun = set(Channel) if plain else set()
        self._says, self._over = self._state[0] in STATES, False
        self.channel = STATES.get(self._state[0], Channel.REASONING)

    @property
    def state(self) -> str:
        """The state that what comes next is read in, as markers name it; empty once a stop text was complete."""
        return "" if self.stop_text else self._state[0] or ""

    @property
    def stop_text(self) -> str:
        """The stop text that was complete; empty for none."""
        state = self._state[0] or ""
        return state.removeprefix(STOPPED_BY) if state.startswith(STOPPED_BY) else ""

    @property
    def stopped(self) -> bool:
        """True once a stop text was complete, somebody else's turn began, or there was the one call."""
        return bool(self.stop_text) or self._state[0] is None or self._over

    def add(self, text: str) -> list[ChannelEvent]:
        """The events that a text completes. What may be a part of a marker or a stop text is held back."""
        if self._held is not None:
            self._held += text
            if self._held.lstrip()[:1] in ("", "{"):
                return []
            text, self._held = self._held, None
        return self._split(text)

    def _split(self, text: str) -> list[ChannelEvent]:
        if self.stopped or not text:
            return []
        self._state, segments = self._machine.split(self._state, text)
        return list(self._events(segments))

    def finish(self) -> list[ChannelEvent]:
        """The events of what was held back, at the end of the answer."""
        held = self._bare_call()
        if not self.stopped:
            self._state, rest, state = self._machine.flush(self._state)
            held += list(self._events([(state, SURROGATES.split(rest)[0])]))
        return held + list(self._called()) + list(self._without_channels())

    def _bare_call(self) -> list[ChannelEvent]:
        """Events of an answer that begins as a call without marks does: it is one, or an answer."""
        text, self._held = self._held or "", None
        calls = self._parsed(text) if text.strip() else ()
        known = calls and {call.name for call in calls} <= {name_of(tool) for tool in self._tools or ()}
        return [ChannelEvent(Channel.TOOL_CALL, text, calls)] if known else self._split(text)

    def _events(self, segments: Sequence[tuple[str | None, str]]) -> Iterator[ChannelEvent]:
        """Events of (state, text) in turn: each but the first was entered by a marker."""
        for position, (state, text) in enumerate(segments):
            if position:
                yield from self._called()
                self._enter(state)
            if self._over:
                return
            if state in STATES:
                yield from self._said(text)
            else:
                self._header += text

    def _enter(self, state: str | None) -> None:
        if state == "header" or self._says:
            self._header = ""
        self._says = state in STATES
        if state in STATES:
            self._over = self._over or (self._harmony and bool(OTHERS_TURN.match(self._header)))
            calls = self._harmony and RECIPIENT.search(self._header)
            self.channel = Channel.TOOL_CALL if calls else STATES[state]

    def _said(self, text: str) -> Iterator[ChannelEvent]:
        if self.channel is Channel.TOOL_CALL:
            self._call += SURROGATES.sub(lambda found: self._names.get(found[0], ""), text)
        text = SURROGATES.sub("", text)
        if self.channel not in self._begun:  # makers put a line or a space between a marker and what it is for
            text = text.lstrip("\n").removeprefix(" ")
        if text:
            self._begun.add(self.channel)
            yield ChannelEvent(self.channel, text)

    def _without_channels(self) -> Iterator[ChannelEvent]:
        """The words of a harmony answer that is none: words alone, where its header would be."""
        words, self._header = self._header, ""
        if self._harmony and not (self._begun or self.stopped or self._says or SURROGATES.search(words)):
            self.channel = Channel.ANSWER
            yield from self._said(words if not RECIPIENT.search(words) else "")

    def _called(self) -> Iterator[ChannelEvent]:
        """The calls of a block that is complete."""
        text, self._call = self._call, ""
        if text and (calls := self._parsed(text)):
            self._over = self._over or self._one_call
            yield ChannelEvent(Channel.TOOL_CALL, "", calls)

    def _parsed(self, text: str) -> tuple[ToolCall, ...]:
        try:
            if self._harmony:
                recipient = RECIPIENT.search(self._header)
                return (ToolCall(recipient[1], _json_only(json.loads(text))),) if recipient else ()
            found = self._parser(text, self._tools)
            several = found if isinstance(found, list) else [found]
            return tuple(_call(call) for call in (several[:1] if self._one_call else several))
        except Exception:  # whatever a parser makes of what a model wrote: it is shown as it is
            return ()


def _call(found: Mapping[str, Any]) -> ToolCall:
    """A call, under any of the names that models have for its parts."""
    named = {key.removeprefix("tool_"): value for key, value in found.items()}
    arguments = named.get("arguments", named.get("parameters")) or {}
    given = json.loads(arguments) if isinstance(arguments, str) else arguments
    return ToolCall(whole(str(named["name"])), _json_only(given))


def _json_only(arguments: Any) -> dict[str, Any]:
    """Arguments that can be written as JSON, of whole characters. Raises what `json` does for others."""
    return dict(json.loads(whole(json.dumps(dict(arguments), ensure_ascii=False, indent=1))))


# ------------------------------------------------------------------------------------------------ from tokens
class Channels:
    """Events of an answer's tokens. prompt: its tokens, for reasoning that the template began.

    seen: the last tokens of the prompt that are the beginning of the same answer. plain: the answer goes on, or is no
    chat's: what it begins with is kept as it is. tools: what the model was told that it may call. calls: the format of
    its calls, where it is asked for one that is not its own. one_call: the first call ends the answer.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt: Sequence[int],
        stop: Sequence[str],
        seen: int = 0,
        plain: bool = False,
        tools: Sequence[Mapping[str, Any]] = (),
        calls: CallFormat | None = None,
        one_call: bool = False,
    ):
        found = markers_of(tokenizer)
        if calls is not None:
            found = replace(found, tool_call_start=calls.start, tool_call_end=calls.end)
        standins = _standins(tokenizer, found)
        markers = _spelled(found, standins)
        self._tokenizer, self._special = tokenizer, tokenizer.special
        self._standins = {tokenizer.added[name]: c for name, c in standins.items()}
        self._words = Detokenizer(tokenizer, prompt[len(prompt) - seen :])
        initial = _initial(markers, self._text_of(tokenizer, prompt[-LOOKED_BACK_TOKENS:]))
        self._names = {standin: name for name, standin in standins.items()}
        parser = calls.parse if calls else tokenizer.wrapper.tool_parser
        self._text = ChannelText(markers, stop, parser, initial, plain, self._names, tools, one_call)

    @property
    def channel(self) -> Channel:
        """The channel that the last token belongs to."""
        return self._text.channel

    @property
    def state(self) -> str:
        """The state that the next token is read in, as markers name it; empty once a stop text was complete."""
        return self._text.state

    @property
    def reasons(self) -> bool:
        """True where the next token is one of reasoning."""
        return STATES.get(self.state) is Channel.REASONING

    @property
    def stopped(self) -> bool:
        """True once a stop text was complete, or something else has ended the answer."""
        return self._text.stopped

    @property
    def stop_text(self) -> str:
        """The stop text that was complete; empty for none."""
        return self._text.stop_text

    def add(self, token: int) -> list[ChannelEvent]:
        """The events that a token completes."""
        if token in self._special and token not in self._standins:
            self._name(token)
        standin = self._standins.get(token)
        return self._text.add(self._words.flush() + standin if standin else self._words.add(token))

    def finish(self) -> list[ChannelEvent]:
        """The events of what was held back, at the end of the answer."""
        return self._text.finish()

    def _name(self, token: int) -> None:
        """Let a special token that is no marker have a stand-in, as long as there are any."""
        standin = chr(FIRST_STANDIN + len(self._standins))
        if SURROGATES.match(standin):
            self._standins[token] = standin
            self._names[standin] = self._tokenizer.name_of(token)

    def _text_of(self, tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
        """The text of tokens, with stand-ins."""
        parts: list[str] = []
        text: list[int] = []
        for token in tokens:
            if token in self._standins:
                parts += [tokenizer.decode(text), self._standins[token]]
                text = []
            elif token not in self._special:
                text.append(token)
        return "".join([*parts, tokenizer.decode(text)])


def state_at(tokenizer: Tokenizer, prompt: Sequence[int]) -> str:
    """The state of the channels in which an answer to a prompt begins: `normal`, `reasoning`, or another."""
    return Channels(tokenizer, prompt, ()).state


def end_of_reasoning(tokenizer: Tokenizer) -> list[int]:
    """Tokens that end reasoning and begin the answer; none where the model does not reason between marks."""
    markers = markers_of(tokenizer)
    if markers.harmony:
        end = HARMONY_ANSWER
    else:
        edges = markers.response_transitions.get("reasoning", ())
        end = markers.think_end or next((text for text, state in edges if state == "normal"), "")
    return tokenizer.encode_marked(end) if end else []


def _standins(tokenizer: Tokenizer, markers: Markers) -> dict[str, str]:
    """Tokens that are markers, or special ones in them, and the lone surrogate that stands for each."""
    texts = list(_texts(markers))
    whole = [name for name, i in tokenizer.added.items() if name in texts or i in tokenizer.special]
    pattern = _any_of(whole)
    used = {found for text in texts for found in pattern.findall(text)}
    return {name: chr(FIRST_STANDIN + position) for position, name in enumerate(sorted(used))}


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(filter(None, names), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def _texts(markers: Markers) -> Iterator[str]:
    names = (markers.think_start, markers.think_end, markers.tool_call_start, markers.tool_call_end)
    yield from (name for name in (*names, *markers.structural_markers) if name)
    for edges in markers.response_transitions.values():
        yield from (text for text, _ in edges)


def _spelled(markers: Markers, standins: Mapping[str, str]) -> Markers:
    """Markers in which stand-ins stand for tokens."""
    pattern = _any_of(standins)

    def spelled(text: str) -> str:
        return pattern.sub(lambda found: standins[found[0]], text)

    def optional(text: str | None) -> str | None:
        return None if text is None else spelled(text)

    return replace(
        markers,
        think_start=optional(markers.think_start),
        think_end=optional(markers.think_end),
        tool_call_start=optional(markers.tool_call_start),
        tool_call_end=optional(markers.tool_call_end),
        structural_markers=tuple(map(spelled, markers.structural_markers)),
        response_transitions={
            state: [(spelled(marker), to) for marker, to in edges]
            for state, edges in markers.response_transitions.items()
        },
    )


def _initial(markers: Markers, prompt: str) -> str:
    """The state in which a prompt ends: templates end within reasoning, and an answer that goes on within itself."""
    if markers.harmony:
        start = markers.response_transitions["reasoning"][-1][0]
        _, found, header = prompt.rpartition(start)
        machine = make_text_state_machine(markers)
        return str(machine.split(machine.make_state("header"), header)[0][0]) if found else "normal"
    opened, closed = markers.think_start, markers.think_end
    if opened is None or closed is None:
        return markers.initial
    if SURROGATES.search(opened):  # which nobody can type
        return "reasoning" if prompt.rfind(opened) > prompt.rfind(closed) else markers.initial
    return "reasoning" if prompt.rstrip().endswith(opened) else markers.initial
