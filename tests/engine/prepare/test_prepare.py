"""From a checkpoint to a prepared model, and what happens when that cannot work."""

import json
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from engine.errors import CancelledError, CheckpointError, FlashbulbError
from engine.inference.evaluate import evaluate
from engine.inference.load import load
from engine.prepare.calibration import cut
from engine.prepare.prepare import CALIBRATION_TOKENS, prepare
from engine.prepare.torch_file import read_torch
from engine.settings import Settings
from engine.store.bundle_file import BundleFile
from engine.store.manifest import BUNDLES, ORDER, PREDICTOR, RESIDENT, PreparedModel
from engine.tokens.corpus import Corpus, Sequence
from engine.tokens.tokenizer import read_tokenizer
from tests.helpers.checkpoints import OPT, SENTENCES, write_opt, write_text
from tests.helpers.torch_files import write_bin


def nothing_left(out) -> bool:
    return not out.exists() and not list(out.parent.glob("*.partial"))


def test_bundles_hold_up_rows_and_down_columns(tiny_checkpoint, tiny_model):
    weights = load_file(tiny_checkpoint / "model.safetensors")
    bundles = BundleFile.open(tiny_model / BUNDLES)
    raw = (tiny_model / BUNDLES).read_bytes()
    orders = load_file(tiny_model / ORDER)
    for layer, place in enumerate(bundles.layers):
        order = orders[f"layers.{layer}"]
        assert sorted(order) == list(range(96))
        up = weights[f"model.decoder.layers.{layer}.fc1.weight"]
        down = weights[f"model.decoder.layers.{layer}.fc2.weight"]
        for at, neuron in enumerate(order):
            bundle = np.frombuffer(raw, np.float32, 48, place.offset + at * place.row_bytes)
            assert np.array_equal(bundle, np.concatenate([up[neuron], down[:, neuron]]))


def test_what_is_resident_holds_no_ffn_matrix(tiny_model):
    with safe_open(tiny_model / RESIDENT, "np") as file:
        names = set(file.keys())
    assert not [name for name in names if "fc1" in name or "fc2" in name]
    assert {"ffn.0.input_bias", "ffn.1.down_bias", "model.embed_tokens.weight"} <= names


def test_the_manifest_says_what_was_measured(tiny_model):
    prepared = PreparedModel.open(tiny_model, verify=True)
    assert prepared.manifest.dtype == "float32"
    assert prepared.manifest.calibration.tokens > 500
    for report in prepared.layer_reports:
        assert 0.8 < report.sparsity < 1
        assert report.recall >= 0.95
        assert report.false_positives < 0.5
        assert 0 < report.threshold < 1
        assert 0 < report.output_error < 0.3


def test_shards_are_one_checkpoint(tiny_model, tmp_path):
    sharded = write_opt(tmp_path / "sharded", shards=3)
    prepare(sharded, tmp_path / "out", write_text(tmp_path / "text"))
    assert (tmp_path / "out" / BUNDLES).read_bytes() == (tiny_model / BUNDLES).read_bytes()


def test_the_tokenizer_of_another_model_is_refused(tmp_path):
    checkpoint = write_opt(tmp_path / "checkpoint", vocab_size=100)
    with pytest.raises(CheckpointError, match=r"makes token \d+, but the model has only 100"):
        prepare(checkpoint, tmp_path / "out", write_text(tmp_path / "text"))
    assert not list(tmp_path.glob("out*"))


def test_a_checkpoint_without_a_tokenizer_is_calibrated_on_token_ids(tmp_path):
    content = prepare(write_opt(tmp_path / "bare", tokenizer=False), tmp_path / "out")
    assert "random tokens" in content["calibration"]["text"]


def stop_at(wanted):
    def progress(stage, share):
        if share >= wanted:
            raise CancelledError("enough")

    return progress


@pytest.mark.parametrize(
    "template",
    ["{% for m in messages %}{{ m.content }}", "{{ raise_exception('never') }}", "{{ messages.nothing.at }}"],
)
def test_a_chat_template_that_fails_is_said_and_the_plain_format_taken(tmp_path, template):
    checkpoint = write_opt(tmp_path / "checkpoint")
    config = json.loads((checkpoint / "tokenizer_config.json").read_text()) | {"chat_template": template}
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(config))
    talk = tmp_path / "talk.jsonl"
    talk.write_text("".join(json.dumps({"turns": SENTENCES[i : i + 4]}) + "\n" for i in range(len(SENTENCES) - 3)) * 20)
    said = prepare(checkpoint, tmp_path / "out", calibration=talk)["calibration"]["text"]
    assert said.startswith("talk.jsonl in the plain format")
    assert "chat template fails" in said
    assert "\n" not in said
    text = write_text(tmp_path / "text.txt")
    assert prepare(checkpoint, tmp_path / "other", calibration=text)["calibration"]["text"] == "text.txt"


@pytest.mark.parametrize("share", [0.0, 0.4, 0.96, 0.98, 0.99])
def test_what_was_stopped_goes_on_from_its_last_whole_layer(tiny_checkpoint, tiny_model, tmp_path, share):
    text, out, stages = write_text(tmp_path / "text.txt"), tmp_path / "out", []
    with pytest.raises(CancelledError):
        prepare(tiny_checkpoint, out, text, name="tiny-opt", progress=stop_at(share))
    assert not out.exists()
    prepare(tiny_checkpoint, out, text, name="tiny-opt", progress=lambda stage, _: stages.append(stage))
    assert ("layer 1 of 2" in stages) == (share == 0)
    assert same_files(out, tiny_model)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("share", [0.4, 0.98])
def test_quantising_that_was_stopped_goes_on(tmp_path, share):
    checkpoint = write_opt(tmp_path / "checkpoint", hidden_size=64, word_embed_proj_dim=64)
    text, stages = write_text(tmp_path / "text.txt"), []
    whole = prepare(checkpoint, tmp_path / "whole", text, bits=4)
    with pytest.raises(CancelledError):
        prepare(checkpoint, tmp_path / "out", text, bits=4, progress=stop_at(share))
    prepare(checkpoint, tmp_path / "out", text, bits=4, progress=lambda stage, _: stages.append(stage))
    assert "layer 1 of 2" not in stages
    assert same_files(tmp_path / "whole", tmp_path / "out")
    measured = PreparedModel.open(tmp_path / "out", verify=True).manifest.calibration
    assert measured.original_perplexity == whole["calibration"]["original_perplexity"]
    plain = prepare(checkpoint, tmp_path / "plain", text)["calibration"]
    assert measured.original_perplexity == plain["exact_perplexity"]
    assert 0 < abs(measured.quantisation_loss) < 0.2


def test_the_fewer_the_bits_the_larger_the_loss(tmp_path):
    checkpoint = write_opt(tmp_path / "checkpoint", hidden_size=64, word_embed_proj_dim=64, tokenizer=False)
    sizes, changes = [], []
    for bits in (8, 4):
        content = prepare(checkpoint, tmp_path / str(bits), bits=bits, predictors="factorised")
        sizes.append((tmp_path / str(bits) / BUNDLES).stat().st_size)
        calibration = content["calibration"]
        changes.append(abs(calibration["exact_perplexity"] - calibration["original_perplexity"]))
    assert sizes[1] < sizes[0]
    assert changes[0] < changes[1]


def same_files(one, other) -> bool:
    files = [sorted(path.name for path in folder.iterdir()) for folder in (one, other)]
    return files[0] == files[1] and all((one / n).read_bytes() == (other / n).read_bytes() for n in files[0])


def whole_layers(out) -> int:
    try:
        return len(json.loads((out.with_name("out.partial") / "work" / "preparation.json").read_text())["layers"])
    except FileNotFoundError:
        return 0


def test_being_killed_at_any_moment_costs_at_most_a_layer(tmp_path):
    checkpoint = write_opt(tmp_path / "checkpoint", num_hidden_layers=6)
    text, out, rng = write_text(tmp_path / "text"), tmp_path / "out", random.Random()
    prepare(checkpoint, tmp_path / "whole", text)
    code = "import sys; from engine.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "prepare", str(checkpoint), str(out), "--calibration", str(text)]
    done = kills = 0
    while kills < 3 and not out.exists():
        kills += 1
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and whole_layers(out) <= done:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        _, told = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), told
        assert out.exists() or whole_layers(out) >= done
        done = whole_layers(out)
    if not out.exists():
        subprocess.run(command, check=True, capture_output=True)
    assert same_files(out, tmp_path / "whole")


@pytest.mark.parametrize(
    ("name", "shown"), [("../x\n\x1b[31m \ud800", "../x[31m"), ("", "odd checkpoint"), (None, "odd checkpoint")]
)
def test_a_name_is_one_line_whatever_it_holds(tmp_path, name, shown):
    checkpoint = write_opt(tmp_path / "odd\n checkpoint")
    text = write_text(tmp_path / "text.txt")
    prepare(checkpoint, tmp_path / "out", calibration=text, name=name)
    assert PreparedModel.open(tmp_path / "out").name == shown


def test_another_purpose_begins_anew(tiny_checkpoint, tmp_path):
    text, out, stages = write_text(tmp_path / "text"), tmp_path / "out", []
    with pytest.raises(CancelledError):
        prepare(tiny_checkpoint, out, text, progress=stop_at(0.96))
    prepare(tiny_checkpoint, out, text, dtype="bfloat16", progress=lambda stage, _: stages.append(stage))
    assert "layer 1 of 2" in stages
    assert PreparedModel.open(out, verify=True).bundles.dtype == "BF16"


def test_two_at_once_do_not_mix(tiny_checkpoint, tmp_path):
    text, out = write_text(tmp_path / "text"), tmp_path / "out"

    def second(stage, share):
        with pytest.raises(FlashbulbError, match="Another Flashbulb is preparing"):
            prepare(tiny_checkpoint, out, text)

    prepare(tiny_checkpoint, out, text, progress=second)
    assert PreparedModel.open(out, verify=True)


def test_a_folder_in_use_is_not_overwritten(tiny_checkpoint, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("mine")
    with pytest.raises(FlashbulbError, match="exists and is not empty"):
        prepare(tiny_checkpoint, tmp_path / "out")
    assert (tmp_path / "out" / "precious").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tiny_checkpoint, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FlashbulbError, match="could not be written"):
        prepare(tiny_checkpoint, tmp_path / "file" / "out", write_text(tmp_path / "text"))


@pytest.mark.parametrize("limit", [20_000, 40_000, 60_000])
def test_a_full_disk_pauses(tiny_checkpoint, tiny_model, tmp_path, limit):
    # A limit on file size gives what a full disk gives, an error in the middle of a write, without a disk to fill.
    code = (
        "import resource, signal, sys\n"
        "from engine.cli.main import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    text, out = write_text(tmp_path / "text.txt"), tmp_path / "out"
    command = [sys.executable, "-c", code, "prepare", str(tiny_checkpoint), str(out), "--calibration", str(text)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert re.search(r"could not be written: .* more are needed and .* are free", result.stderr.splitlines()[-1])
    assert not out.exists()
    prepare(tiny_checkpoint, out, text, name="tiny-opt")
    assert same_files(out, tiny_model)


def test_too_little_room_is_said_before_anything_is_written(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(FlashbulbError, match=r"has 1 KB free, and preparing needs about"):
        prepare(tiny_checkpoint, tmp_path / "out")
    assert nothing_left(tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "type 'gpt2' are not supported. Supported: opt"),
        ({"activation_function": "gelu"}, "uses 'gelu', which leaves no neuron exactly zero"),
        ({"hidden_size": None}, "config.json"),
        ({"ffn_dim": 100}, "do not fit its config.json"),
        ({"num_hidden_layers": 3}, "do not fit its config.json"),
    ],
)
def test_a_model_of_another_kind_is_refused(tiny_checkpoint, tmp_path, changes, message):
    folder = tmp_path / "checkpoint"
    write_opt(folder)
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    with pytest.raises(CheckpointError, match=message):
        prepare(folder, tmp_path / "out")
    assert nothing_left(tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", None, "lacks model.safetensors"),
        ("model.safetensors", b"", "it is empty"),
        ("model.safetensors", b"\xff" * 40, "longer than the file"),
        ("config.json", None, "is missing"),
        ("config.json", b"{", "cannot be read"),
        ("config.json", b"[]", "is no table of names"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "../model.safetensors"}}', "outside its folder"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "gone.safetensors"}}', "lacks gone.safetensors"),
    ],
)
def test_a_damaged_checkpoint_is_named(tmp_path, file, content, message):
    folder = write_opt(tmp_path / "checkpoint")
    (folder / file).unlink(missing_ok=True)
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        prepare(folder, tmp_path / "out")
    assert nothing_left(tmp_path / "out")


def test_a_checkpoint_cut_short_is_refused(tmp_path):
    folder = write_opt(tmp_path / "checkpoint")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(FlashbulbError, match=r"model\.safetensors"):
        prepare(folder, tmp_path / "out")
    assert nothing_left(tmp_path / "out")


def write_talks(path):
    """Conversations, each longer than the one before."""
    turns = [sentence for _ in range(20) for sentence in SENTENCES]
    path.write_text("\n".join(json.dumps({"turns": turns[: 1 + i // 10]}) for i in range(60)))
    return path


@pytest.mark.parametrize("write", [write_text, write_talks])
def test_what_the_manifest_says_of_the_loss_is_what_evaluation_finds(tmp_path, write):
    checkpoint = write_opt(tmp_path / "checkpoint")
    text = write(tmp_path / ("talks.jsonl" if write is write_talks else "text"))
    measured = prepare(checkpoint, tmp_path / "out", text)["calibration"]
    tokenizer = read_tokenizer(tmp_path / "out", OPT)
    runs = cut(Corpus.read(text).sequences(tokenizer), OPT["max_position_embeddings"], CALIBRATION_TOKENS)
    held_out = [Sequence(run, 0) for i, run in enumerate(runs) if i % 5 == 2]
    assert measured["held_out_tokens"] == sum(len(run.tokens) for run in held_out)
    for selection in ("exact", "predictor"):
        # What earlier tokens needed and is still there helps, which the predictor is not given credit for.
        model = load(tmp_path / "out", Settings(selection=selection, window=1, hot_neurons=False))
        try:
            evaluation, _ = evaluate(model, held_out)
        finally:
            model.close()
        told = measured["exact_perplexity" if selection == "exact" else "predicted_perplexity"]
        assert evaluation.report()["perplexity"] == pytest.approx(told, rel=1e-3)


def test_an_untrained_predictor_is_labelled_so(tiny_checkpoint, tiny_model, tmp_path):
    text = write_text(tmp_path / "text")
    reports = prepare(tiny_checkpoint, tmp_path / "out", text, predictors="factorised")["layers"]
    assert {report["predictor"] for report in reports} == {"factorised"}
    assert all(report["recall"] >= 0.95 for report in reports)
    trained = PreparedModel.open(tiny_model).layer_reports
    assert {report.predictor for report in trained} == {"trained"}
    for ours, theirs in zip(trained, reports, strict=True):
        assert ours.false_positives <= theirs["false_positives"]


def published(folder, width=24, neurons=96, rank=20, layers=2):
    """Predictors as PowerInfer published them, of random weights."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for layer in range(layers):
        shapes = {"fc1.weight": (rank, width), "fc2.weight": (neurons, rank)}
        arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        write_bin(folder / f"model_{layer}.pt", arrays)
    return folder


def test_published_predictors_are_imported(tiny_checkpoint, tmp_path):
    folder, text = published(tmp_path / "predictors"), write_text(tmp_path / "text")
    content = prepare(tiny_checkpoint, tmp_path / "out", text, predictors=folder)
    stored, orders = load_file(tmp_path / "out" / PREDICTOR), load_file(tmp_path / "out" / ORDER)
    for layer, report in enumerate(content["layers"]):
        assert (report["predictor"], report["rank"]) == ("imported", 20)
        assert report["recall"] >= 0.97
        given = read_torch(folder / f"model_{layer}.pt")
        assert np.array_equal(stored[f"layers.{layer}.down"], np.array(given["fc1.weight"].read()))
        up = np.array(given["fc2.weight"].read())[orders[f"layers.{layer}"]]
        assert np.array_equal(stored[f"layers.{layer}.up"], up)
    model = load(tmp_path / "out", Settings(selection="predictor"))
    try:
        assert model.selector(0).predictor.relu
        assert model.generate("Do you like music?").summary is not None
    finally:
        model.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 1}, r"lacks model_1\.pt"),
        ({"width": 25}, r"model_0\.pt is no predictor for this model"),
        ({"neurons": 95}, r"model_0\.pt is no predictor for this model"),
    ],
)
def test_predictors_of_another_model_are_refused(tiny_checkpoint, tmp_path, changes, message):
    folder = published(tmp_path / "predictors", **changes)
    with pytest.raises(CheckpointError, match=message):
        prepare(tiny_checkpoint, tmp_path / "out", write_text(tmp_path / "text"), predictors=folder)
    assert nothing_left(tmp_path / "out")


def test_weights_too_large_for_float16_are_named(tmp_path):
    checkpoint = write_opt(tmp_path / "checkpoint")
    weights = load_file(checkpoint / "model.safetensors")
    weights["model.decoder.layers.1.fc2.weight"][3, 5] = 1e5
    save_file(weights, checkpoint / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"layer 1 are too large for float16\. Prepare it with --dtype bfloat16"):
        prepare(checkpoint, tmp_path / "out", write_text(tmp_path / "text"), dtype="float16")
    assert nothing_left(tmp_path / "out")
