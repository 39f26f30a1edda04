"""The dtypes that weights are stored in: by MLX's name, and by safetensors'."""

import mlx.core as mx

DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
STORED = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
NAMES = {stored: name for name, stored in STORED.items()}


def stored_dtype(stored: str) -> mx.Dtype:
    """The dtype that safetensors calls F32, F16 or BF16."""
    return DTYPES[NAMES[stored]]
