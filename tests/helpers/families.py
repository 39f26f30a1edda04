"""Families of chat models: their templates in their makers' public formats, and small tokenizers with their tokens.

A family is a folder of tests/engine/tokens/families: `chat_template.jinja`, with the conditions and oddities of the
real one, and `family.json`:

special, added: tokens. bos, eos: of the tokenizer. generation: names of generation_config's ends. variables: what the
template is told. calls: how many tools one message may call. arguments: "text" where the template takes no mappings.
id: of a call, where it is not any. unsaid, unsaid_with_calls, unsaid_without_calls: what the template does not write of
a message. content, call: what a message's content is for a template that knows neither reasoning nor calls. reasoned,
reasoned_with_calls: how the model writes its reasoning, where the template does not. opened, opened_with_calls: the end
of the prompt that the template does not write for a message that is complete. either: a message calls or answers. also:
variables for one more kind of call.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from engine.settings import GenerationOptions
from engine.tokens.prompt import Conversation
from engine.tokens.tokenizer import read_tokenizer

FOLDER = Path(__file__).parents[1] / "engine" / "tokens" / "families"
NAMES = sorted(path.name for path in FOLDER.iterdir())
GRAINS = ("bytes", "words", "metaspace")  # each byte a token; letters of marks and words together; with ▁ for spaces
KINDS = ("answer", "calls", "also")  # of messages; the last calls what the model knows by itself
ASKED = [{"role": "user", "content": "Hi, what is <think> and <|channel|>?"}]
REASONING = "The user greets 🦙. Is 2 < 3? </thin> no.\n\nSo: x² = 4, <tool"
ANSWER = "Hello 你好! <thinking is fun> 2 <| 3, [x] {y}: **so**"
MARKS = ("think>\n", "think>\n\n", "\n<", "</", "tool_call>\n", "TOOLCALL>", ">[", '":', ' "')  # letters of one token
CALLS = (
    {"name": "get_weather", "arguments": {"city": 'Köln "am Rhein"', "days": 3}},
    {"name": "get_time", "arguments": {"zone": "CET"}},
)
TOOLS = tuple(
    {"type": "function", "function": {"name": name, "description": "", "parameters": {"type": "object", **properties}}}
    for name, properties in (
        ("get_weather", {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}),
        ("get_time", {"properties": {"zone": {"type": "string"}}}),
    )
)


def of_grain(name: str, grain: str) -> bool:
    """True where a family's tokens can be of this grain: with ▁ for spaces, none has it in its name."""
    return grain != "metaspace" or "▁" not in (FOLDER / name / "family.json").read_text(encoding="utf-8")


class Family:
    """A family with a tokenizer of one grain, in the files of a model's folder."""

    def __init__(self, name: str, grain: str, folder: Path):
        self.template = (FOLDER / name / "chat_template.jinja").read_text(encoding="utf-8")
        self.told = json.loads((FOLDER / name / "family.json").read_text(encoding="utf-8"))
        self.folder = folder
        _write(self, _library_tokenizer(grain, self.told["special"]))
        tokenizer = read_tokenizer(folder, {"model_type": "llama"})
        assert tokenizer is not None
        self.tokenizer = tokenizer

    @property
    def kinds(self) -> list[str]:
        """The kinds of messages that it writes."""
        return [kind for kind in KINDS if kind != "also" or "also" in self.told]

    def message(self, kind: str) -> dict[str, Any]:
        """The last message of a conversation as OpenAI has it, of what its template writes."""
        calls = list(CALLS[: self.told["calls"]]) if kind != "answer" else []
        unsaid = [*self.told.get("unsaid", []), *self.told.get(f"unsaid_with{'' if calls else 'out'}_calls", [])]
        answers = "content" not in unsaid and not (calls and "either" in self.told)
        said = {"role": "assistant", "content": ANSWER if answers else ""}
        said |= {} if "reasoning" in unsaid else {"reasoning_content": REASONING, "thinking": REASONING}
        return said | ({"tool_calls": [self._call(call, index) for index, call in enumerate(calls)]} if calls else {})

    def _call(self, call: dict[str, Any], index: int) -> dict[str, Any]:
        given = call["arguments"]
        arguments = json.dumps(given, ensure_ascii=False) if self.told.get("arguments") == "text" else given
        id_ = self.told.get("id", "a1b2c3d4{index}").format(name=call["name"], index=index)
        return {"id": id_, "type": "function", "function": {"name": call["name"], "arguments": arguments}}

    def variables(self, kind: str) -> dict[str, Any]:
        """The variables that its template is given."""
        return self.told.get("variables", {}) | (self.told["also"] if kind == "also" else {})

    def stream(self, kind: str) -> str:
        """The model's text of a message: as its template writes it, without the prompt."""
        message, variables = self.message(kind), self.variables(kind)
        form = "" if kind == "answer" else "_with_calls"
        opened = self.told.get(f"opened{form}", self.told.get("opened", ""))
        reasoned = self.told.get(f"reasoned{form}", self.told.get("reasoned", ""))
        prompt = self.render(ASKED, add_generation_prompt=True, **variables)
        whole = self.render([*ASKED, self._for_template(message)], add_generation_prompt=False, **variables)
        head = prompt.removesuffix(opened)
        assert prompt.endswith(opened)
        assert whole.startswith(head)
        return reasoned.format(message.get("reasoning_content", "")) + whole[len(head) :]

    def render(self, messages: list[dict[str, Any]], **variables: Any) -> str:
        """Its template's text of messages."""
        assert self.tokenizer.template is not None
        return self.tokenizer.template.render(messages, 100_000, **variables)

    def prompt(self, kind: str) -> list[int]:
        """Tokens of the question, ready to be answered."""
        thinking = self.variables(kind).get("enable_thinking", self.variables(kind).get("thinking"))
        options = GenerationOptions(enable_thinking=thinking)
        return Conversation(self.tokenizer, ASKED, options).tokens(ASKED)

    def tokens(self, kind: str) -> list[int]:
        """Tokens of a message up to what ends it, without that."""
        tokens: list[int] = self.tokenizer.library.encode(self.stream(kind), add_special_tokens=False)
        ends = [i for i, token in enumerate(tokens) if token in self.tokenizer.eos_token_ids]
        return tokens[: ends[0]] if ends else tokens

    def _for_template(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message for a template that has no reasoning, nor calls, of its own."""
        if "content" not in self.told or not message["content"]:
            return message
        written = [json.dumps(call["function"], ensure_ascii=False) for call in message.get("tool_calls", [])]
        calls = "".join(self.told.get("call", "").replace("{}", call) for call in written)
        content = self.told["content"].format(reasoning=REASONING, answer=ANSWER, calls=calls)
        return {"role": "assistant", "content": content}


def _write(family: Family, tokenizer: Tokenizer) -> None:
    family.folder.mkdir(parents=True, exist_ok=True)
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in family.told["added"]])
    tokenizer.save(str(family.folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    config |= {"bos_token": family.told.get("bos", "<s>"), "eos_token": family.told.get("eos", "</s>")}
    (family.folder / "tokenizer_config.json").write_text(json.dumps(config))
    (family.folder / "chat_template.jinja").write_text(family.template, encoding="utf-8")
    ends = [tokenizer.token_to_id(name) for name in family.told.get("generation", [])]
    (family.folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends} if ends else {}))


def _library_tokenizer(grain: str, special: list[str]) -> Tokenizer:
    special = ["<s>", "</s>", *special]
    if grain == "metaspace":
        letters = [f"<0x{byte:02X}>" for byte in range(256)]
        names = ["<unk>", *letters, *sorted(set("▁" + "".join(map(chr, range(33, 127)))))]
        vocabulary = {name: i for i, name in enumerate(names)}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=258 if grain == "bytes" else 600,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        words = [*REASONING.split(), *ANSWER.split(), *(3 * MARKS)]
        tokenizer.train_from_iterator(words if grain == "words" else [], trainer)
    tokenizer.add_special_tokens(special)
    return tokenizer
