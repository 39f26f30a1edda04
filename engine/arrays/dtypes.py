"""The dtypes that weights are stored in: by MLX's name, and by safetensors'."""

import mlx.core as mx

DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}
FLOAT_CODES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
NAMES = {stored: name for name, stored in FLOAT_CODES.items()}


def stored_dtype(stored: str) -> mx.Dtype:
    """The dtype that safetensors calls F32, F16 or BF16."""
    return DTYPES[NAMES[stored]]


def name_of(dtype: mx.Dtype) -> str:
    """MLX's name of a dtype."""
    return str(dtype).removeprefix("mlx.core.")


UNSIGNED = {"U8": mx.uint8, "U16": mx.uint16, "U32": mx.uint32}  # packed weights, and scales of fp4 and fp8
INTEGERS = {"I8": mx.int8, "I16": mx.int16, "I32": mx.int32, "I64": mx.int64, "U64": mx.uint64}
BY_NAME = {**DTYPES, **{stored: DTYPES[name] for stored, name in NAMES.items()}, **UNSIGNED, **INTEGERS}
STORED_NAMES = {dtype: name for name, dtype in BY_NAME.items() if name not in DTYPES}  # safetensors', by MLX's dtype


def mlx_dtype(name: str) -> mx.Dtype:
    """The dtype of MLX's or safetensors' name, float or integer. Raises KeyError for one that MLX has not."""
    return BY_NAME[name]
