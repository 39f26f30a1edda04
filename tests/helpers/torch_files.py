"""State dicts as torch.save writes them, assembled by hand: no test needs PyTorch, and each can lie where it wants."""

import json
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

SINGLE = "model.safetensors"
STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage"}
EMPTY = b"ccollections\nOrderedDict\n)R"
REBUILD = "torch._utils _rebuild_tensor_v2"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def numbers(values) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def glob(name: str) -> bytes:
    return b"c" + name.replace(" ", "\n").encode() + b"\n"


def storage(key: str, items: int, kind: str = "FloatStorage") -> bytes:
    return b"(" + text("storage") + glob(f"torch {kind}") + text(key) + text("cpu") + number(items) + b"tQ"


def tensor(place: bytes, shape, stride, offset: int = 0) -> bytes:
    return glob(REBUILD) + b"(" + place + number(offset) + numbers(shape) + numbers(stride) + b"\x89" + EMPTY + b"tR"


def table(tensors: dict[str, bytes]) -> bytes:
    return b"\x80\x02" + EMPTY + b"(" + b"".join(text(name) + value for name, value in tensors.items()) + b"u."


def write_zip(path: Path, data: bytes, storages: dict[str, bytes], compression=zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return path


def write_bin(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """A state dict, as torch.save would write it."""
    tensors, storages = {}, {}
    for i, (name, array) in enumerate(arrays.items()):
        strides = [step // array.itemsize for step in np.empty_like(array).strides]
        tensors[name] = tensor(storage(str(i), array.size, STORAGES[str(array.dtype)]), array.shape, strides)
        storages[str(i)] = array.tobytes()
    return write_zip(path, table(tensors), storages)


def one_tensor(path: Path, value: bytes, content: bytes = bytes(24)) -> Path:
    return write_zip(path, table({"weight": value}), {"0": content})


def as_bin(checkpoint: Path, folder: Path, shards: int = 1) -> Path:
    """A checkpoint's copy in PyTorch's old form."""
    shutil.copytree(checkpoint, folder)
    (folder / SINGLE).unlink()
    arrays = load_file(checkpoint / SINGLE)
    if shards == 1:
        write_bin(folder / "pytorch_model.bin", arrays)
        return folder
    files = {name: f"pytorch_model-{i % shards + 1:05d}-of-{shards:05d}.bin" for i, name in enumerate(arrays)}
    for file in set(files.values()):
        write_bin(folder / file, {name: array for name, array in arrays.items() if files[name] == file})
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": files}))
    return folder
