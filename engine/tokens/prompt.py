"""The prompt: from text, token ids or chat messages to the tokens that a model is given."""

from engine.errors import PromptError
from engine.settings import GenerationOptions

RESERVED_SHARE = 4  # a conversation is cut so that at least 1 / RESERVED_SHARE of the context is left for the answer


def encode(model, prompt, options: GenerationOptions) -> list[int]:
    """Token ids of a prompt: text, ids as they are, or chat messages, whose oldest turns are left out if they must.

    Raises PromptError if there is nothing to answer, or no room for it.
    """
    if model.tokenizer is None:
        raise PromptError(
            "{name} has no tokenizer: its checkpoint came without one, so it cannot read text.", name=model.name
        )
    if isinstance(prompt, str):
        if not prompt.strip():
            raise PromptError("The prompt is empty: write something to answer.")
        return _fitting(model, model.tokenizer.encode(prompt))
    if not prompt:
        raise PromptError("The prompt is empty: write something to answer.")
    if isinstance(prompt[0], int):
        return _fitting(model, list(prompt))
    return _encode_chat(model, list(prompt), options)


def _encode_chat(model, messages: list[dict], options: GenerationOptions) -> list[int]:
    if not messages[-1]["content"].strip():
        raise PromptError("The message is empty: write something to answer.")
    room = model.context - min(options.max_tokens, model.context // RESERVED_SHARE)
    tokens = chat_tokens(model.tokenizer, messages)
    while len(tokens) > room and len(messages) > 1:
        system = messages[0]["role"] == "system"
        if len(messages) <= 1 + system + continues(messages):
            break
        del messages[int(system)]
        while len(messages) > 1 + system and messages[int(system)]["role"] == "assistant":
            del messages[int(system)]  # a conversation starts with its user
        tokens = chat_tokens(model.tokenizer, messages)
    return _fitting(model, tokens)


def chat_tokens(tokenizer, messages: list[dict]) -> list[int]:
    """Token ids of a conversation that the assistant is to go on with; a line a message where there is no template.

    If the assistant has the last word, its answer is continued where it ends.
    """
    if continues(messages):
        return _encode_continued(tokenizer, messages)
    if tokenizer.has_chat_template:
        return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
    return tokenizer.encode("".join(m["content"] + "\n" for m in messages))


def continues(prompt) -> bool:
    """Whether a prompt is a conversation whose last message is an unfinished answer."""
    return isinstance(prompt, list) and isinstance(prompt[-1], dict) and prompt[-1]["role"] == "assistant"


def _encode_continued(tokenizer, messages: list[dict]) -> list[int]:
    *before, answer = messages
    if tokenizer.has_chat_template:
        text = tokenizer.apply_chat_template(before, add_generation_prompt=True, tokenize=False)
        return tokenizer.encode(text + answer["content"], add_special_tokens=False)
    return tokenizer.encode("".join(m["content"] + "\n" for m in before) + answer["content"])


def _fitting(model, tokens: list[int]) -> list[int]:
    if not tokens:
        raise PromptError("The prompt is empty: write something to answer.")
    if len(tokens) >= model.context:
        raise PromptError(
            "The prompt has {tokens} tokens, and this model's context holds {context} together with the answer. "
            "Shorten it.",
            tokens=len(tokens),
            context=model.context,
        )
    return tokens


def common_prefix(first: list[int], second: list[int]) -> int:
    """How many tokens two sequences have in common from their start."""
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
