"""The grammar of an answer, as llguidance takes it: free reasoning, then an answer of a schema, or calls of tools."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.settings import GenerationOptions, ToolChoice, name_of
from engine.tokens import schemas
from engine.tokens.call_form import USUAL as USUAL_FORM
from engine.tokens.call_form import CallForm, form_of, rules_of
from engine.tokens.markers import markers_of
from engine.tokens.marks import ANYTHING, Marks
from engine.tokens.tokenizer import Tokenizer
from engine.tokens.told_tools import are_told
from engine.tokens.tool_calls import USUAL, CallFormat

BLANK = "/\\n{1,2}/"  # as makers put between reasoning and answer


@dataclass(frozen=True)
class Grammar:
    """Rules as llguidance takes them. calls: the format of calls, where they are asked for in one that is not the
    model's own."""

    rules: str
    calls: CallFormat | None = None


def grammar_of(tokenizer: Tokenizer, options: GenerationOptions, state: str, continued: bool = False) -> Grammar | None:
    """The grammar of an answer to what was asked with these options; None where everything may be said.

    state: of the channels where the answer begins. continued: a part of it is said already. Raises SchemaError, in
    bounded time, for what an answer cannot be held to.
    """
    calls = options.tool_choice if options.tools else ToolChoice.NONE
    if options.schema is None and (calls is ToolChoice.AUTO or not options.tools):
        return None
    writer = Writer(tokenizer, options, state, continued)
    choices = [] if calls is ToolChoice.REQUIRED else [writer.answer()]
    form = None if calls is ToolChoice.NONE else USUAL_FORM if are_told(tokenizer, options) else form_of(tokenizer)
    if form is not None:
        choices.append(writer.calls(form))
    return Grammar(writer.grammar(choices), None if form is None or form.own else USUAL)


class Writer:
    """Writes the rules of one answer, one part after the other."""

    def __init__(self, tokenizer: Tokenizer, options: GenerationOptions, state: str, continued: bool):
        self._tokenizer, self._options, self._state, self._continued = tokenizer, options, state, continued
        self._markers, self._marks = markers_of(tokenizer), Marks(tokenizer)
        self._rules: list[str] = []

    def grammar(self, choices: Sequence[str]) -> str:
        """All rules. choices: names of rules for what may follow the reasoning."""
        reasoning = "" if self._continued and self._state == "normal" else self._reasoning()
        return "\n".join([f"start: {reasoning} ({' | '.join(choices)})", *self._rules])

    def answer(self) -> str:
        """The rule of the answer itself."""
        if self._options.schema is None:
            self._rules += self._without_calls()
        else:
            schema = schemas.written(self._options.schema)
            schemas.check([schema])
            self._rules.append(f"said: %json {schema}")
        begins = self._state == "normal" or not self._markers.harmony
        self._rules.append(f"answer: {'' if begins else self._final_header()} said")
        return "answer"

    def calls(self, form: CallForm) -> str:
        """The rule of calls of tools."""
        allowed = self._options.allowed_tools
        tools = [tool for tool in self._options.tools if not allowed or name_of(tool) in allowed]
        self._rules += rules_of(form, self._marks, tools, several=self._options.parallel_calls)
        return "calls"

    def _without_calls(self) -> list[str]:
        start = self._tokenizer.wrapper.tool_call_start
        return self._marks.without("said", start) if start else [f"said: {ANYTHING}"]

    # ---------------------------------------------------------------------------------------------- reasoning
    def _reasoning(self) -> str:
        if self._markers.harmony:
            return self._analysis()
        before, start, end = self._space(), self._markers.think_start, self._markers.think_end
        if start is None or end is None:
            return before
        self._rules += [*self._marks.until("reasoning", end), f"reasoned: reasoning ({BLANK})? {before}"]
        if self._state == "reasoning":
            return "reasoned"
        if self._options.enable_thinking is False:
            return before
        return f"{before} ({self._marks.expression(start)} reasoned)?"

    def _space(self) -> str:
        """The space that SentencePiece's tokenizers have before a text."""
        return '" "?' if self._tokenizer.vocabulary.has_spaces else ""

    def _analysis(self) -> str:
        """Reasoning of a harmony answer."""
        channel, message, end = (self._marks.expression(f"<|{name}|>") for name in ("channel", "message", "end"))
        again = f'{self._marks.expression("<|start|>")} "assistant"'
        self._rules.append(f'analysis: {channel} "analysis" {message} {ANYTHING}? {end} {again}')
        return f"{ANYTHING}? {end} {again} analysis*" if self._state == "reasoning" else "analysis*"

    def _final_header(self) -> str:
        channel, message, constrain = (
            self._marks.expression(f"<|{name}|>") for name in ("channel", "message", "constrain")
        )
        return f'{channel} "final" (" "? {constrain} "json")? {message}'
