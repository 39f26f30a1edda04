"""Models by size alone: their configs, how their neurons are used, and what the paper reports of them."""

from dataclasses import dataclass, field

from engine.planning.reuse import FALCON, OPT, Reuse

Row = tuple[float, float, float, float]
Figures = dict[str, float]  # of a row, by name
RIPPLE_RUN = 3.12  # bundles: mean run of OPT 6.7B's neurons once ordered by co-activation (arXiv 2410.19274)


@dataclass(frozen=True)
class Shape:
    """config: as on the Hub. reuse, window: how neurons are used again, and the paper's window. table2, table3: the
    paper's, by the name of a row."""

    config: dict[str, object]
    reuse: Reuse
    window: int = 4
    table2: dict[str, Figures] = field(default_factory=dict)
    table3: dict[str, Figures] = field(default_factory=dict)


def opt_config(width: int, layers: int, heads: int) -> dict[str, object]:
    """An OPT of some size."""
    return {
        "architectures": ["OPTForCausalLM"],
        "model_type": "opt",
        "activation_function": "relu",
        "vocab_size": 50272,
        "hidden_size": width,
        "word_embed_proj_dim": width,
        "ffn_dim": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": 2048,
        "do_layer_norm_before": True,
        "torch_dtype": "float16",
    }


FALCON_7B = {
    "architectures": ["FalconForCausalLM"],
    "model_type": "falcon",
    "activation": "relu",
    "vocab_size": 65024,
    "hidden_size": 4544,
    "num_hidden_layers": 32,
    "num_attention_heads": 71,
    "max_position_embeddings": 2048,
    "alibi": False,
    "bias": False,
    "multi_query": True,
    "new_decoder_architecture": False,
    "parallel_attn": True,
    "layer_norm_epsilon": 1e-5,
    "torch_dtype": "bfloat16",
}
LLAMA_2_7B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "relu",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
}


def _table2(naive: Row, hybrid: Row, *rest: Row) -> dict[str, Figures]:
    names = ("naive", "hybrid", "+ predictor", "+ windowing", "+ bundling")
    return {
        name: {"dram_bytes": dram * 1e9, "bytes_read": read * 1e9, "bytes_per_s": rate * 1e9, "io_ms": io}
        for name, (dram, read, rate, io) in zip(names, (naive, hybrid, *rest), strict=True)
    }


def _table3(**rows: Row) -> dict[str, Figures]:
    return {
        name: dict(zip(("io_ms", "memory_ms", "compute_ms", "total_ms"), figures, strict=True))
        for name, figures in rows.items()
    }


SHAPES = {
    "opt-125m": Shape(opt_config(768, 12, 12), OPT),
    "opt-1.3b": Shape(opt_config(2048, 24, 32), OPT),
    "opt-2.7b": Shape(opt_config(2560, 32, 32), OPT),
    "opt-6.7b": Shape(
        opt_config(4096, 32, 32),
        OPT,
        table2=_table2(
            (0, 13.4, 6.10, 2196), (6.7, 6.7, 6.10, 1090), (4.8, 0.9, 1.25, 738), (6.5, 0.2, 1.25, 164),
            (6.5, 0.2, 2.25, 87),
        ),
        table3=_table3(naive=(2196, 0, 986, 3182), paper=(105, 58, 506, 669)),
    ),
    "falcon-7b": Shape(
        FALCON_7B,
        FALCON,
        table3=_table3(naive=(2295, 0, 800, 3095), hybrid=(1147, 0, 800, 1947), paper=(161, 92, 453, 706)),
    ),
    # Of OPT 1.3B's size, to compare with: no such Falcon was published.
    "falcon-1.3b": Shape(
        FALCON_7B | {"hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32, "vocab_size": 50304},
        FALCON,
    ),
    # The paper's window of 2; that a token selects 24 % is of ProSparse's predictors, the rest follows from table 3.
    "llama-2-7b": Shape(
        LLAMA_2_7B,
        Reuse.fit(selected=0.24, resident=0.36, loaded=0.069, window=2),
        window=2,
        table3=_table3(naive=(2166, 0, 929, 3095), hybrid=(974, 0, 929, 1903), paper=(279, 152, 563, 994)),
    ),
}  # fmt: skip
