"""A model's tokenizer, read from its files without running anything that is in them."""

import contextlib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlx_lm.tokenizer_utils import TokenizerWrapper
from sentencepiece import SentencePieceProcessor
from transformers import AutoTokenizer, TokenizersBackend
from transformers.utils import logging
from transformers.utils.chat_template_utils import (
    _CONTROL_TOKEN_END,
    _CONTROL_TOKEN_START,
    encode_marked_chat,
    mark_control_tokens,
)

from engine.errors import PromptError, SchemaError, TemplateError, TokenizerError
from engine.system.allocator import give_back_free_memory
from engine.system.documents import check_whole, parsing, read_json
from engine.text import Text, shown
from engine.tokens.files import CONFIG, LEGACY_TEMPLATE, SENTENCEPIECE, TABLES, TEMPLATE, TIKTOKEN, TOKENIZER_COMPANIONS
from engine.tokens.library_templates import LibraryTemplate, defaults_of, module_of, response_format
from engine.tokens.templates import ChatTemplate, renderer
from engine.tokens.tool_calls import CallFormat, call_format
from engine.tokens.vocabulary import Vocabulary

Template = ChatTemplate | LibraryTemplate
MODEL_KEYS = ("model_type", "tokenizer_class", "transformers_version")  # of config.json, that decide how it is read
NOT_TAKEN = {
    "auto_map",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "name_or_path",
    "gguf_file",
}  # code, other files
MAX_JSON_BYTES = 200_000_000
GET_AGAIN = Text("Get the model again.")
HARMONY = ("<|channel|>", "<|message|>", "<|return|>", "<|call|>")  # gpt-oss; its <|end|> only ends a channel
USER, ANSWER, AGAIN = "first question", "first answer", "second question"  # of an example
MAX_PROBE = 1_000_000  # characters
TIKTOKEN_LINE = re.compile(rb"[A-Za-z0-9+/]+=* \d+")
MAX_LINE_BYTES = 1000
MAX_GROWTH = 10_000  # times as long
os.environ.setdefault("TIKTOKEN_CACHE_DIR", "")  # it would keep a copy of each file that it reads
PROBES = (  # of a conversion
    "Today the quick brown fox, playing guitar, jumps over 13 lazy dogs; tomorrow's weather is interesting!",
    "Hello  world, it's 2 + 2 = 4.",
    "def f(x):\n\treturn x * 0.5",
    "naïve 你好 🦙!",
)


class Tokenizer:
    """From text to token ids and back. What the library raises, its panics too, becomes a TokenizerError.

    template: the chat template that is used; None for a model without one. ends: ids that end an answer by what the
    model's configs say; `turn_ends` adds the template's own. special: ids that are never text. calls: how it
    calls tools; calls_may_be_bare: without marks around them too.
    """

    def __init__(
        self,
        library: Any,
        wrapper: TokenizerWrapper,
        template: Template | None,
        ends: Iterable[int],
        place: Path,
        calls: CallFormat | None = None,
    ):
        self.calls_may_be_bare = calls is not None and calls.bare
        self.library, self.wrapper, self.template, self.place = library, wrapper, template, place
        added = wrapper.added_tokens_decoder
        self.special = frozenset(wrapper.all_special_ids) | {i for i, token in added.items() if token.special}
        self.ends = frozenset(ends) | frozenset(wrapper.eos_token_ids)
        self._added = {token.content: i for i, token in added.items()}

    # ------------------------------------------------------------------------------------------ what it is
    @property
    def has_chat_template(self) -> bool:
        """True where the model comes with a chat template."""
        return self.template is not None

    @property
    def eos_token_id(self) -> int | None:
        """The token that ends an answer; None where there is none."""
        found: int | None = self.wrapper.eos_token_id
        return found

    @property
    def eos_token_ids(self) -> frozenset[int]:
        """All ids that end an answer."""
        return self.ends | self.turn_ends

    @cached_property
    def ids(self) -> frozenset[int]:
        """Every id that stands for something."""
        return frozenset(self.wrapper.get_vocab().values())

    @property
    def added(self) -> Mapping[str, int]:
        """Tokens beside the vocabulary, special or not, to their ids: no other letters make these."""
        return self._added

    def name_of(self, token: int) -> str:
        """A token as the vocabulary has it."""
        name: str | None = self.library.convert_ids_to_tokens(token)
        return name or ""

    def bytes_of(self, token: int) -> bytes:
        """The bytes that a token adds to a text; of one that steers, its name's."""
        try:
            return self.vocabulary.tokens[token]
        except SchemaError:  # whose tokens mean nothing alone
            return self.decode([token]).encode()

    @cached_property
    def turn_ends(self) -> frozenset[int]:
        """Ids with which the chat template ends an answer, or begins what follows it."""
        if self.template is None:
            return frozenset()
        if all(name in self._added for name in HARMONY[:2]):
            return frozenset(self._added[name] for name in HARMONY[2:] if name in self._added)
        messages = [
            {"role": "user", "content": USER},
            {"role": "assistant", "content": ANSWER},
            {"role": "user", "content": AGAIN},
        ]
        try:
            text = self.template.render(messages, MAX_PROBE, add_generation_prompt=False)
        except TemplateError:
            return frozenset()  # said where it is used for an answer
        following = self._without_marks(text.rpartition(ANSWER)[2].partition(AGAIN)[0].lstrip())
        names = [name for name in self._added if name and following.startswith(name) and self._controls(name)]
        first = {max(names, key=len)} if names else set()
        return frozenset(self._added[name] for name in first | self._turn_starts(following))

    def _turn_starts(self, following: str) -> set[str]:
        """The tokens to steer that stand before a user's words: a model that writes one has begun the user's turn."""
        known = self.wrapper
        marks = (known.think_start, known.think_end, known.tool_call_start, known.tool_call_end)
        within = " ".join(filter(None, (*marks, *known.structural_markers)))
        steering = [name for name in self._added if name and name not in within and self._controls(name)]
        return {name for name in steering if not name.isspace() and name in following}

    def _without_marks(self, following: str) -> str:
        """The text that follows an answer, behind marks that end the answer's part of a message and not the message."""
        marks = tuple(self.wrapper.structural_markers)
        while marks and following.startswith(marks):
            following = following[max(len(mark) for mark in marks if following.startswith(mark)) :]
        return following

    @cached_property
    def template_flaw(self) -> TemplateError | None:
        """The error of a chat template that does not even take a question and an answer."""
        said = [{"role": "user", "content": USER}, {"role": "assistant", "content": ANSWER}]
        try:
            if self.template is not None:
                self.template.render(said, MAX_PROBE, add_generation_prompt=False)
        except TemplateError as error:
            return error
        return None

    def _controls(self, name: str) -> bool:
        """True for an added token that is there to steer, and is no word that is used a lot."""
        return self._added[name] in self.special or not (name[0].isalnum() or name.isspace())

    # -------------------------------------------------------------------------------------- text to tokens
    def encode(self, text: str) -> list[int]:
        """Token ids of a text as it stands: what reads as a special token is one. Begins as the model's texts do."""
        with self._errors():
            return list(self.library.encode(text))

    def encode_plain(self, text: str) -> list[int]:
        """Token ids of a text in which nothing is a special token, beginning as the model's texts do."""
        return [*self.beginning, *self.encode_marked(self.mark(text))]

    @cached_property
    def beginning(self) -> tuple[int, ...]:
        """The ids that the tokenizer itself puts before a text."""
        ids = self.encode("")
        return tuple(ids[:-1] if len(ids) > 1 and ids[-1] == self.eos_token_id else ids)

    def mark(self, said: Any) -> Any:
        """A person's words, with the control tokens in them marked as text; a string, or lists and dicts of them.
        Raises PromptError for those that are nested too deeply."""
        try:
            return mark_control_tokens(said, self._control_tokens)
        except RecursionError:
            raise PromptError("What the chat template is told is nested too deeply.") from None

    def encode_marked(self, text: str) -> list[int]:
        """Token ids of a text: what is marked is text, and everything else that reads as a special token is one."""
        with self._errors():
            try:
                ids: list[int] = encode_marked_chat(self.library, text)
            except ValueError:  # some tokenizers make a control token of its letters: but not of parts of them
                ids = encode_marked_chat(self.library, MARKED_TEXT.sub(lambda m: _CONTROL_TOKEN_START.join(m[1]), text))
        return ids

    @cached_property
    def steering(self) -> frozenset[int]:
        """Special tokens, and others that the template writes, or that mark reasoning or calls of tools."""
        known = self.wrapper
        markers = (known.think_start, known.think_end, known.tool_call_start, known.tool_call_end)
        written = "\0".join([self.template.written if self.template else "", *filter(None, markers)])
        others = {i for name, i in self._added.items() if name and name in written and not name.isspace()}
        return self.special | others

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Its tokens as bytes. Raises SchemaError where they are not known as such."""
        return Vocabulary(self)

    @cached_property
    def _control_tokens(self) -> re.Pattern[str]:
        names = [name for name, i in self._added.items() if i in self.steering]
        longest_first = sorted(filter(None, names), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    # -------------------------------------------------------------------------------------- tokens to text
    def decode(self, ids: Iterable[int], skip_special_tokens: bool = False) -> str:
        """The text of tokens; those that stand for nothing have none."""
        known = [i for i in ids if i in self.ids]
        with self._errors():
            return self._decode(known, skip_special_tokens)

    @cached_property
    def _decode(self) -> Callable[[list[int], bool], str]:
        """The library's decoding, past what transformers looks at each time where that changes nothing."""
        library = self.library
        if type(library).decode is TokenizersBackend.decode and type(library)._decode is TokenizersBackend._decode:
            found: Callable[[list[int], bool], str] = library.backend_tokenizer.decode
            return found
        return lambda ids, skip: str(library.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False))

    def _errors(self) -> contextlib.AbstractContextManager[None]:
        return _tokenizer_errors(self.place)


MARKED_TEXT = re.compile(f"{_CONTROL_TOKEN_START}([^{_CONTROL_TOKEN_START}{_CONTROL_TOKEN_END}]*){_CONTROL_TOKEN_END}")


# --------------------------------------------------------------------------------------------------- from files
def read_tokenizer(folder: Path, config: Mapping[str, Any]) -> Tokenizer | None:
    """The tokenizer in a folder of a model with this config.json; None for a model that came without one.

    Nothing is asked, fetched or run: of the files a copy without references to code is read. Raises TokenizerError for
    a tokenizer that is damaged, or that is code of its repository.
    """
    if not any((folder / name).is_file() for name in (*TABLES, CONFIG)):
        return None
    settings = _json(folder / CONFIG)
    _set_template(settings, folder)
    with TemporaryDirectory(prefix="flashbulb-tokenizer-") as name:
        copy = Path(name)
        _copy(folder, copy, settings, config)
        tokenizer = _load(folder, copy, settings)
    _check_growth(folder, tokenizer)
    _check_vocabulary(folder, tokenizer)
    _check_conversion(folder, tokenizer, settings)
    known = {**defaults_of(config.get("model_type")), **settings}
    template = _template_of(tokenizer, folder, known.get("chat_template_type") or _library_name(config))
    if isinstance(template, ChatTemplate):
        renderer.warm()
    tokenizer.chat_template = template.written if isinstance(template, ChatTemplate) else None
    calls = call_format(tokenizer, known)
    with _tokenizer_errors(folder):
        wrapper = TokenizerWrapper(
            tokenizer,
            tool_call_start=calls and calls.start,
            tool_call_end=calls and calls.end,
            tool_parser=calls and calls.parse,
            response_format=dict(response_format(known.get("chat_template_type"))),
        )
        wrapper.model_max_length = sys.maxsize  # texts are cut to the context; it would only warn
        ends = _ends(folder, config) or set(known.get("eos_token_ids", ()))
        read = Tokenizer(tokenizer, wrapper, template, ends, folder, calls)
    give_back_free_memory()  # to be built, tables take several times what they have in the end
    return read


def _load(folder: Path, copy: Path, settings: Mapping[str, Any]) -> Any:
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what it advises is for those who write programs
    try:
        with _tokenizer_errors(folder):
            return AutoTokenizer.from_pretrained(copy, trust_remote_code=False, local_files_only=True)
    except TokenizerError:
        _check_files(folder)
        _check_code(folder, settings)
        raise
    finally:
        logging.set_verbosity(verbosity)


def _check_growth(folder: Path, tokenizer: Any) -> None:
    """Raise a TokenizerError for one whose rules, one after the other, make texts so long that no memory holds them."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    for rules in (getattr(backend, "normalizer", None), getattr(backend, "decoder", None)):
        if rules is not None and _growth(json.loads(rules.__getstate__())) > MAX_GROWTH:
            raise TokenizerError(
                "The tokenizer in {folder} makes texts longer without an end. Get the model again, or another "
                "conversion of it.",
                folder=folder,
            )


def _growth(rule: object) -> float:
    """The factor by which a rule of a tokenizer makes a text longer, at most; of several, all of theirs."""
    if not isinstance(rule, dict):
        return 1.0
    parts = [part for part in rule.values() if isinstance(part, list)]
    factor = math.prod(_growth(inner) for part in parts for inner in part)
    if rule.get("type") != "Replace":
        return factor
    pattern = rule.get("pattern")
    found = pattern.get("String") if isinstance(pattern, dict) else None
    return factor * max(1.0, len(str(rule.get("content", ""))) / max(1, len(found or "")))


def _check_vocabulary(folder: Path, tokenizer: Any) -> None:
    """Raise a TokenizerError for a tokenizer of settings only, of which transformers makes one without words."""
    with _tokenizer_errors(folder):
        knows_words = bool(tokenizer.encode(PROBES[0], add_special_tokens=False))
    if not knows_words:
        raise TokenizerError(
            "The tokenizer in {folder} has no vocabulary. Get the model again, or a conversion of it that has a "
            "tokenizer.json.",
            folder=folder,
        )


def _check_code(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raise a TokenizerError for a tokenizer that is code of its repository."""
    if code := _code_in(settings):
        raise TokenizerError(
            "The tokenizer in {folder} is a program of its repository ({code}), which Flashbulb does not run. Take "
            "a conversion of this model that has a tokenizer.json.",
            folder=folder,
            code=code,
        )


def _check_conversion(folder: Path, tokenizer: Any, settings: Mapping[str, Any]) -> None:
    """Raise a TokenizerError for files of which transformers makes another tokenizer than they are, or may.

    What a SentencePiece model makes of a text is asked of itself. A file of tiktoken does not say how texts are divided
    into words: where the repository has code for it, only that knows.
    """
    path = folder / SENTENCEPIECE
    if (folder / TABLES[0]).is_file():
        return
    if any(_is_tiktoken(folder / name) for name in (SENTENCEPIECE, TIKTOKEN)):
        _check_code(folder, settings)
        return
    if not path.is_file():
        return
    with _tokenizer_errors(folder):
        model = SentencePieceProcessor(model_file=str(path))
        same = all(tokenizer.encode(text, add_special_tokens=False) == model.encode(text) for text in PROBES)
    if not same:
        raise TokenizerError(
            "The tokenizer in {path} is of a kind that cannot be converted. Take a conversion of this model that has a "
            "tokenizer.json.",
            path=path,
        )


def _is_tiktoken(path: Path) -> bool:
    """True for a file of tiktoken, a token and its rank a line, which may have a SentencePiece model's name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return bool(TIKTOKEN_LINE.fullmatch(file.read(MAX_LINE_BYTES).partition(b"\n")[0]))


def _check_files(folder: Path) -> None:
    """Raise a TokenizerError that names the file, for one that is plainly damaged."""
    for path in (folder / name for name in (*TABLES, *TOKENIZER_COMPANIONS)):
        if path.suffix == ".json":
            _json(path)
        elif path.is_file():
            with parsing(path, TokenizerError, GET_AGAIN):
                check_whole(path)


def _code_in(settings: Mapping[str, Any]) -> str:
    """The code that a tokenizer's config refers to, as it names it; empty for none."""
    found = settings.get("auto_map")
    found = found.get("AutoTokenizer") if isinstance(found, dict) else found
    names = [name for name in (found if isinstance(found, list) else [found]) if isinstance(name, str)]
    return names[0] if names else ""


def _copy(folder: Path, copy: Path, settings: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    for name in (*TABLES, *TOKENIZER_COMPANIONS, TEMPLATE):
        if (folder / name).is_file():
            (copy / name).symlink_to((folder / name).resolve())
    if (named := folder / "additional_chat_templates").is_dir():
        (copy / named.name).symlink_to(named.resolve())
    taken = {key: value for key, value in settings.items() if key not in NOT_TAKEN}
    (copy / CONFIG).write_text(json.dumps(taken), encoding="utf-8")
    kind = {key: config[key] for key in MODEL_KEYS if isinstance(config.get(key), str)}
    (copy / "config.json").write_text(json.dumps(kind), encoding="utf-8")


def _set_template(settings: dict[str, Any], folder: Path) -> None:
    """Take the template from where older conversions keep it, if it is nowhere else."""
    if (folder / TEMPLATE).is_file() or settings.get("chat_template") is not None:
        return
    settings["chat_template"] = _json(folder / LEGACY_TEMPLATE).get("chat_template")


def _template_of(tokenizer: Any, folder: Path, name: object) -> Template | None:
    """The model's own template; else the one of this name that mlx-lm has."""
    found = tokenizer.chat_template
    named = found if isinstance(found, dict) else {"default": found}  # several, by name
    source = named.get("default") or next(iter(named.values()), None)
    if not isinstance(source, str):
        return LibraryTemplate(name) if isinstance(name, str) else None
    place = next((name for name in (TEMPLATE, LEGACY_TEMPLATE) if (folder / name).is_file()), CONFIG)
    return ChatTemplate(source, place, _special_tokens(tokenizer), named.get("tool_use", ""))


def _library_name(config: Mapping[str, Any]) -> str | None:
    """The name of mlx-lm's template for models of this type, which have none of their own."""
    name = config.get("model_type")
    return name if isinstance(name, str) and hasattr(module_of(name), "apply_chat_template") else None


def _special_tokens(tokenizer: Any) -> dict[str, str | list[str]]:
    """The texts of special tokens by their names, as templates are told them."""
    named = [(name, token) for name, token in tokenizer.special_tokens_map.items() if token is not None]
    return {name: list(map(str, token)) if isinstance(token, list | tuple) else str(token) for name, token in named}


def _ends(folder: Path, config: Mapping[str, Any]) -> set[int]:
    """Ids that end an answer, of all that the model's configs name."""
    text = config.get("text_config")
    sources = (_json(folder / "generation_config.json"), config, text if isinstance(text, dict) else {})
    named = [source.get("eos_token_id") for source in sources]
    flat = [i for ids in named for i in (ids if isinstance(ids, list) else [ids])]
    return {i for i in flat if type(i) is int and i >= 0}


def _json(path: Path) -> dict[str, Any]:
    """The names and values of a JSON file of a model's folder, none where there is no file. Raises TokenizerError."""
    if not path.is_file():
        return {}
    with parsing(path, TokenizerError, GET_AGAIN):
        return read_json(path, MAX_JSON_BYTES)


@contextlib.contextmanager
def _tokenizer_errors(place: Path) -> Iterator[None]:
    """A block in which whatever a tokenizer's library raises, its panics too, is a TokenizerError."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, TokenizerError):
        raise
    except BaseException as error:
        if not any((place / name).is_file() for name in TABLES):
            raise TokenizerError("{path} is missing. {cure}", path=place / TABLES[0], cure=GET_AGAIN) from error
        raise TokenizerError(
            "The tokenizer in {folder} does not work ({reason}). Get the model again, or another conversion of it.",
            folder=place,
            reason=shown(f"{type(error).__name__}: {error}"),
        ) from error
