"""The command line as a user's scripts see it: standard output, standard error, exit status."""

import json
import math
import os
import shutil
import subprocess
import sys
from errno import ENOENT

import numpy as np
import pytest
from safetensors.numpy import load_file

from engine.cli.arguments import size as _size
from engine.prepare import making
from engine.store.manifest import BUNDLES
from tests.helpers.checkpoints import write_opt, write_text
from tests.helpers.command_line import run


def test_generate_prints_one_json_object(capsys, tiny_model):
    status, out, _ = run(
        capsys, "generate", tiny_model, "--prompt", "Do you like music?", "--max-tokens", 5, "--seed", 1, "--json"
    )
    report = json.loads(out)
    assert status == 0
    assert {"text", "prompt_tokens", "tokens", "time_to_first_token_s", "tokens_per_second"} <= report.keys()
    assert {"footprint_bytes", "budget_bytes", "model_bytes", "flash_bytes"} <= report.keys()
    assert report["prefill"].keys() == {"seconds", "bytes_read"}
    assert {
        "io_ms", "memory_ms", "compute_ms", "total_ms", "bytes_read", "reads", "hit_rate", "active_neurons",
        "resident_neurons",
    } <= report["per_token"].keys()  # fmt: skip
    assert 1 <= len(report["tokens"]) <= 5
    assert report["flash_bytes"] < report["model_bytes"]


def test_generate_for_people_ends_with_its_cost(capsys, tiny_model):
    status, out, err = run(capsys, "generate", tiny_model, "--prompt", "Hello", "--max-tokens", 4, "--raw")
    assert status == 0
    assert out.endswith("\n")
    assert "tokens/s, first token" in err


def test_a_window_that_does_not_fit_is_told(capsys, tiny_model):
    _, _, refusal = run(capsys, "generate", tiny_model, "--prompt", "Hi", "--memory-budget", "1KB")
    smallest = json.loads(run(capsys, "info", tiny_model, "--json")[1])["smallest_budget_bytes"]
    assert "smallest that works is" in refusal
    arguments = ["--memory-budget", smallest, "--window", 32, "--max-tokens", 40, "--temperature", 0]
    status, _, err = run(capsys, "generate", tiny_model, "--prompt", "Do you like music?", *arguments)
    assert status == 0
    assert "did not fit the neuron pool" in err


def test_eval_reports_and_saves_logits(capsys, tiny_model, tmp_path):
    tokens = np.random.default_rng(0).integers(3, 320, 30).tolist()
    (tmp_path / "tokens.json").write_text(json.dumps(tokens))
    saved = tmp_path / "logits.safetensors"
    status, out, _ = run(
        capsys, "eval", tiny_model, "--tokens", tmp_path / "tokens.json", "--save-logits", saved, "--json"
    )
    report, logits = json.loads(out), load_file(saved)["logits"]
    assert status == 0
    assert (logits.shape, logits.dtype) == ((30, 320), np.float32)
    log_probabilities = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    nats = -np.mean([log_probabilities[i, tokens[i + 1]] for i in range(29)])
    assert report["nats_per_token"] == pytest.approx(nats, rel=1e-4)
    assert report["perplexity"] == pytest.approx(math.exp(report["nats_per_token"]))
    assert len(report["sparsity"]) == 2


def test_eval_of_a_text_counts_its_bytes(capsys, tiny_model, tmp_path):
    text = write_text(tmp_path / "text.txt", repeats=1)
    status, out, _ = run(capsys, "eval", tiny_model, "--text", text, "--prefill", "--json")
    report = json.loads(out)
    bits = report["nats_per_token"] * (report["tokens"] - 1) / math.log(2)
    assert status == 0
    assert report["bits_per_byte"] == pytest.approx(bits / text.stat().st_size, rel=0.03)
    assert len(report["false_negatives"]) == len(report["false_positives"]) == 2


def test_info_tells_what_stays_in_memory(capsys, tiny_model):
    status, out, _ = run(capsys, "info", tiny_model)
    assert status == 0
    assert "stay on flash" in out
    assert "Smallest memory budget" in out
    assert run(capsys, "info", tiny_model, "--verify")[0] == 0


def test_prepare_that_is_interrupted_says_that_it_can_be_continued(capsys, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "make", interrupted)
    status, out, err = run(capsys, "prepare", write_opt(tmp_path / "checkpoint"), tmp_path / "out")
    assert (status, out) == (130, "")
    assert "Paused. The same command continues." in err


def test_prepare_makes_what_generate_takes(capsys, tmp_path):
    write_opt(tmp_path / "checkpoint")
    text = write_text(tmp_path / "text")
    status, out, _ = run(
        capsys, "prepare", tmp_path / "checkpoint", tmp_path / "out", "--calibration", text, "--name", "Tiny",
        "--dtype", "bfloat16", "--json",
    )  # fmt: skip
    assert status == 0
    assert json.loads(out)["dtype"] == "bfloat16"
    assert json.loads(run(capsys, "info", tmp_path / "out", "--json")[1])["name"] == "Tiny"
    assert run(capsys, "generate", tmp_path / "out", "--prompt", "Hi", "--max-tokens", 2)[0] == 0


def test_no_network_is_asked_for_anything(tiny_model):
    code = (
        "import socket, sys\n"
        "def refuse(self, address): sys.exit(f'connected to {address}')\n"
        "socket.socket.connect = socket.socket.connect_ex = refuse\n"
        "from engine.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    command = [sys.executable, "-c", code, "generate", str(tiny_model), "--prompt", "Hello", "--max-tokens", "3"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr


def test_a_failure_is_one_line_and_status_1(capsys, tiny_model, tmp_path):
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    (broken / BUNDLES).unlink()
    for arguments in (
        ["generate", tmp_path / "nowhere", "--prompt", "Hi"],
        ["generate", broken, "--prompt", "Hi"],
        ["generate", tiny_model, "--prompt", "  "],
        ["generate", tiny_model, "--prompt", "music " * 100],
        ["eval", tiny_model, "--text", tmp_path / "nothing.txt"],
        ["eval", tiny_model, "--tokens", tmp_path / "nothing.json"],
        ["prepare", tmp_path / "nowhere", tmp_path / "out"],
    ):
        status, out, err = run(capsys, *arguments)
        assert (status, out) == (1, "")
        assert err.startswith("flashbulb: ")
        assert err.count("\n") == 1


@pytest.mark.parametrize("content", ["{}", "[]", "[1, 2.5]", "[999]", "[true]", "[", '["a"]'])
def test_token_files_are_checked(capsys, tiny_model, tmp_path, content):
    (tmp_path / "tokens.json").write_text(content)
    status, _, err = run(capsys, "eval", tiny_model, "--tokens", tmp_path / "tokens.json")
    assert status == 1
    assert "JSON list of token ids" in err


def test_a_checkpoint_that_has_to_be_prepared_first_is_named_so(capsys, tmp_path):
    checkpoint = write_opt(tmp_path / "opt")
    for arguments in (["generate", checkpoint, "--prompt", "Hi"], ["info", checkpoint]):
        status, out, err = run(capsys, *arguments)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert f"`flashbulb prepare {checkpoint} NAME`" in err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "There is not enough memory for that."),
        (RuntimeError("[read] Unable to read\nfrom file."), "RuntimeError: [read] Unable to read from file"),
    ],
)
def test_what_nobody_foresaw_is_one_line(capsys, monkeypatch, error, words):
    def fail(_model):
        raise error

    monkeypatch.setattr("engine.inference.load.find", fail)
    status, out, err = run(capsys, "info", "starter")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert words in err


def test_where_the_present_folder_is_gone_it_says_so(capsys, monkeypatch, tmp_path):
    def fail(_model):
        raise FileNotFoundError(ENOENT, "No such file or directory")

    monkeypatch.setattr("engine.inference.load.find", fail)
    assert run(capsys, "info", "starter")[2] == "flashbulb: No such file or directory.\n"
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    status, _, err = run(capsys, "info", "starter")
    monkeypatch.chdir(tmp_path)
    assert (status, err) == (1, "flashbulb: The folder that this command was started in is gone. Go to another one.\n")


def test_what_is_built_in_is_named_so_in_whatever_case(capsys):
    for arguments, words in (
        (["models", "get", "SmolLM2"], "is built in: there is nothing to get"),
        (["models", "remove", "Starter"], "is built in, and stays"),
    ):
        status, _, err = run(capsys, *arguments)
        assert (status, err.count("\n")) == (1, 1)
        assert words in err
    status, out, _ = run(capsys, "info", "STARTER", "--json")
    assert (status, json.loads(out)["name"]) == (0, "Starter")


def test_a_folder_that_is_to_be_got_is_to_be_prepared(capsys, tmp_path):
    status, _, err = run(capsys, "models", "get", tmp_path)
    assert (status, err) == (
        1, f"flashbulb: {tmp_path} is on this disk already: `flashbulb prepare` makes a model of it.\n",
    )  # fmt: skip


@pytest.mark.parametrize("action", ["get", "show"])
@pytest.mark.parametrize("said", ["somebody/else", "facebook/opt-125m", "opt-125m"])
def test_a_name_is_the_hubs_whatever_folders_there_are_and_a_path_begins_with_a_dot(
    capsys, tmp_path, monkeypatch, action, said
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    (tmp_path / said).mkdir(parents=True)
    status, _, err = run(capsys, "models", action, said)
    assert (status, err.count("\n")) == (1, 1)
    assert "the Hub is not asked" in err
    for path in (f"./{said}", f"../{tmp_path.name}/{said}"):
        assert "is on this disk already" in run(capsys, "models", action, path)[2]


def test_nothing_is_loaded_for_an_empty_prompt(capsys, tmp_path):
    status, _, err = run(capsys, "generate", tmp_path / "nowhere", "--prompt", " \n")
    assert (status, err) == (1, "flashbulb: The message is empty: write something to answer.\n")


def test_what_is_no_folder_is_not_said_to_be_missing(capsys, tmp_path):
    (tmp_path / "file").write_text("x")
    for path in ("/dev/null", tmp_path / "file"):
        for arguments in (["info", path], ["prepare", path, tmp_path / "out"]):
            assert run(capsys, *arguments)[2] == f"flashbulb: {path} is a file. Give the folder of a model.\n"


def test_bits_that_neurons_cannot_have_are_named(capsys, tmp_path):
    checkpoint = write_opt(tmp_path / "opt")
    status, _, err = run(capsys, "prepare", checkpoint, tmp_path / "out", "--bits", "5")
    assert (status, err.count("\n")) == (1, 1)
    assert "can have 16, 8 or 4 bits" in err


def test_a_name_that_no_disk_could_hold_is_one_line(capsys):
    status, _, err = run(capsys, "info", "a" * 3000)
    assert (status, err.count("\n")) == (1, 1)
    assert "cannot be opened: File name too long." in err


def test_eval_reads_what_it_is_given_before_it_loads_a_model(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.tokens.corpus.MAX_TEXT_BYTES", 1000)
    (tmp_path / "text.txt").write_text("words")
    (tmp_path / "model").mkdir()
    (tmp_path / "words.json").write_text("words")
    for arguments, about in (
        (["--tokens", tmp_path / "words.json"], "list of token ids: it is no JSON"),
        (["--text", tmp_path / "nothing.txt"], "nothing.txt"),
        (["--tokens", tmp_path / "nothing.json"], "nothing.json"),
        (["--tokens", "/dev/zero"], "absurdly large"),
        (["--text", "/dev/zero"], "absurdly large"),
        (["--text", tmp_path / "text.txt", "--save-logits", tmp_path / "no" / "logits"], "logits"),
        (["--text", tmp_path / "text.txt", "--save-logits", tmp_path], "logits"),
    ):
        status, out, err = run(capsys, "eval", tmp_path / "model", *arguments)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert about in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["generate"],
        ["generate", "starter", "--prompt", "x", "--window", "0"],
        ["generate", "starter", "--prompt", "x", "--memory-budget", "much"],
        ["generate", "starter", "--prompt", "x", "--selection", "all"],
        ["serve", "--port", "000000000999999"],
        ["serve", "--port", "0" * 5000],
        ["eval", "starter"],
        ["eval", "starter", "--text", "a", "--tokens", "b"],
    ],
)
def test_bad_use_is_status_2(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("flashbulb")
    assert err.count("\n") == 1
    assert "--help` says more." in err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--max-tokens", "0"),
        ("--temperature", "-1"),
        ("--top-p", "0"),
        ("--seed", "-1"),
        ("--seed", str(2**64)),
        ("--repetition-penalty", "nan"),
        ("--presence-penalty", "inf"),
        ("--min-p", "2"),
    ],
)
def test_a_number_out_of_range_is_one_line_by_its_options_name(capsys, option, value):
    status, out, err = run(capsys, "generate", "starter", "--prompt", "x", option, value)
    assert (status, out) == (2, "")
    assert err.startswith(f"flashbulb generate: argument {option}: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "size"), [("6GB", 6 * 10**9), ("512 MB", 512 * 10**6), ("1.5GiB", 3 * 2**29), ("1000", 1000), ("2k", 2000)]
)
def test_sizes(text, size):
    assert _size(text) == size
