"""The prompt: from text, token ids or chat messages to the tokens that a model is given."""

from collections.abc import Callable, Sequence
from functools import cached_property
from threading import Event
from typing import Any, Protocol

from engine.errors import NoRoomError, PromptError, TemplateError
from engine.settings import GenerationOptions
from engine.text import Text
from engine.tokens.forms import TURN_SEPARATOR, Message, calls_forms, forms, text_of
from engine.tokens.gaps import with_gap
from engine.tokens.tokenizer import Template, Tokenizer
from engine.tokens.told_tools import are_told, telling

RESERVED_DIVISOR = 4  # a conversation is cut so that at least this part of the context is left for the answer
MAX_TOKEN_CHARACTERS = 64  # of text for a token of the context, far more than any language has
MIN_LIMIT_CHARACTERS = 1_000_000
UNBOUNDED = 1 << 60  # tokens, of no context
MAX_TURN_CHARACTERS = 200  # that templates write around a message
CUT_MARK = "\ue0f1flashbulb continues here\ue0f1"  # behind an answer that goes on, to find its end
OTHER_QUESTION = "\ue0f1"  # that begins like no other
EMPTY_PROMPT = Text("The prompt is empty: write something to answer.")
REASONING_NAMES = ("reasoning_content", "thinking", "reasoning")  # of a message; templates read the first two


class Model(Protocol):
    """A loaded model, as far as a prompt needs it: its name, its tokenizer, and its context in tokens."""

    @property
    def name(self) -> str: ...

    @property
    def tokenizer(self) -> Tokenizer | None: ...

    @property
    def context(self) -> int: ...


def encode(
    model: Model,
    prompt: str | Sequence[int] | Sequence[Message],
    options: GenerationOptions,
    cancelled: Event | None = None,
) -> list[int]:
    """Token ids of a prompt: text, ids as they are, or chat messages, whose oldest turns are left out if they must.

    Raises PromptError if there is nothing to answer, or no room for it; TemplateError; CancelledError.
    """
    return encode_counting(model, prompt, options, cancelled)[0]


def encode_counting(
    model: Model,
    prompt: str | Sequence[int] | Sequence[Message],
    options: GenerationOptions,
    cancelled: Event | None = None,
) -> tuple[list[int], int]:
    """The token ids that `encode` returns, and how many of the oldest messages were left out. Raises the same."""
    tokenizer, context = tokenizer_of(model), options.context_of(model.context)
    if isinstance(prompt, str):
        if not (prompt + options.suffix).strip():
            raise PromptError(EMPTY_PROMPT)
        text = with_gap(tokenizer, model.name, prompt, options.suffix) if options.suffix else prompt
        _check_length(len(text), context)
        return _fitting(tokenizer.encode(whole(text)), context), 0
    if not prompt:
        raise PromptError(EMPTY_PROMPT)
    if isinstance(prompt[0], dict):
        messages = [_whole_message(message) for message in prompt if isinstance(message, dict)]
        conversation = Conversation(tokenizer, messages, options, cancelled)
        return conversation.fitted(context, options.shortens(model.context)), conversation.left_out
    tokens = [i for i in prompt if not isinstance(i, dict)]
    _check_known(tokens, tokenizer)
    return _fitting(tokens, context), 0


def shared_tokens(
    model: Model, prompt: str | Sequence[int] | Sequence[Message], options: GenerationOptions, tokens: list[int]
) -> int:
    """The tokens at the beginning of a conversation's that others begin with as well: of its system message and tools.
    0 where it has neither, or is none."""
    first = prompt[0] if prompt else None
    if not isinstance(first, dict) or not (options.tools or first.get("role") == "system"):
        return 0
    system = [_whole_message(first)] if first.get("role") == "system" else []
    other = [*system, {"role": "user", "content": OTHER_QUESTION}]
    try:
        return common_prefix(Conversation(tokenizer_of(model), other, options).tokens(other), tokens)
    except TemplateError:
        return 0


def tokenizer_of(model: Model) -> Tokenizer:
    """A model's tokenizer. Raises PromptError where it has none."""
    if model.tokenizer is None:
        raise PromptError(
            "{name} has no tokenizer: its checkpoint came without one, so it cannot read text.", name=model.name
        )
    return model.tokenizer


def continues(prompt: object) -> bool:
    """True for a conversation whose last message is an unfinished answer."""
    return (
        isinstance(prompt, list)
        and bool(prompt)
        and isinstance(prompt[-1], dict)
        and prompt[-1].get("role") == "assistant"
    )


class Conversation:
    """Chat messages on their way to tokens. If the assistant has the last word, its answer is continued."""

    def __init__(
        self, tokenizer: Tokenizer, messages: list[Message], options: GenerationOptions, cancelled: Event | None = None
    ):
        self._tokenizer, self._messages, self._options, self._cancelled = tokenizer, messages, options, cancelled
        self.left_out = 0  # messages, once it is fitted

    def fitted(self, context: int, shortened: bool) -> list[int]:
        """Tokens that leave room for an answer: the fewest of the oldest turns are left out, if any may be. Raises
        PromptError."""
        if _says_nothing(self._messages[-1]):
            raise PromptError("The message is empty: write something to answer.")
        if not shortened:
            _check_length(self._characters(self._messages), context)
            return _fitting(self.tokens(self._messages, context), context)
        room = context - min(self._options.max_tokens, context // RESERVED_DIVISOR)
        cuts = self._cuts()
        first, last = 0, len(cuts) - 1
        middle = 0  # mostly nothing is left out
        while first < last:  # the more is left out, the fewer are the tokens
            if self._characters(cuts[middle]) <= _most_characters(context) and len(self.tokens(cuts[middle])) <= room:
                last = middle
            else:
                first = middle + 1
            middle = (first + last) // 2
        self.left_out = len(self._messages) - len(cuts[first])
        _check_length(self._characters(cuts[first]), context)
        return _fitting(self.tokens(cuts[first], context), context)

    def _cuts(self) -> list[list[Message]]:
        """The conversation whole, and what is left of it without ever more of its oldest turns; a user begins it."""
        messages = self._messages
        system = int(messages[0]["role"] == "system")
        least = 1 + int(continues(messages))
        starts = [
            start
            for start in range(system, len(messages) - least + 1)
            if start == system or messages[start]["role"] not in ("assistant", "tool")
        ]
        return [messages[:system] + messages[start:] for start in starts] or [messages]

    def tokens(self, messages: list[Message], context: int = UNBOUNDED) -> list[int]:
        """Token ids of messages, with what a person said in them as text. Raises NoRoomError for a text that a context
        of so many tokens cannot hold, before it is read."""
        messages = self._telling(messages)
        if self._tokenizer.template is None or self._options.plain_format:
            return self._tokenizer.encode_plain(plain_format(messages))
        text = self.prompt_text(self._tokenizer.mark(messages))
        _check_length(len(text), context)
        return self._tokenizer.encode_marked(text)

    def ended(self) -> list[int]:
        """Token ids of the whole conversation, with the last message's end and nothing to answer."""
        messages = self._telling(self._messages)
        if self._tokenizer.template is None or self._options.plain_format:
            return self._tokenizer.encode_plain("".join(m["content"] + "\n" for m in messages))
        return self._tokenizer.encode_marked(self.whole_text(self._tokenizer.mark(messages)))

    def _telling(self, messages: list[Message]) -> list[Message]:
        """Messages that tell of tools, where the template would not."""
        return telling(messages, self._options.tools) if are_told(self._tokenizer, self._options) else messages

    def whole_text(self, messages: list[Message]) -> str:
        """The template's text of a whole conversation. Raises TemplateError, also of a model without a template."""
        template, told = self._template(), self._told
        return self._first(messages, lambda form: template.render(form, self._most(form), self._cancelled, **told))

    def _template(self) -> Template:
        template = self._tokenizer.template
        if template is None:
            raise TemplateError("The model has no chat template.", 0)
        return template

    def prompt_text(self, messages: list[Message]) -> str:
        """The template's text of a conversation that is to be answered. Raises as `whole_text` does."""
        template, told = self._template(), self._told

        def render(said: list[Message], prompted: bool) -> str:
            return template.render(said, self._most(said), self._cancelled, add_generation_prompt=prompted, **told)

        return self._first(messages, lambda form: _continued(form, render) if continues(form) else render(form, True))

    def _first(self, messages: list[Message], render: Callable[[list[Message]], str]) -> str:
        """The template's text: of the messages as they are, else of the nearest form that it takes."""
        problem: TemplateError | None = None
        assert self._tokenizer.template is not None
        for form in forms(messages, self._tokenizer.template.written):
            try:
                return render(form)
            except TemplateError as error:
                problem = problem or error
                if error.endless:
                    break
        assert problem is not None
        raise problem

    @cached_property
    def _told(self) -> dict[str, Any]:
        """The variables of the template beside the messages, marked."""
        told: dict[str, Any] = self._tokenizer.mark(self._options.template_variables)
        return told

    @cached_property
    def _told_characters(self) -> int:
        return len(str(self._told))

    def _characters(self, messages: list[Message]) -> int:
        """The characters of messages and of what else the template is told."""
        return _characters(messages) + self._told_characters

    def _most(self, messages: list[Message]) -> int:
        return MIN_LIMIT_CHARACTERS + 4 * self._characters(messages) + MAX_TURN_CHARACTERS * len(messages)


def _continued(messages: list[Message], render: Callable[[list[Message], bool], str]) -> str:
    """The template's text up to the end of an unfinished answer."""
    *before, answer = messages
    said = answer["content"]
    text, found, _ = render([*before, answer | {"content": said + CUT_MARK}], False).rpartition(CUT_MARK)
    return text if found else render(before, True) + said


def plain_format(messages: list[Message]) -> str:
    """A conversation without a template: a line a message, and an unfinished answer without its end."""
    text = "".join(m["content"] + "\n" for form in calls_forms(messages, "") for m in form)
    return text[:-1] if continues(messages) else text


# -------------------------------------------------------------------------------------------- their texts
def whole(text: str) -> str:
    """A text with halves of characters, which no tokenizer takes, replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _whole_message(message: Message) -> Message:
    """A message as templates expect it: nothing in it is None, its content is text, and its calls have names."""
    said = {key: whole(value) if isinstance(value, str) else value for key, value in message.items()}
    calls = _calls(said.pop("tool_calls", None))
    kept = {key: value for key, value in said.items() if value is not None} | ({"tool_calls": calls} if calls else {})
    told = next((kept[name] for name in REASONING_NAMES if kept.get(name)), None)
    said = kept | {"content": _text(message.get("content"))}
    return said if told is None else {"thinking": told, **said, "reasoning_content": told}  # as transformers has it


def _says_nothing(message: Message) -> bool:
    """True for an empty message that is no tool's: a tool may have nothing to say."""
    return message["role"] != "tool" and not message["content"].strip()


def _calls(given: object) -> list[Message]:
    """Calls of tools that name what they call, of what may be anything; arguments as text, all of which is marked."""
    entries = [call for call in given if isinstance(call, dict)] if isinstance(given, list) else []
    functions = [(call, call.get("function")) for call in entries]
    named = [(call, f) for call, f in functions if isinstance(f, dict) and isinstance(f.get("name"), str)]
    return [call | {"function": f | {"arguments": text_of(f.get("arguments"))}} for call, f in named]


def _text(content: object) -> str:
    """The text of a message's content, which may come in parts."""
    if isinstance(content, str):
        return whole(content)
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return TURN_SEPARATOR.join(whole(text) for text in texts if isinstance(text, str))


def _characters(messages: list[Message]) -> int:
    return sum(len(message["content"]) + len(str(message.get("tool_calls", ""))) for message in messages)


def _most_characters(context: int) -> int:
    return max(MIN_LIMIT_CHARACTERS, MAX_TOKEN_CHARACTERS * context)


def _check_length(characters: int, context: int) -> None:
    if characters > _most_characters(context):
        raise NoRoomError(
            "The prompt has {characters} characters, and this model's context holds {context} tokens together with the "
            "answer. Shorten it.",
            characters=characters,
            context=context,
        )


def _check_known(tokens: list[int], tokenizer: Tokenizer) -> None:
    last = max(tokenizer.ids)
    if unknown := [token for token in tokens if not 0 <= token <= last]:
        raise PromptError("The prompt has token {token}, and this model has none of that number.", token=unknown[0])


def _fitting(tokens: list[int], context: int) -> list[int]:
    if not tokens:
        raise PromptError(EMPTY_PROMPT)
    if len(tokens) >= context:
        raise NoRoomError(
            "The prompt has {tokens} tokens, and this model's context holds {context} together with the answer. "
            "Shorten it.",
            len(tokens) + 1 - context,
            tokens=len(tokens),
            context=context,
        )
    return tokens


def common_prefix(first: list[int], second: list[int]) -> int:
    """Tokens that two sequences have in common from their start."""
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
