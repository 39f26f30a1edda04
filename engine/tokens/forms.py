"""Forms of a conversation: other ways to say the same, for templates that do not take every way.

Messages are as templates know them: `role`, `content`, of assistants perhaps `tool_calls` as OpenAI has them, and of
tools `tool_call_id`. A template takes a form if it does not fail.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

Message = dict[str, Any]

TURN_SEPARATOR = "\n\n"  # of messages that become one, as the makers of such models join them
NOT_RUN = "This call was not run: there is no result."  # what a model is told that called a tool, and got nothing back
REASONED = ("thinking", "reasoning", "reasoning_content")
ONE_CALL = "tool_calls[0]"  # of templates that write no others
KIMIS_CALL = "<|tool_call_begin|>"  # of templates that write a call's id instead of its name


def forms(messages: list[Message], template: str = "tool_calls") -> list[list[Message]]:
    """Ways to say the same: the first is as it is. template: its source, which shows what it knows of calls."""
    found: list[list[Message]] = []
    for said in calls_forms(messages, template):
        folded = fold_system(said)
        for form in (said, folded, merge_turns(said), merge_turns(folded), _begun_by_user(merge_turns(folded))):
            if form not in found:
                found.append(form)
    return found


# ------------------------------------------------------------------------------------------- calls of tools
def calls_forms(messages: list[Message], template: str) -> list[list[Message]]:
    """Ways to say which tools were called: as templates know calls, each with a result; or as text."""
    if not any(message.get("tool_calls") or message["role"] == "tool" for message in messages):
        return [messages]
    as_text = [message for said in messages if (message := _as_text(said))]
    if "tool_calls" not in template:
        return [as_text]
    called = list(_one_by_one(messages)) if ONE_CALL in template else messages
    whole = list(_answered(called, KIMIS_CALL in template))
    return [whole, _given_as(whole, text_of), _without_thoughts(whole), as_text]


def _one_by_one(messages: list[Message]) -> Iterator[Message]:
    """Messages that call one tool each, and its result after it."""
    results = {m.get("tool_call_id"): m for m in messages if m["role"] == "tool"}
    for message in messages:
        calls = message.get("tool_calls") or []
        if message["role"] == "tool" and message.get("tool_call_id") is not None:
            continue
        yield message | {"tool_calls": calls[:1]} if calls else message
        for index, call in enumerate(calls):
            if index:
                yield {"role": message["role"], "content": "", "tool_calls": [call]}
            if call.get("id") in results and call.get("id") is not None:
                yield results[call["id"]]


def _answered(messages: list[Message], named: bool) -> Iterator[Message]:
    """Messages whose calls have ids, with arguments by name, and a result each."""
    count = 0
    for place, message in enumerate(messages):
        if not message.get("tool_calls"):
            yield message
            continue
        calls = [_with_id(call, count + index, named) for index, call in enumerate(message["tool_calls"])]
        count += len(calls)
        yield message | {"tool_calls": [_given(call, _mapping_of) for call in calls]}
        yield from _missing_results(calls, messages[place + 1 :])


def _with_id(call: Message, index: int, named: bool) -> Message:
    """A call with an id: of nine letters and digits, as Mistral's must be, or of its name, as Kimi's is."""
    id_ = f"functions.{call['function']['name']}:{index}" if named else f"call{index:05d}"
    return {"id": id_, "type": "function", **call}


def _missing_results(calls: list[Message], following: list[Message]) -> Iterator[Message]:
    """Results of calls that have none among the messages of tools that follow."""
    results = [message.get("tool_call_id") for message in _tools_first(following)]
    unnamed = results.count(None)
    for call in [call for call in calls if call["id"] not in results][unnamed:]:
        yield {"role": "tool", "tool_call_id": call["id"], "name": call["function"]["name"], "content": NOT_RUN}


def _tools_first(messages: list[Message]) -> Iterator[Message]:
    for message in messages:
        if message["role"] != "tool":
            return
        yield message


def _given_as(messages: list[Message], form: Callable[[Any], Any]) -> list[Message]:
    """Messages whose calls have their arguments in another form."""
    return [
        m | {"tool_calls": [_given(call, form) for call in m["tool_calls"]]} if m.get("tool_calls") else m
        for m in messages
    ]


def _given(call: Message, form: Callable[[Any], Any]) -> Message:
    function = call["function"]
    return call | {"function": function | {"arguments": form(function.get("arguments"))}}


def _mapping_of(arguments: object) -> object:
    """Arguments by name, of JSON too; what is none is left as it is."""
    try:
        found = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return arguments
    return found if isinstance(found, dict) else arguments if found is not None else {}


def text_of(arguments: object) -> str:
    """A call's arguments as JSON: as they are where they are text, and `{}` where there are none."""
    return arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False, default=str)


def _without_thoughts(messages: list[Message]) -> list[Message]:
    """Messages that call, without what was reasoned before: gpt-oss's template takes it or words, not both."""
    return [
        {key: value for key, value in message.items() if key not in REASONED} if message.get("tool_calls") else message
        for message in messages
    ]


def _as_text(message: Message) -> Message | None:
    """A message without calls of its own: they are a part of what it says. None where nothing is left of it."""
    if message["role"] == "tool":
        return {"role": "user", "content": message["content"]}
    if not message.get("tool_calls"):
        return message
    calls = (f"{c['function']['name']}({text_of(c['function'].get('arguments'))})" for c in message["tool_calls"])
    kept = {key: value for key, value in message.items() if key != "tool_calls"}
    return kept | {"content": TURN_SEPARATOR.join(filter(None, (message["content"], *calls)))}


# ----------------------------------------------------------------------------------------------------- roles
def fold_system(messages: list[Message]) -> list[Message]:
    """System texts in the first user turn, before what the user says."""
    system = TURN_SEPARATOR.join(m["content"] for m in messages if m["role"] == "system")
    others = [m for m in messages if m["role"] != "system"]
    if not system:
        return others or messages
    first = next((i for i, m in enumerate(others) if m["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": system}, *others]
    told = others[first] | {"content": TURN_SEPARATOR.join((system, others[first]["content"]))}
    return [*others[:first], told, *others[first + 1 :]]


def merge_turns(messages: list[Message]) -> list[Message]:
    """Users and assistants that take turns: what one says in several messages is one message."""
    merged: list[Message] = []
    for message in messages:
        calls = bool(message.get("tool_calls") or (merged and merged[-1].get("tool_calls")))
        if merged and message["role"] == merged[-1]["role"] and message["role"] in ("user", "assistant") and not calls:
            both = TURN_SEPARATOR.join((merged[-1]["content"], message["content"]))
            merged[-1] = merged[-1] | message | {"content": both}
        else:
            merged.append(message)
    return merged


def _begun_by_user(messages: list[Message]) -> list[Message]:
    if messages[0]["role"] != "assistant":
        return messages
    return [{"role": "user", "content": ""}, *messages]
