"""Small tokenizers of the kinds that there are, in the files of the Hub."""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    "Do you like music? I play the guitar on weekends.",
    "def answer(question):\n    return len(question) * 2",
    "你好,世界。 Ünïcödé 🦙🎸 and some more words to learn from.",
]
SPECIAL = ["<s>", "</s>", "<pad>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
KINDS = ("byte-level", "sentencepiece", "unigram", "wordpiece")


def tokenizer_of_kind(kind: str, special: list[str] = SPECIAL) -> Tokenizer:
    """A tokenizer that was trained on a few sentences. sentencepiece: a BPE with bytes for what it does not know."""
    if kind == "byte-level":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    elif kind == "sentencepiece":
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        fallback = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        tokenizer.decoder = decoders.Sequence(fallback)
        letters = [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=[*special, "<unk>", *letters])
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=[*special, "<unk>"], unk_token="<unk>")
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=[*special, "<unk>"])
    tokenizer.train_from_iterator(TEXTS, trainer)
    if kind == "sentencepiece":  # the bytes are tokens of the model, and no special ones
        tokenizer = _without_special(tokenizer, letters)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def write_tokenizer_files(
    folder: Path,
    tokenizer: Tokenizer,
    template: Any = CHATML,
    added: tuple[str, ...] = (),
    **settings: Any,
) -> Path:
    """Write a tokenizer into a model's folder. added: tokens that are no special ones. template: None for none."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in added])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    config |= {"pad_token": "<pad>"} | ({"chat_template": template} if template is not None else {})
    (folder / "tokenizer_config.json").write_text(json.dumps(config | settings))
    return folder


def _without_special(tokenizer: Tokenizer, names: list[str]) -> Tokenizer:
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] not in names]
    return Tokenizer.from_str(json.dumps(content))
