"""The script that measures llama.cpp beside us: here beside a program that says what llama-bench says."""

import json
import sys
import tarfile

import pytest

import peers
from engine.bench.shapes import opt_config

LLAMA_BENCH = """#!{python}
import json, sys
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert open(arguments["-m"], "rb").read(4) == b"GGUF"
tests = [dict(n_prompt=0, n_gen=int(arguments["-n"]), samples_ts=[10.0, 40.0, 20.0 + int(arguments["-d"])])]
if arguments["-p"] != "0":
    tests.append(dict(n_prompt=int(arguments["-p"]), n_gen=0, samples_ts=[300.0]))
print(json.dumps(tests))
"""
TINY = {
    "model_type": "olmoe",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 1100,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": False,
}


@pytest.fixture
def llama_bench(tmp_path):
    program = tmp_path / "llama-bench"
    program.write_text(LLAMA_BENCH.format(python=sys.executable))
    program.chmod(0o755)
    return program


def test_both_are_measured_in_memory_and_capped(tmp_path, llama_bench, monkeypatch, capsys):
    monkeypatch.setattr(peers, "peers", lambda: {"tiny": peers.Peer(TINY, experts=(8, 2))})
    for name, tokens in {"PROMPT_TOKENS": 16, "CAPPED_PROMPT_TOKENS": 8, "CAPPED_WARM_TOKENS": 2}.items():
        monkeypatch.setattr(peers, name, tokens)
    monkeypatch.setattr(peers, "TOKENS", 4)
    monkeypatch.setattr(peers, "CAPPED_TOKENS", 4)
    out = tmp_path / "peers.json"
    arguments = ["tiny", "--folder", str(tmp_path / "models"), "--llama-bench", str(llama_bench), "--json", str(out)]
    assert peers.main(arguments) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["memory"] for row in rows] == ["all", "0.30 GB"]
    assert rows[0]["theirs"] == {"prompt": 300.0, "answer": 36.0, "note": ""}
    assert rows[0]["ours"]["prompt"] > 0
    assert rows[0]["ours"]["answer"] > 0
    assert rows[1]["ours"]["answer"] > 0 or rows[1]["ours"]["note"]
    assert "| tiny | all | 300 |" in capsys.readouterr().out
    assert not list((tmp_path / "models").iterdir())


def test_the_active_sets_of_neurons_are_replayed(tmp_path, llama_bench, monkeypatch):
    monkeypatch.setattr(peers, "PROMPT_TOKENS", 8)
    monkeypatch.setattr(peers, "TOKENS", 2)
    peer = peers.Peer(opt_config(64, 2, 4) | {"vocab_size": 1100}, "BF16", "bfloat16")
    peer.write_ours(tmp_path / "ours")
    found = peers.ours_in_memory(peer, tmp_path / "ours", tmp_path)
    assert found.prompt > 0
    assert found.answer > 0


def test_what_ends_badly_is_a_note_below_the_table(tmp_path):
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho no such model >&2\nexit 3\n")
    program.chmod(0o755)
    theirs = peers.theirs_in_memory(program, tmp_path / "none.gguf")
    assert theirs.note == "no such model"
    line = peers.Comparison("tiny", "all", theirs, peers.Figures(None, 5.0))
    assert peers.table([line]).splitlines()[-1] == "tiny, all: no such model"


def test_rates_and_their_ratios():
    line = peers.Comparison("tiny", "all", peers.Figures(200, 10), peers.Figures(100, 12.345))
    assert peers.table([line]).splitlines()[2] == "| tiny | all | 200 | 100 | 0.50 | 10 | 12.3 | 1.23 |"


def test_a_source_distribution_is_unpacked_without_its_outer_folder(tmp_path):
    source = tmp_path / "package-1.0"
    (source / "vendor").mkdir(parents=True)
    (source / "vendor" / "CMakeLists.txt").write_text("project(x)")
    archive = tmp_path / "package-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(source, "package-1.0")
    peers.unpack(archive, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "vendor" / "CMakeLists.txt").read_text() == "project(x)"
    assert not archive.exists()


def test_an_unknown_shape_is_refused(capsys):
    with pytest.raises(SystemExit):
        peers.main(["no-such-shape"])
    assert "no such shape: no-such-shape" in capsys.readouterr().err
