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


LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "relu",
    "vocab_size": 160,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
}
GROUPED = {"num_key_value_heads": 2}
SIZES = {name: LLAMA[name] for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")}
SIZES |= {name: LLAMA[name] for name in ("max_position_embeddings", "bos_token_id", "pad_token_id", "eos_token_id")}
FALCON = SIZES | {
    "architectures": ["FalconForCausalLM"],
    "model_type": "falcon",
    "activation": "relu",
    "alibi": False,
    "bias": False,
    "multi_query": True,
    "new_decoder_architecture": False,
    "parallel_attn": True,
    "ffn_hidden_size": 80,
    "layer_norm_epsilon": 1e-5,
}
PERSIMMON = SIZES | {
    "architectures": ["PersimmonForCausalLM"],
    "model_type": "persimmon",
    "hidden_act": "relu2",
    "intermediate_size": 64,
    "qk_layernorm": True,
    "layer_norm_eps": 1e-5,
    "partial_rotary_factor": 0.5,
    "rope_theta": 25000.0,
    "tie_word_embeddings": False,
}
PHI = SIZES | {
    "architectures": ["PhiForCausalLM"],
    "model_type": "phi",
    "hidden_act": "relu",
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "qk_layernorm": False,
    "layer_norm_eps": 1e-5,
    "partial_rotary_factor": 0.4,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
NEMOTRON = SIZES | {
    "architectures": ["NemotronForCausalLM"],
    "model_type": "nemotron",
    "hidden_act": "relu2",
    "intermediate_size": 64,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "norm_eps": 1e-5,
    "partial_rotary_factor": 0.5,
    "rope_theta": 10000.0,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": False,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 32.0, "beta_slow": 1.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
# One of each family and of each of its forms, under the names that real config.json files use.
FAMILIES = {
    "falcon-7b": FALCON | {"ffn_hidden_size": None},  # four times the width
    "falcon-40b": FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2, "tie_word_embeddings": False},
    "falcon-11b": FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1},
    "falcon-serial": FALCON | {"multi_query": False, "parallel_attn": False, "bias": True},
    "persimmon": PERSIMMON,
    "phi": PHI,
    "llama": LLAMA,
    "llama-grouped-tied": LLAMA | GROUPED | {"tie_word_embeddings": True, "head_dim": 16, "attention_bias": True},
    "llama-long": LLAMA | {"rope_parameters": LLAMA3 | {"rope_theta": 500.0, "original_max_position_embeddings": 32}},
    "mistral": LLAMA
    | GROUPED
    | {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 48},
    "sparsellama": LLAMA
    | {"architectures": ["SparseLlamaForCausalLM"], "model_type": "sparsellama"}
    | {"hidden_act": "fatrelu", "hidden_act_param": 0.5},
    "bamboo": LLAMA
    | GROUPED
    | {"architectures": ["BambooForCausalLM"], "model_type": "bamboo", "sliding_window": None},
    "nemotron": NEMOTRON,
    "arcee": LLAMA
    | GROUPED
    | {"architectures": ["ArceeForCausalLM"], "model_type": "arcee", "hidden_act": "relu2", "rope_scaling": YARN},
}


def write_opt(folder: Path, tokenizer: bool = True, shards: int = 1, seed: int = 0, **changes) -> Path:
    """Write a random OPT checkpoint. changes: config keys that differ from `OPT`."""
    config = OPT | changes
    return write_checkpoint(folder, config, random_opt(config, np.random.default_rng(seed)), tokenizer, shards)


def write_family(folder: Path, name: str, tokenizer: bool = True, seed: int = 0, **changes) -> Path:
    """Write a random checkpoint of one of `FAMILIES`. changes: config keys that differ."""
    config = FAMILIES[name] | changes
    return write_checkpoint(folder, config, random_family(config, np.random.default_rng(seed)), tokenizer)


def write_checkpoint(
    folder: Path, config: dict, tensors: dict[str, np.ndarray], tokenizer: bool = True, shards: int = 1
) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
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


def random_family(config: dict, rng) -> dict[str, np.ndarray]:
    """Weights by name, for the families other than OPT. Without a bias, half of the neurons are inactive."""
    around = 0.0 if config["model_type"] == "nemotron" else 1.0  # what Nemotron's norms add is stored, not the sum
    tensors = {}
    for name, shape in _shapes(config).items():
        norm = "norm" in name or "ln_" in name
        mean, scale = (around, 0.1) if norm and name.endswith(".weight") else (0.0, 0.3)
        tensors[name] = (mean + scale * rng.standard_normal(shape)).astype(np.float32)
    return tensors


def _shapes(config: dict) -> dict[str, tuple[int, ...]]:
    if config["model_type"] == "falcon":
        return _falcon_shapes(config)
    if config["model_type"] == "persimmon":
        return _persimmon_shapes(config)
    return _phi_shapes(config) if config["model_type"] == "phi" else _llama_shapes(config)


def _linear(name: str, inputs: int, outputs: int, bias: bool = False) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs)} | ({f"{name}.bias": (outputs,)} if bias else {})


def _norm(name: str, width: int, bias: bool = True) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,)} | ({f"{name}.bias": (width,)} if bias else {})


def _llama_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    """Also Nemotron, whose norms have biases; it and Arcee have no gate."""
    width, ffn, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    dim, bias = config.get("head_dim") or width // heads, config.get("attention_bias", False)
    nemotron = config["model_type"] == "nemotron"
    outputs = {"q_proj": heads * dim, "k_proj": config["num_key_value_heads"] * dim}
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], width)} | _norm("model.norm", width, nemotron)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        for name, size in (outputs | {"v_proj": outputs["k_proj"]}).items():
            shapes |= _linear(f"{layer}self_attn.{name}", width, size, bias)
        shapes |= _linear(f"{layer}self_attn.o_proj", heads * dim, width, bias)
        shapes |= _norm(f"{layer}input_layernorm", width, nemotron)
        shapes |= _norm(f"{layer}post_attention_layernorm", width, nemotron)
        for name in ("up_proj",) if config["model_type"] in ("nemotron", "arcee") else ("gate_proj", "up_proj"):
            shapes |= _linear(f"{layer}mlp.{name}", width, ffn)
        shapes |= _linear(f"{layer}mlp.down_proj", ffn, width)
    return shapes if config["tie_word_embeddings"] else shapes | _linear("lm_head", width, config["vocab_size"])


def _falcon_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    width, heads, bias = config["hidden_size"], config["num_attention_heads"], config["bias"]
    ffn = config["ffn_hidden_size"] or 4 * width
    if config["new_decoder_architecture"]:
        groups = config["num_kv_heads"]
        norms = ["ln_attn", "ln_mlp"] if config.get("num_ln_in_parallel_attn") != 1 else ["input_layernorm"]
    else:
        groups = 1 if config["multi_query"] else heads
        norms = ["input_layernorm"] + ([] if config["parallel_attn"] else ["post_attention_layernorm"])
    embeddings = {"transformer.word_embeddings.weight": (config["vocab_size"], width)}
    shapes = embeddings | _norm("transformer.ln_f", width)
    for i in range(config["num_hidden_layers"]):
        layer = f"transformer.h.{i}."
        shapes |= _linear(f"{layer}self_attention.query_key_value", width, (heads + 2 * groups) * width // heads, bias)
        shapes |= _linear(f"{layer}self_attention.dense", width, width, bias)
        shapes |= _linear(f"{layer}mlp.dense_h_to_4h", width, ffn, bias)
        shapes |= _linear(f"{layer}mlp.dense_4h_to_h", ffn, width, bias)
        for norm in norms:
            shapes |= _norm(layer + norm, width)
    # A file may hold the tied head as well, as Falcon 7B's does.
    return (
        shapes | _linear("lm_head", width, config["vocab_size"])
        if not config.get("tie_word_embeddings", True)
        else shapes
    )


def _persimmon_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    width, ffn, dim = (
        config["hidden_size"],
        config["intermediate_size"],
        config["hidden_size"] // config["num_attention_heads"],
    )
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], width)} | _norm("model.final_layernorm", width)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        shapes |= _linear(f"{layer}self_attn.query_key_value", width, 3 * width, True)
        shapes |= _linear(f"{layer}self_attn.dense", width, width, True)
        shapes |= _norm(f"{layer}self_attn.q_layernorm", dim) | _norm(f"{layer}self_attn.k_layernorm", dim)
        shapes |= _norm(f"{layer}input_layernorm", width) | _norm(f"{layer}post_attention_layernorm", width)
        shapes |= _linear(f"{layer}mlp.dense_h_to_4h", width, ffn, True)
        shapes |= _linear(f"{layer}mlp.dense_4h_to_h", ffn, width, True)
    return shapes | _linear("lm_head", width, config["vocab_size"])


def _phi_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    width, ffn = config["hidden_size"], config["intermediate_size"]
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], width)} | _norm("model.final_layernorm", width)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        for name in ("q_proj", "k_proj", "v_proj", "dense"):
            shapes |= _linear(f"{layer}self_attn.{name}", width, width, True)
        shapes |= _norm(f"{layer}input_layernorm", width)
        shapes |= _linear(f"{layer}mlp.fc1", width, ffn, True) | _linear(f"{layer}mlp.fc2", ffn, width, True)
    return shapes | _linear("lm_head", width, config["vocab_size"], True)


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
