"""Small random checkpoints in the form of the real ones."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SENTENCES = [
    "Do you like music? I play the guitar on weekends.",
    "I have two dogs, and we walk in the park every morning.",
    "What did you cook for dinner? Pasta, with tomatoes from the garden.",
    "The weather is fine today, so let us go to the beach.",
]
OPT = {
    "architectures": ["OPTForCausalLM"],
    "model_type": "opt",
    "activation_function": "relu",
    "vocab_size": 320,
    "hidden_size": 24,
    "word_embed_proj_dim": 24,
    "ffn_dim": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "do_layer_norm_before": True,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
}


def write_opt(folder: Path, tokenizer: bool = True, shards: int = 1, seed: int = 0, **changes) -> Path:
    """Write a random OPT checkpoint. changes: config keys that differ from `OPT`."""
    folder.mkdir(parents=True)
    config = OPT | changes
    (folder / "config.json").write_text(json.dumps(config))
    tensors = random_opt(config, np.random.default_rng(seed))
    names = sorted(tensors)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
    else:
        files = [f"model-{i + 1:05d}-of-{shards:05d}.safetensors" for i in range(shards)]
        weight_map = {name: files[i % shards] for i, name in enumerate(names)}
        for file in files:
            save_file({n: tensors[n] for n in names if weight_map[n] == file}, folder / file)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    if tokenizer:
        write_tokenizer(folder, config["vocab_size"])
    return folder


def random_opt(config: dict, rng) -> dict[str, np.ndarray]:
    """Weights by name; biases of the up projection are low, so that most neurons are inactive."""
    width, ffn, embedding = config["hidden_size"], config["ffn_dim"], config["word_embed_proj_dim"]

    def normal(*shape, scale=0.3, mean=0.0):
        return (mean + scale * rng.standard_normal(shape)).astype(np.float32)

    tensors = {
        "model.decoder.embed_tokens.weight": normal(config["vocab_size"], embedding),
        "model.decoder.embed_positions.weight": normal(config["max_position_embeddings"] + 2, width),
        "model.decoder.final_layer_norm.weight": normal(width, mean=1.0, scale=0.1),
        "model.decoder.final_layer_norm.bias": normal(width),
    }
    if embedding != width:
        tensors["model.decoder.project_in.weight"] = normal(width, embedding)
        tensors["model.decoder.project_out.weight"] = normal(embedding, width)
    if not config["do_layer_norm_before"]:
        del tensors["model.decoder.final_layer_norm.weight"], tensors["model.decoder.final_layer_norm.bias"]
    for i in range(config["num_hidden_layers"]):
        layer = f"model.decoder.layers.{i}."
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            tensors[f"{layer}self_attn.{name}.weight"] = normal(width, width)
            tensors[f"{layer}self_attn.{name}.bias"] = normal(width)
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            tensors[f"{layer}{name}.weight"] = normal(width, mean=1.0, scale=0.1)
            tensors[f"{layer}{name}.bias"] = normal(width)
        tensors |= {f"{layer}fc1.weight": normal(ffn, width), f"{layer}fc1.bias": normal(ffn, mean=-2.0)}
        tensors |= {f"{layer}fc2.weight": normal(width, ffn), f"{layer}fc2.bias": normal(width)}
    return tensors


def write_tokenizer(folder: Path, vocabulary: int) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.save(str(folder / "tokenizer.json"))
    template = "{{ bos_token }}{% for m in messages %}{{ m['content'] + '\\n' }}{% endfor %}"
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    config |= {"pad_token": "<pad>", "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_text(path: Path, repeats: int = 40) -> Path:
    """A plain text of a few thousand tokens."""
    path.write_text("\n".join(SENTENCES * repeats))
    return path
