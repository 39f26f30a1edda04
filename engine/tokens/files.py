"""The files of a model's folder that make its tokenizer and its chat template."""

CONFIG, TEMPLATE, LEGACY_TEMPLATE = "tokenizer_config.json", "chat_template.jinja", "chat_template.json"
SENTENCEPIECE, TIKTOKEN = "tokenizer.model", "tiktoken.model"
TABLES = (  # any of these is a tokenizer, and the first is what the others are converted to
    "tokenizer.json",
    SENTENCEPIECE,
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
    TIKTOKEN,
)
TOKENIZER_COMPANIONS = ("merges.txt", "added_tokens.json", "special_tokens_map.json")
