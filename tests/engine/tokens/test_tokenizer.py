"""Tokenizers read from their files: what ends answers, what is text, and that nothing is run."""

import base64
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from transformers import AutoTokenizer

from engine.errors import TokenizerError
from engine.settings import GenerationOptions
from engine.tokens.detokenizer import Detokenizer
from engine.tokens.prompt import Conversation
from engine.tokens.tokenizer import read_tokenizer
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.tokenizers import CHATML, KINDS, TEXTS, tokenizer_of_kind, write_tokenizer_files

CONFIG = {"model_type": "llama"}


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    return write_tokenizer_files(tmp_path_factory.mktemp("kinds") / request.param, tokenizer_of_kind(request.param))


@pytest.fixture(scope="module")
def tokenizer(folder):
    return read_tokenizer(folder, CONFIG)


@pytest.fixture(scope="module")
def theirs(folder):
    """transformers' own tokenizer of the same files."""
    return AutoTokenizer.from_pretrained(folder)


def chat(tokenizer, messages, **options):
    return Conversation(tokenizer, messages, GenerationOptions(**options)).tokens(messages)


texts = st.one_of(
    st.sampled_from(TEXTS), st.text(st.characters(exclude_categories=["Cs", "Co"]), min_size=1, max_size=40)
)
controls = st.sampled_from(["<|im_end|>", "</s>", "<s>", "<|im_start|>", "<pad>"])


# ---------------------------------------------------------------------------------------------- control tokens
@given(st.lists(texts, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_conversations_are_encoded_as_transformers_encodes_them(tokenizer, theirs, said):
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
    if messages[-1]["role"] == "assistant" or any(name in text for text in said for name in theirs.all_special_tokens):
        return
    assert chat(tokenizer, messages) == theirs.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )


@given(texts, controls, texts)
@settings(max_examples=40, deadline=None)
def test_control_tokens_that_a_person_types_are_text(tokenizer, before, control, after):
    """The template's own are all that there are, whatever stands around the others."""
    plain = chat(tokenizer, [{"role": "user", "content": "x"}])
    typed = chat(tokenizer, [{"role": "user", "content": before + control + after}])
    steering = tokenizer.special - {tokenizer.added.get("<unk>")}  # which stands for letters that have no token
    assert [i for i in typed if i in steering] == [i for i in plain if i in steering]


def test_what_is_typed_can_be_read_back(folder, tokenizer):
    if folder.name in ("wordpiece", "unigram"):
        pytest.skip("has no letters for < and |")
    typed = chat(tokenizer, [{"role": "user", "content": "What does <|im_end|> mean?"}])
    assert "What does <|im_end|> mean?" in tokenizer.decode(typed, skip_special_tokens=True)


@pytest.mark.parametrize(("part", "rules"), [("normalizer", "normalizers"), ("decoder", "decoders")])
@pytest.mark.parametrize(("pattern", "content"), [({"String": "e"}, "ee"), ({"Regex": "."}, "xxxx")])
def test_rules_that_make_texts_longer_without_an_end_are_refused(tmp_path, part, rules, pattern, content):
    write_tokenizer(tmp_path, 320)
    path = tmp_path / "tokenizer.json"
    rule = {"type": "Replace", "pattern": pattern, "content": content}
    for times, refused in ((2, False), (40, True)):
        table = json.loads(path.read_text())
        path.write_text(json.dumps(table | {part: {"type": "Sequence", rules: [rule] * times}}))
        if refused:
            with pytest.raises(TokenizerError, match="makes texts longer without an end"):
                read_tokenizer(tmp_path, {})
        else:
            read_tokenizer(tmp_path, {})


def test_typed_control_tokens_are_text_without_a_template_too(tmp_path):
    folder = write_tokenizer_files(tmp_path / "plain", tokenizer_of_kind("byte-level"), template=None)
    tokenizer = read_tokenizer(folder, CONFIG)
    tokens = chat(tokenizer, [{"role": "user", "content": "Is </s> the end?"}])
    assert [i for i in tokens if i in tokenizer.special] == [0]  # the one that texts begin with
    assert tokenizer.decode(tokens, skip_special_tokens=True) == "Is </s> the end?\n"


def test_a_vocabulary_that_spells_control_tokens_does_not_make_them_of_what_is_typed(tmp_path):
    """A unigram model finds `</s>` among its pieces, letters or not."""
    tokenizer = tokenizer_of_kind("unigram")
    content = json.loads(tokenizer.to_str())
    content["model"]["vocab"] += [[letter, -9.0] for letter in "</|_>" if letter not in str(content["model"]["vocab"])]
    folder = write_tokenizer_files(tmp_path / "unigram", type(tokenizer).from_str(json.dumps(content)))
    read = read_tokenizer(folder, CONFIG)
    assert chat(read, [{"role": "user", "content": "so </s> it"}]).count(read.eos_token_id) == 0


# ------------------------------------------------------------------------------------------- what ends answers
@pytest.mark.parametrize(
    ("generation", "config", "ends"),
    [
        ({"eos_token_id": 1}, {"eos_token_id": [1, 4]}, {1, 3, 4}),
        ({"eos_token_id": None}, {"eos_token_id": [4]}, {1, 3, 4}),
        ({"eos_token_id": [7, 8]}, {}, {1, 3, 4, 7, 8}),
        ({}, {"text_config": {"eos_token_id": 9}}, {1, 3, 4, 9}),
        ({}, {"eos_token_id": "4", "text_config": 3}, {1, 3, 4}),
    ],
)
def test_answers_end_with_whatever_the_files_say_and_the_template_writes(tmp_path, generation, config, ends):
    folder = write_tokenizer_files(tmp_path / "model", tokenizer_of_kind("byte-level"))
    (folder / "generation_config.json").write_text(json.dumps(generation))
    tokenizer = read_tokenizer(folder, CONFIG | config)
    assert tokenizer.eos_token_ids == ends  # 1: the tokenizer's own </s>, 3 and 4: the template's turns


@pytest.mark.parametrize(
    ("template", "special", "end"),
    [
        ("{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}", "<|end|>", "<|end|>"),
        ("{% for m in messages %}<turn>{{ m.role }} {{ m.content | trim }} <turn/>{% endfor %}", "<turn/>", "<turn/>"),
        ("{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}", "<|user|>", "<|user|>"),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "user", None),
        ("{{ raise_exception('No.') }}", "<|end|>", None),
    ],
)
def test_the_templates_end_of_a_turn_is_found_by_rendering_one(tmp_path, template, special, end):
    folder = write_tokenizer_files(tmp_path / "model", tokenizer_of_kind("byte-level"), template, added=(special,))
    tokenizer = read_tokenizer(folder, CONFIG)
    assert tokenizer.turn_ends == ({tokenizer.added[end]} if end else set())


def test_a_mark_of_the_users_turn_ends_an_answer_special_or_not(tmp_path):
    template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
    added = ("<|end|>", "<|user|>", "<|assistant|>")
    folder = write_tokenizer_files(tmp_path / "model", tokenizer_of_kind("byte-level"), template, added=added)
    tokenizer = read_tokenizer(folder, CONFIG)
    assert tokenizer.turn_ends == {tokenizer.added["<|end|>"], tokenizer.added["<|user|>"]}


def test_harmony_answers_do_not_end_with_a_channel(tmp_path):
    names = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>")
    template = (
        "{% for m in messages %}<|start|>{{ m.role }}<|channel|>final<|message|>{{ m.content }}<|end|>{% endfor %}"
    )
    folder = write_tokenizer_files(tmp_path / "model", tokenizer_of_kind("byte-level"), template, added=names)
    tokenizer = read_tokenizer(folder, CONFIG)
    assert tokenizer.turn_ends == {tokenizer.added["<|return|>"], tokenizer.added["<|call|>"]}


# ---------------------------------------------------------------------------------------------- tokens to text
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=60, deadline=None)
def test_text_that_comes_token_by_token_is_the_whole_text(tokenizer, text):
    tokens = tokenizer.encode(text)
    words = Detokenizer(tokenizer)
    pieces = [words.add(token) for token in tokens]
    whole = tokenizer.decode(tokens, skip_special_tokens=True)
    assert "".join(pieces) == whole


def test_no_piece_ends_within_a_character(tmp_path):
    tokenizer = read_tokenizer(write_tokenizer_files(tmp_path / "m", tokenizer_of_kind("byte-level")), CONFIG)
    tokens = tokenizer.encode("Look: 🦥🫠 done")
    words = Detokenizer(tokenizer)
    pieces = [words.add(token) for token in tokens]
    assert "".join(pieces) == "Look: 🦥🫠 done"
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def test_bytes_that_are_no_character_do_not_hold_the_text_up(tmp_path):
    tokenizer = read_tokenizer(write_tokenizer_files(tmp_path / "m", tokenizer_of_kind("byte-level")), CONFIG)
    half = tokenizer.encode("🦥")[1:2]
    words = Detokenizer(tokenizer)
    shown = "".join(words.add(token) for token in [*(half * 20), *tokenizer.encode("end")])
    assert shown.endswith("end")


def test_special_tokens_and_ids_without_a_token_have_no_text(tokenizer):
    words = Detokenizer(tokenizer)
    assert [words.add(token) for token in (0, 1, 2, 3, 10**6)] == [""] * 5


def test_a_continued_answer_has_the_space_that_belongs_before_its_word(tmp_path):
    tokenizer = read_tokenizer(write_tokenizer_files(tmp_path / "m", tokenizer_of_kind("sentencepiece")), CONFIG)
    tokens = tokenizer.encode("I play the guitar")
    words = Detokenizer(tokenizer, tokens[:-1])
    before = tokenizer.decode(tokens[:-1], skip_special_tokens=True)
    assert before + words.add(tokens[-1]) == "I play the guitar"


# ------------------------------------------------------------------------------------------- nothing is run
HOOKED = """
import builtins, json, sys
from pathlib import Path
from engine.settings import GenerationOptions
from engine.tokens.prompt import Conversation
from engine.tokens.tokenizer import read_tokenizer
seen = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "os.system"):
        seen.append((event, str(arguments)))
    if event == "exec" and "odd_" in arguments[0].co_filename:
        seen.append((event, arguments[0].co_filename))
    if event == "import" and "odd_" in arguments[0]:
        seen.append((event, arguments[0]))
sys.addaudithook(hook)
builtins.input = lambda *asked: seen.append(("input", asked)) or "y"
messages = [{"role": "user", "content": "Hi"}]
for folder in map(Path, sys.argv[1:]):
    sys.path.insert(0, str(folder))
    tokenizer = read_tokenizer(folder, json.loads((folder / "config.json").read_text()))
    print("tokens", len(Conversation(tokenizer, messages, GenerationOptions()).tokens(messages)) > 0)
print("seen", seen)
"""
CODE = "open(__file__ + '.ran', 'w').write('yes')\nclass OddTokenizer: pass\nOddConfig = OddProcessor = OddTokenizer\n"
MAPS = {
    "AutoTokenizer": ["someone/else--odd_tokenizer.OddTokenizer", None],
    "AutoConfig": "odd_config.OddConfig",
    "AutoProcessor": "odd_processor.OddProcessor",
}
CODED = [  # config.json, and what tokenizer_config.json has beside the usual
    ({"model_type": "llama"}, {"auto_map": MAPS, "tokenizer_class": "OddTokenizer"}),
    ({"model_type": "sparsellama", "auto_map": MAPS}, {}),
    ({"model_type": "odd_", "auto_map": MAPS}, {"auto_map": MAPS["AutoTokenizer"]}),
    ({"model_type": "llama", "auto_map": {"AutoConfig": "evil/repo--odd_config.OddConfig"}}, {"auto_map": MAPS}),
    ({"model_type": "mistral"}, {"auto_map": MAPS, "processor_class": "OddProcessor", "tool_parser_type": "odd_x"}),
    ({"model_type": "llama"}, {"chat_template_type": "odd_template", "tool_parser_type": "..odd_parser"}),
    ({"model_type": "../odd_"}, {"tokenizer_class": "../odd_tokenizer", "tokenizer_file": "/etc/passwd"}),
]


@pytest.mark.parametrize("offline", ["0", "1"])
def test_code_of_a_repository_is_never_asked_about_fetched_or_run(tmp_path, offline):
    folders = []
    for i, (config, more) in enumerate(CODED):
        folder = write_tokenizer_files(tmp_path / f"model-{i}", tokenizer_of_kind("byte-level"), **more)
        (folder / "config.json").write_text(json.dumps(config))
        for name in ("tokenizer", "config", "processor", "template", "parser", "x"):
            (folder / f"odd_{name}.py").write_text(CODE)
        folders.append(str(folder))
    run = subprocess.run(
        [sys.executable, "-c", HOOKED, *folders],
        input="y\n" * 9,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", "HOME": str(tmp_path), "HF_HUB_OFFLINE": offline, "HF_ENDPOINT": "http://127.0.0.1:9"},
    )
    assert run.stdout.splitlines() == ["tokens True"] * len(CODED) + ["seen []"], run.stderr
    assert not list(tmp_path.rglob("*.ran"))


def test_a_tokenizer_that_is_only_code_is_refused_by_its_name(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    settings = {"tokenizer_class": "OddTokenizer", "auto_map": {"AutoTokenizer": ["odd_tokenizer.OddTokenizer", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "odd_tokenizer.py").write_text(CODE)
    with pytest.raises(TokenizerError, match=r"odd_tokenizer\.OddTokenizer\), which Flashbulb does not run"):
        read_tokenizer(folder, {"model_type": "odd"})
    assert not list(folder.glob("*.ran"))


# ------------------------------------------------------------------------------------------- other kinds of files
LLAMAS = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}  # options of its training


def write_sentencepiece(folder, **options):
    folder.mkdir()
    (folder / "texts").write_text("\n".join(TEXTS * 20))
    SentencePieceTrainer.train(
        input=str(folder / "texts"),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=400,
        model_type="bpe",
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@given(st.lists(st.sampled_from(["Do", "you", "like", "", "你好", "🦙", "it's\n\t2+2"]), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_a_sentencepiece_model_is_converted_to_what_it_is(sentencepiece, words):
    folder, tokenizer = sentencepiece
    text = " ".join(word or "x" for word in words)
    ids = SentencePieceProcessor(model_file=str(folder / "tokenizer.model")).encode(text)
    assert tokenizer.encode(text) == [tokenizer.wrapper.bos_token_id, *ids]
    assert tokenizer.decode(ids) == text


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory):
    folder = write_sentencepiece(tmp_path_factory.mktemp("kinds") / "bpe", **LLAMAS)
    return folder, read_tokenizer(folder, CONFIG)


def test_a_sentencepiece_model_that_would_become_another_tokenizer_is_refused(tmp_path):
    folder = write_sentencepiece(tmp_path / "model", normalization_rule_name="nfkc_cf")  # which lowers letters
    with pytest.raises(TokenizerError, match=r"tokenizer\.model is of a kind that cannot be converted"):
        read_tokenizer(folder, CONFIG)


WORDS = [b"he", b"ll", b"hell", b"hello", b" w", b"or", b" wor", b"ld", b" world"]  # that pairs are merged to


def write_tiktoken(path, settings):
    path.parent.mkdir(exist_ok=True)
    tokens = [*(bytes([byte]) for byte in range(256)), *WORDS]
    path.write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens)))
    (path.parent / "tokenizer_config.json").write_text(json.dumps(settings))
    return path.parent


PLAIN = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}
ADDED = {"added_tokens_decoder": {"265": {"content": "<|end|>", "special": True}}}
MERGED = [256 + WORDS.index(b"hello"), 256 + WORDS.index(b" world")]


@pytest.mark.parametrize("name", ["tiktoken.model", "tokenizer.model"])
@pytest.mark.parametrize("kind", [PLAIN, {}, PLAIN | {"tokenizer_class": "LlamaTokenizer"}])
def test_a_tiktoken_file_that_needs_no_code_is_converted(tmp_path, name, kind):
    tokenizer = read_tokenizer(write_tiktoken(tmp_path / "model" / name, kind | ADDED), CONFIG)
    assert tokenizer.library.encode("hello world", add_special_tokens=False) == MERGED
    assert tokenizer.encode_marked("hello<|end|>")[-2:] == [MERGED[0], 265]
    text = "hello  world, naïve 你好 🦙!"
    assert tokenizer.decode(tokenizer.library.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize("name", ["tiktoken.model", "tokenizer.model"])
def test_a_tiktoken_file_that_needs_its_repositorys_code_is_refused(tmp_path, name):
    settings = {"tokenizer_class": "TikTokenTokenizer", "auto_map": {"AutoTokenizer": ["kimi.TikTokenTokenizer", None]}}
    folder = write_tiktoken(tmp_path / "model" / name, settings)
    with pytest.raises(TokenizerError, match=r"kimi\.TikTokenTokenizer\), which Flashbulb does not run"):
        read_tokenizer(folder, {"model_type": "kimi_k2"})


def test_a_file_of_mistrals_is_converted(tmp_path):
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]"]
    words = [*(bytes([byte]) for byte in range(256)), *WORDS]
    content = {
        "config": {"pattern": r" ?\p{L}+|\s+|[^\s\p{L}]+", "num_vocab_tokens": len(words), "default_vocab_size": 280,
                   "default_num_special_tokens": len(names), "version": "v3"},
        "vocab": [{"rank": i, "token_bytes": base64.b64encode(w).decode()} for i, w in enumerate(words)],
        "special_tokens": [{"rank": i, "token_str": name, "is_control": True} for i, name in enumerate(names)],
    }  # fmt: skip
    (tmp_path / "tekken.json").write_text(json.dumps(content))
    tokenizer = read_tokenizer(tmp_path, {"model_type": "mistral"})
    assert tokenizer.library.encode("hello world", add_special_tokens=False) == [len(names) + i for i in MERGED]
    assert tokenizer.added["[TOOL_CALLS]"] == names.index("[TOOL_CALLS]")


@pytest.mark.parametrize("kind", ["LlamaTokenizer", "Qwen2Tokenizer", "GPT2Tokenizer"])
def test_a_tokenizer_without_a_vocabulary_is_refused(tmp_path, kind):
    """As transformers would make it of settings alone; its file may be of a name that only code knows."""
    folder = write_tiktoken(tmp_path / "model" / "qwen.tiktoken", {"tokenizer_class": kind})
    with pytest.raises(TokenizerError, match=r"has no vocabulary\. Get the model again, or a conversion"):
        read_tokenizer(folder, CONFIG)


# --------------------------------------------------------------------------------------------- damaged files
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 123456\n"


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (POINTER, "git lfs pull"),
        (b"", "is empty"),
        (b'{"a": ', "is cut off"),
        (b"[]", "no table of names"),
        (b"\xff\xfe{", "no UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"model": {"type": "BPE", "vocab": 3}, "added_tokens": {}}', None),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, said):
    folder = write_tokenizer_files(tmp_path / "model", tokenizer_of_kind("byte-level"))
    (folder / name).write_bytes(content)
    if not said and name != "tokenizer.json":
        read_tokenizer(folder, CONFIG)
        return
    with pytest.raises(TokenizerError, match=said) as caught:
        read_tokenizer(folder, CONFIG)
    assert (name if said else str(folder)) in str(caught.value)


def test_a_byte_order_mark_is_read_over(tmp_path):
    folder = write_tokenizer_files(tmp_path / "model", tokenizer_of_kind("byte-level"))
    path = folder / "tokenizer_config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_tokenizer(folder, CONFIG).template.source == CHATML


def test_a_panic_of_the_library_is_an_error_of_ours(tokenizer, monkeypatch):
    class PanicError(BaseException):  # as pyo3's is, which is no Exception
        pass

    def panic(*_, **__):
        raise PanicError("index out of bounds")

    broken = read_tokenizer(tokenizer.place, CONFIG)
    monkeypatch.setattr(type(broken.library), "encode", panic)
    with pytest.raises(TokenizerError, match="index out of bounds"):
        broken.encode("Hi")


# -------------------------------------------------------------------------------------------------- templates
@pytest.mark.parametrize(
    ("files", "settings", "place"),
    [
        ({"chat_template.jinja": "{{ messages[0].content }}"}, {}, "chat_template.jinja"),
        ({}, {"chat_template": "{{ messages[0].content }}"}, "tokenizer_config.json"),
        ({"chat_template.json": '{"chat_template": "{{ messages[0].content }}"}'}, {}, "chat_template.json"),
        (
            {},
            {
                "chat_template": [
                    {"name": "tool_use", "template": "tools"},
                    {"name": "default", "template": "{{ messages[0].content }}"},
                ]
            },
            "tokenizer_config.json",
        ),
    ],
)
def test_a_template_is_found_wherever_it_is_kept(tmp_path, files, settings, place):
    folder = write_tokenizer_files(tmp_path / "model", tokenizer_of_kind("byte-level"), None, **settings)
    for name, content in files.items():
        (folder / name).write_text(content)
    template = read_tokenizer(folder, CONFIG).template
    assert template.render([{"role": "user", "content": "Hi"}], 10) == "Hi"
    assert template.place == place


def test_a_folder_without_any_tokenizer_has_none(tmp_path):
    assert read_tokenizer(tmp_path, CONFIG) is None
