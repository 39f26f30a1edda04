"""A coding agent at work through each protocol, as its client sends it: every request begins with what was read before.

A long system prompt and tools; calls of them and their results, turn after turn; a request for a title in between.
"""

import json

import anthropic
import httpx
import openai
import pytest

from tests.helpers.serving import Serving, write_talker

MODEL, CONTEXT, TURNS = "tiny/moe", 8192, 3
SYSTEM = " ".join(f"Rule {number}: read a file before you change it, and say why." for number in range(24))
PARAMETERS = {
    "type": "object",
    "properties": {"path": {"type": "string", "maxLength": 6}, "mode": {"enum": ["r", "w"]}},
    "required": ["path"],
    "additionalProperties": False,
}
TOOLS = [
    {"name": f"{name}_file", "description": f"To {name} a file of the project.", "parameters": PARAMETERS}
    for name in ("read", "write", "find", "move", "delete")
]
FUNCTIONS = [{"type": "function", "function": tool} for tool in TOOLS]
QUESTION, RESULT = "Mend what is broken in main.py", "def main():\n    pass\n" * 3
MOST_NEW_TOKENS = 400  # of a prompt: the last answer, results, and what stands around them


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    home = tmp_path_factory.mktemp("agents")
    write_talker(home / "models" / "tiny--moe", max_position_embeddings=CONTEXT)
    serving = Serving(home, "--context", str(CONTEXT))
    yield serving
    said = serving.end()
    assert "Traceback" not in said
    assert "main.py" not in said, "a prompt is in the log"


def chat(address):
    """Tokens of the prompt and of these in memory, turn by turn."""
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
        for _ in range(TURNS):
            answer = client.chat.completions.create(
                model=MODEL, messages=messages, tools=FUNCTIONS, tool_choice="required", parallel_tool_calls=False
            )
            (call,) = answer.choices[0].message.tool_calls
            yield answer.usage.prompt_tokens, answer.usage.prompt_tokens_details.cached_tokens, call.function.name
            messages.append(answer.choices[0].message.model_dump(exclude_none=True))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": RESULT})


def responses(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        said = [{"role": "user", "content": QUESTION}]
        for _ in range(TURNS):
            answer = client.responses.create(
                model=MODEL, instructions=SYSTEM, input=said, tool_choice="required", parallel_tool_calls=False,
                tools=[{"type": "function", "strict": False, **tool} for tool in TOOLS], store=False,
            )  # fmt: skip
            (call,) = answer.output
            yield answer.usage.input_tokens, answer.usage.input_tokens_details.cached_tokens, call.name
            said.append(call.model_dump(exclude_none=True))
            said.append({"type": "function_call_output", "call_id": call.call_id, "output": RESULT})


def messages(address):
    tools = [{"name": t["name"], "description": t["description"], "input_schema": t["parameters"]} for t in TOOLS]
    system = [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}]
    with anthropic.Anthropic(base_url=address, api_key="none", max_retries=0) as client:
        said = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
        for _ in range(TURNS):
            choice = {"type": "any", "disable_parallel_tool_use": True}
            with client.messages.stream(
                model=MODEL, system=system, messages=said, tools=tools, tool_choice=choice, max_tokens=500
            ) as stream:
                answer = stream.get_final_message()
            (call,), usage = answer.content, answer.usage
            yield usage.input_tokens + usage.cache_read_input_tokens, usage.cache_read_input_tokens, call.name
            said.append({"role": "assistant", "content": [call.model_dump(exclude_none=True)]})
            said.append(
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": RESULT}]}
            )


def ollama(address):
    """The same of Ollama, which has no choice of tools: the conversation goes on with what a program puts into it."""
    said = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    for number in range(TURNS):
        request = {"model": MODEL, "messages": said, "tools": FUNCTIONS, "options": {"num_predict": 8, "num_ctx": 9999}}
        with httpx.Client(timeout=60) as client:
            *_, last = client.post(f"{address}/api/chat", json=request).text.splitlines()
        told = json.loads(last)
        yield told["prompt_eval_count"], told["flashbulb"]["cached_tokens"], "read_file"
        call = {"function": {"name": "read_file", "arguments": {"path": f"{number}.py"}}}
        said.append({"role": "assistant", "content": "", "tool_calls": [call]})
        said.append({"role": "tool", "tool_name": "read_file", "content": RESULT})


def title(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        said = [{"role": "system", "content": "Make a title of three words."}, {"role": "user", "content": QUESTION}]
        assert client.chat.completions.create(model=MODEL, messages=said, max_tokens=6).choices


@pytest.mark.parametrize("protocol", [chat, responses, messages, ollama])
def test_each_turn_of_an_agent_begins_with_what_was_read_before(serving, protocol):
    known = 0
    for tokens, cached, called in protocol(serving.address):
        assert called in {tool["name"] for tool in TOOLS}
        assert known - 8 <= cached <= tokens, "less was in memory than the turn before has read"
        assert not known or tokens - cached < MOST_NEW_TOKENS
        known = tokens
        title(serving.address)
