"""Checkpoints in MLX's form on the command line, and what is made of others."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from engine.flash.profile import profile_path
from engine.store.safetensors_file import read_safetensors
from tests.helpers.checkpoints import write_opt, write_tokenizer
from tests.helpers.command_line import run
from tests.helpers.dense_models import GEMMA3N, write_dense
from tests.helpers.drives import FAST, profile
from tests.helpers.gguf_files import write_gguf
from tests.helpers.mlx_models import VOCABULARY, InMemory, write_moe, write_original
from tests.helpers.sparse_experts import MANY_READS, measure, write_sparse_experts


@pytest.fixture(scope="module")
def moe(tmp_path_factory):
    folder = write_moe(tmp_path_factory.mktemp("moe") / "qwen")
    write_tokenizer(folder, VOCABULARY)
    return folder


def answered(capsys, *arguments):
    status, out, err = run(capsys, *arguments, "--json")
    assert status == 0, err
    return json.loads(out)


def test_an_answer_counts_experts(capsys, moe):
    smallest = answered(capsys, "info", moe)["smallest_budget_bytes"]
    arguments = ("--prompt", "Hello", "--max-tokens", 5, "--seed", 1)
    report = answered(capsys, "generate", moe, *arguments, "--memory-budget", smallest)
    experts = report["per_token"]["experts"]
    assert (experts["active"], experts["resident"], experts["of"]) == (12, 12, 48)
    assert 0 <= experts["loaded"] <= 12
    assert report["per_token"]["hit_rate"] == pytest.approx(1 - experts["loaded"] / 12)
    assert report["budget_bytes"] == smallest


def test_people_are_told_of_experts(capsys, moe):
    status, _, err = run(capsys, "generate", moe, "--prompt", "Hello", "--max-tokens", 3)
    assert status == 0
    assert "hits of 12 experts" in err
    assert "neuron" not in err


def test_eval_gives_the_logits_of_mlx_lm(capsys, moe, tmp_path):
    ids = [1, 5, 200, 17, 33, 4]
    (tmp_path / "ids.json").write_text(json.dumps(ids))
    wanted = np.array(InMemory(moe).logits(ids))
    for more in ((), ("--prefill",)):
        report = answered(
            capsys, "eval", moe, "--tokens", tmp_path / "ids.json", "--save-logits", tmp_path / "logits", *more
        )
        found = load_file(tmp_path / "logits")["logits"]
        assert np.abs(found - wanted).max() <= 1e-4 * (wanted.max() - wanted.min())
        assert report["experts"]["of"] == 48
    status, out, _ = run(capsys, "eval", moe, "--tokens", tmp_path / "ids.json")
    assert status == 0
    assert "hit rate" in out


def test_info_tells_the_plan_and_what_each_budget_brings(capsys, moe):
    report = answered(capsys, "info", moe)
    assert (report["layers"], report["experts"], report["experts_a_token"]) == (3, 16, 4)
    assert report["model_bytes"] == sum(
        tensor.nbytes for tensor in read_safetensors(moe / "model.safetensors").values()
    )
    assert sum(report["resident"].values()) + report["pool_bytes"] <= report["default_budget_bytes"]
    hits = [row["hit_rate"] for row in report["by_budget"]]
    assert hits == sorted(hits)
    assert hits[-1] == 1
    status, out, _ = run(capsys, "info", moe)
    assert status == 0
    assert "3 layers of 16 experts, 4 for each token" in out
    assert "Smallest memory budget" in out
    below = run(capsys, "generate", moe, "--prompt", "x", "--memory-budget", report["smallest_budget_bytes"] - 1)
    assert below[0] == 1
    assert "smallest that works is" in below[2]


def test_info_says_how_linears_are_read_of_which_active_rows_are_enough(capsys, tmp_path):
    config = {"text_config": GEMMA3N | {"intermediate_size": 4096, "hidden_size": 256}}
    folder = write_dense(tmp_path / "gemma", "gemma3n", config=config)
    assert "on a usual drive, as this one was not measured" in run(capsys, "info", folder)[1]
    for drive, read, words in (
        ({"iops": 1e6, "bandwidth": 2e8}, "active rows", "Of the others alone their rows of up_proj are read"),
        ({"iops": 1e4}, "all", "All is read"),
    ):
        profile(processor=FAST, **drive).save(profile_path(folder))
        ways = answered(capsys, "info", folder)["read_ways"]
        assert ways["read"] == read == min(("all", "active rows"), key=ways["token_ms"].get)
        [linear] = ways["parts"]
        assert linear["active_share"] == pytest.approx(0.05)
        assert (linear["active rows"]["seconds"] < linear["all"]["seconds"]) == (read == "active rows")
        out = run(capsys, "info", folder)[1]
        assert f"1 FFN leaves 95 % of the neurons at exactly zero. {words}: a token takes" in out
        assert "not measured" not in out


def test_experts_that_leave_neurons_at_zero_are_prepared_and_told_of(capsys, tmp_path):
    folder, made = write_sparse_experts(tmp_path / "nemotron"), tmp_path / "by-neurons"
    write_tokenizer(folder, VOCABULARY)
    assert "They are read whole until answers have shown how many" in run(capsys, "info", folder)[1]
    measure(folder, 0.02, MANY_READS)
    out = run(capsys, "info", folder)[1]
    assert "Its experts leave 98 % of the neurons at exactly zero, as its answers have shown. All is read" in out
    assert "`flashbulb prepare` makes of this folder one that can be read so" in out
    assert run(capsys, "prepare", folder, made)[0] == 0
    out = run(capsys, "info", made)[1]
    assert "Of the others alone their columns of fc2 are read" in out
    assert "flashbulb prepare" not in out
    measure(made, 0.5, MANY_READS)
    ways = answered(capsys, "info", made)["read_ways"]
    assert (ways["read"], ways["faster"], ways["prepared"]) == ("all", "all", True)
    assert answered(capsys, "generate", made, "--prompt", "Hello", "--max-tokens", 3)["per_token"]["active_share"] < 0.2


def test_every_kind_of_model_has_a_smallest_budget(capsys, moe, tiny_model, tmp_path):
    dense = write_moe(tmp_path / "dense", num_experts=0, mlp_only_layers=[0, 1, 2])
    for model in (moe, tiny_model, dense, "starter"):
        report = answered(capsys, "info", model)
        assert 0 < report["smallest_budget_bytes"] <= report["default_budget_bytes"]
        assert report["by_budget"][0]["budget_bytes"] == report["smallest_budget_bytes"]


def test_a_checkpoint_of_which_no_checksum_is_known_says_so(capsys, moe):
    assert run(capsys, "info", moe, "--verify")[0] == 0
    verified = answered(capsys, "info", moe, "--verify")["verified"]
    assert not verified["matching"]
    assert set(verified["unknown"]) >= {"config.json", "model.safetensors"}


# ------------------------------------------------------------------------------------------------ prepare
FORMS = {
    (): {"group_size": 64, "bits": 4, "mode": "affine"},
    ("--bits", 8): {"group_size": 64, "bits": 8, "mode": "affine"},
    ("--bits", 3, "--group", 32): {"group_size": 32, "bits": 3, "mode": "affine"},
    ("--mode", "mxfp8"): {"group_size": 32, "bits": 8, "mode": "mxfp8"},
    ("--mode", "nvfp4"): {"group_size": 16, "bits": 4, "mode": "nvfp4"},
}


@pytest.mark.parametrize("arguments", list(FORMS))
def test_an_original_checkpoint_of_experts_is_converted(capsys, tmp_path, arguments):
    original, out = write_original(tmp_path / "original"), tmp_path / "out"
    report = answered(capsys, "prepare", original, out, *arguments)
    assert {name: report["quantization"][name] for name in FORMS[arguments]} == FORMS[arguments]
    assert len(answered(capsys, "generate", out, "--prompt", "Hello", "--max-tokens", 3)["tokens"]) <= 3


def test_sixteen_bits_are_not_quantised(capsys, tmp_path):
    report = answered(capsys, "prepare", write_original(tmp_path / "original"), tmp_path / "out", "--bits", 16)
    assert report["quantization"] is None


def test_neurons_are_converted_only_where_that_is_asked_for(capsys, tmp_path):
    opt = write_opt(tmp_path / "opt")
    status, out, _ = run(capsys, "prepare", opt, tmp_path / "neurons", "--predictors", "factorised", "--json")
    assert status == 0
    assert "layers" in json.loads(out)
    status, _, err = run(capsys, "prepare", opt, tmp_path / "converted", "--bits", 6)
    assert status == 1  # mlx-lm has no OPT
    assert "can have 16, 8 or 4 bits, and no other form" in err


def test_neurons_are_quantised_where_that_is_asked_for(capsys, tmp_path):
    opt = write_opt(tmp_path / "opt", hidden_size=64, word_embed_proj_dim=64)
    out = tmp_path / "neurons"
    status, said, _ = run(capsys, "prepare", opt, out, "--predictors", "factorised", "--bits", 4)
    assert status == 0
    assert "Quantised neurons cost" in said
    assert "neurons are read together" in said
    report = answered(capsys, "info", out)
    assert report["quantization"] == {"bits": 4, "group_size": 64}
    assert report["calibration"]["original_perplexity"] > 0
    assert (report["neurons"], report["by_layer"][0]["neurons"]) == (96, 96)
    assert "Quantised neurons cost" in run(capsys, "info", out)[1]
    assert len(answered(capsys, "generate", out, "--prompt", "Hello", "--max-tokens", 3)["tokens"]) <= 3


def test_a_gguf_file_becomes_a_model(capsys, tmp_path):
    write_gguf(tmp_path / "model.gguf", "qwen3moe", "Q8_0")
    status, out, _ = run(capsys, "prepare", tmp_path / "model.gguf", tmp_path / "out")
    assert (status, out) == (0, f"{tmp_path / 'out'} is ready.\n")
    assert answered(capsys, "info", tmp_path / "out")["experts"] == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--mode", "mxfp4", "--bits", 8), "4 bits"), (("--mode", "nvfp4", "--group", 64), "groups of 16")],
)
def test_a_form_that_there_is_not_is_bad_use(capsys, tmp_path, arguments, words):
    status, _, err = run(capsys, "prepare", write_original(tmp_path / "original"), tmp_path / "out", *arguments)
    assert (status, err.count("\n")) == (2, 1)
    assert words in err


def test_what_runs_as_it_is_needs_no_preparing(capsys, moe, tmp_path):
    status, _, err = run(capsys, "prepare", moe, tmp_path / "out")
    assert status == 1
    assert "runs as it is" in err
