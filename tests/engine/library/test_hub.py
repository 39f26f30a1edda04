"""The Hub, the catalogue and `flashbulb models`, with the real huggingface-hub client against a Hub on loopback."""

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path
from time import monotonic, sleep

import huggingface_hub.constants
import pytest

from engine.cli.main import main
from engine.errors import FlashbulbError, GatedError, HubError
from engine.inference.load import load
from engine.library.addresses import is_repository
from engine.library.begun import unfinished, work_folder
from engine.library.getting import get, plan_for
from engine.library.hub import Found, look_up, needed_files, search
from engine.store.installed import folder_of, installed
from engine.store.manifest import BUNDLES, PreparedModel, Source
from engine.system.folders import models_folder
from tests.helpers.checkpoints import write_text
from tests.helpers.hub_server import COMMIT, Hub, Storage, lfs_sha256
from tests.helpers.mlx_models import write_moe, write_original
from tests.helpers.torch_files import as_bin

ROOT = Path(__file__).parents[3]
CONFIG = b'{"model_type": "opt", "activation_function": "relu"}'


@pytest.fixture(autouse=True)
def user(home, monkeypatch):
    """Somebody online, without a token, proxy or models."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLASHBULB_MODELS", str(home / "models"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens"))
    monkeypatch.setitem(sys.modules, "keyring", None)
    yield home
    huggingface_hub.close_session()


@pytest.fixture
def hub(tiny_checkpoint, monkeypatch):
    with Storage() as storage, Hub(storage, tiny_checkpoint) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def text(tmp_path) -> Path:
    return write_text(tmp_path / "text.txt")


@pytest.fixture
def quickly_prepared(tiny_model, monkeypatch):
    """Preparing takes no time, where it is not what the test is about. Without a calibration text it fails."""

    def prepare(checkpoint, out, calibration=None, **_):
        assert (checkpoint / "model.safetensors").is_file()
        if calibration is None:
            raise FlashbulbError("There is no calibration text.")
        shutil.copytree(tiny_model, out)

    monkeypatch.setattr("engine.prepare.prepare.prepare", prepare)


def run(capsys, *arguments) -> tuple[int, str, str]:
    status = main(["models", *map(str, arguments)])
    return (status, *capsys.readouterr())


# ----------------------------------------------------------------------------------------------- metadata
def test_a_plan_is_pinned_and_knows_sizes_and_checksums(hub):
    plan = look_up("tiny/opt")
    weights = next(file for file in plan.files if file.name == "model.safetensors")
    content = hub.files["model.safetensors"]
    assert (plan.commit, plan.model_type, plan.licence, plan.gated) == (COMMIT, "opt", "mit", False)
    assert (weights.bytes, weights.sha256) == (len(content), lfs_sha256(content))
    assert weights.url == f"{hub.url}/tiny/opt/resolve/{COMMIT}/model.safetensors"
    assert plan.files[0].name == "config.json"
    assert plan.files[0].git_sha1
    assert plan.weight_bytes == len(content)
    assert plan.bytes == sum(map(len, hub.files.values()))
    assert hub.requests == []  # metadata only


def test_a_plan_can_be_of_a_revision(hub):
    assert look_up("tiny/opt", COMMIT).commit == COMMIT
    with pytest.raises(HubError, match="no revision 'other'"):
        look_up("tiny/opt", "other")


@pytest.mark.parametrize(
    ("names", "weights"),
    [
        (["model.safetensors", "pytorch_model.bin", "model.fp16.safetensors"], ["model.safetensors"]),
        (["pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "m.gguf", "m.onnx"], ["pytorch_model.bin"]),
        (
            ["model.safetensors.index.json", "model-00002-of-00002.safetensors", "model-00001-of-00002.safetensors"],
            [
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
            ],
        ),
        (
            ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"],
            ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00001.bin"],
        ),
    ],
)
def test_only_what_is_needed_is_fetched(names, weights):
    rest = ["README.md", "modeling_opt.py", "onnx/model.onnx", "sub/config.json", "../config.json", "training_args.bin"]
    companions = ["vocab.json", "merges.txt", "config.json", "chat_template.jinja"]
    wanted = needed_files("a/b", [*names, *rest, *companions])
    assert wanted[0] == "config.json"
    assert sorted(wanted) == sorted([*companions, *weights])


@pytest.mark.parametrize(
    ("names", "message"),
    [(["model.safetensors"], "no config.json"), (["config.json", "model.gguf"], "no weights that Flashbulb reads")],
)
def test_a_repository_without_a_model_is_refused(names, message):
    with pytest.raises(HubError, match=message):
        needed_files("a/b", names)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/..", "a/b/c", "/a", "a b", "a--b"])
def test_names_that_no_repository_has(hub, capsys, name):
    assert not is_repository(name)
    assert "no repository's name" in run(capsys, "get", name)[2]
    assert "not on disk" in run(capsys, "remove", name)[2]
    assert hub.api_requests == []


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([401], "no model tiny/opt"),
        ([403], "refuses access"),
        ([404], "no model tiny/opt"),
        ([429] * 3, "status 429"),
        ([503] * 3, "status 503"),
    ],
)
def test_a_hub_that_refuses(hub, faults, message):
    hub.api_faults.extend(faults)
    with pytest.raises(HubError, match=message):
        look_up("tiny/opt", pauses=(0, 0))
    assert len(hub.api_requests) == len(faults)


def test_a_busy_hub_is_asked_again(hub):
    hub.api_faults.extend([429, 500])
    assert look_up("tiny/opt", pauses=(0, 0)).commit == COMMIT


def test_a_hub_that_is_not_there(monkeypatch):
    with Storage() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.url)
    with pytest.raises(HubError, match=r"cannot be reached\. Check the network, and HF_ENDPOINT\."):
        look_up("tiny/opt", pauses=(0,))


def test_a_search_of_a_hub_that_is_not_there_ends_soon_and_in_one_line(monkeypatch, caplog):
    """huggingface-hub's own five attempts take half a minute, and say so on the screen."""
    slept = []
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", slept.append)
    with Storage() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.url)
    with pytest.raises(HubError, match="cannot be reached"):
        search("qwen", pauses=())
    assert not slept
    assert not caplog.records


def test_an_endpoint_that_nobody_set_is_not_spoken_of(monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # where nobody listens
    with pytest.raises(HubError, match=r"cannot be reached[^.]*\. Check the network\.$"):
        look_up("tiny/opt", pauses=())


def test_offline_nothing_is_asked(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        look_up("tiny/opt")
    assert hub.api_requests == []


# ------------------------------------------------------------------------------------------ gated, tokens
def test_a_gated_model_names_the_page_to_visit(hub, capsys):
    hub.gated = True
    with pytest.raises(GatedError) as caught:
        look_up("tiny/opt")
    assert caught.value.page == f"{hub.url}/tiny/opt"
    status, _, err = run(capsys, "get", "tiny/opt")
    assert status == 1
    assert f"on {hub.url}/tiny/opt and then give Flashbulb your token" in err


def test_a_token_without_access_names_the_page_too(hub, monkeypatch):
    hub.gated = True
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(GatedError, match="with the account of the token") as caught:
        get(plan_for("tiny/opt"))
    assert "hf_other" not in str(caught.value)


def test_the_token_is_used_and_never_written(hub, home, text, quickly_prepared, monkeypatch, caplog):
    hub.gated = True
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    caplog.set_level(logging.DEBUG)
    folder = get(plan_for("tiny/opt"), calibration=text)
    assert {authorization for _, _, authorization in hub.requests} == {"Bearer hf_secret"}
    assert {authorization for _, _, authorization in hub.storage.requests} == {None}
    assert "hf_secret" not in caplog.text
    assert not any(b"hf_secret" in path.read_bytes() for path in folder.iterdir())


def test_a_checkpoint_in_mlx_form_is_downloaded_and_used_as_it_is(monkeypatch, tmp_path, capsys):
    moe = write_moe(tmp_path / "moe")
    with Storage() as storage, Hub(storage, moe, "mlx-community/tiny") as hub:
        hub.changes = {"library_name": "mlx", "tags": ["mlx"]}
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        plan = look_up("mlx-community/tiny")
        assert plan.as_it_is
        assert plan.needed(tmp_path) == plan.bytes
        assert run(capsys, "get", "mlx-community/tiny")[0] == 0
    [model] = installed()
    assert (model.repo, model.revision, model.prepared) == ("mlx-community/tiny", COMMIT, False)
    for path in moe.iterdir():
        assert (model.folder / path.name).read_bytes() == path.read_bytes()
    assert not work_folder("mlx-community/tiny").exists()
    loaded = load("mlx-community/tiny")
    loaded.close()
    assert run(capsys, "remove", "tiny")[0] == 0
    assert installed() == []


def test_an_original_checkpoint_of_experts_is_converted(monkeypatch, tmp_path, capsys):
    with Storage() as storage, Hub(storage, write_original(tmp_path / "moe"), "qwen/tiny") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert not look_up("qwen/tiny").as_it_is
        assert run(capsys, "get", "qwen/tiny")[0] == 0
    [model] = installed()
    assert (model.repo, model.revision, model.prepared) == ("qwen/tiny", COMMIT, False)
    assert json.loads((model.folder / "config.json").read_text())["quantization"]["bits"] == 4


# ------------------------------------------------------------------------------------- a Hub that is odd
@pytest.mark.parametrize(
    "changes",
    [
        {"sha": 5}, {"sha": None}, {"sha": ["x"]}, {"sha": "\x1b[31m"}, {"siblings": None}, {"siblings": 5},
        {"siblings": ["config.json"]}, {"siblings": [{"size": 3}]}, {"siblings": [{"rfilename": 5}]},
        {"cardData": [1, 2]}, {"cardData": "mit"}, {"id": None}, {"lastModified": "yesterday"}, {"tags": 7},
    ],
)  # fmt: skip
def test_an_answer_of_another_form_is_one_error(hub, changes):
    hub.changes = changes
    with pytest.raises(HubError, match=r"makes no sense|no config\.json") as raised:
        plan = look_up("tiny/opt", pauses=())
        assert plan.files  # what does not matter may be of any form
        raise HubError("makes no sense")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("licence", [None, 7, ["mit", "bsd"], {"a": 1}, "x" * 300, "\x1b]0;owned\x07"])
@pytest.mark.parametrize("config", [None, [], "opt", {"model_type": 5}, {"model_type": ["opt"]}])
def test_what_is_of_another_type_is_not_taken(hub, licence, config):
    hub.changes = {"cardData": {"license": licence}, "config": config}
    plan = look_up("tiny/opt", pauses=())
    assert plan.model_type is None
    assert plan.licence == ("mit, bsd" if licence == ["mit", "bsd"] else None)


@pytest.mark.parametrize("size", [None, -1, "12", 2.5, 2**70, True])
def test_a_size_that_the_hub_does_not_say_is_asked_of_the_file(hub, size):
    names = [name for name in hub.files if len(hub.files[name]) < 2000]
    hub.changes = {"siblings": [{"rfilename": name, "size": size} for name in hub.files]}
    plan = look_up("tiny/opt", pauses=())
    assert {file.name: file.bytes for file in plan.files} == {n: len(c) for n, c in hub.files.items()}
    assert {wanted for _, wanted, _ in hub.requests} == {"bytes=0-0"}
    assert names


def test_a_model_of_a_mirror_without_sizes_is_fetched(hub, text, quickly_prepared):
    hub.sizes = False
    assert get(plan_for("tiny/opt"), calibration=text).is_dir()


def test_a_size_that_nobody_says_is_one_error(hub, monkeypatch):
    hub.sizes = False
    hub.storage.faults.extend(["no place"] * 9)
    with pytest.raises(HubError, match=r"does not say how large config\.json is"):
        look_up("tiny/opt", pauses=())


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (202, r"202 \(accepted\)"),
        (204, "204"),
        (451, r"451 \(unavailable for legal reasons\)"),
        (403, "refuses access"),
    ],
)
def test_a_status_of_the_hub_is_named(hub, status, words):
    hub.api_faults.append(status)
    with pytest.raises(HubError, match=words):
        look_up("tiny/opt", pauses=())


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"Retry_After": "1"}, 1.0),
        ({"RateLimit": '"api";r=0;t=1'}, 1.0),
        ({"Retry_After": "nonsense"}, 0.0),
    ],
)
def test_a_busy_hub_is_left_alone_as_long_as_it_asks(hub, headers, least):
    hub.api_faults.append(headers)
    began = monotonic()
    assert look_up("tiny/opt", pauses=(0.0,)).commit == COMMIT
    assert monotonic() - began >= least


def test_a_hub_that_wants_to_be_left_alone_for_long_says_so_at_once(hub):
    hub.api_faults.append({"Retry_After": "300"})
    with pytest.raises(HubError, match="left alone for 300 s"):
        look_up("tiny/opt")


@pytest.mark.parametrize(
    "location", ["http://[", "http://127.0.0.1:99999999/", "file:///etc/passwd", "ftp://x/y", "/api/models/tiny/opt"]
)
def test_a_hub_that_redirects_to_nowhere_is_one_error(hub, location):
    hub.api_faults.extend([{"Location": location}] * 40)
    with pytest.raises(HubError, match=r"makes no sense|cannot be reached|no web address"):
        look_up("tiny/opt", pauses=())


@pytest.mark.parametrize(
    "address",
    ["http://[", "http://127.0.0.1:99999999", "ftp://x", "nonsense", "https://", "http://h/?x=1", "https://h#x"],
)
def test_an_endpoint_that_makes_no_sense_is_named(monkeypatch, address):
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(HubError, match="HF_ENDPOINT is no web address"):
        look_up("tiny/opt")


@pytest.mark.parametrize(("arguments", "status"), [(["models"], 0), (["models", "show", "tiny/opt"], 1)])
def test_an_endpoint_that_is_no_url_stops_nothing_else(arguments, status):
    environment = {n: v for n, v in os.environ.items() if n != "HF_HUB_OFFLINE"} | {"HF_ENDPOINT": "http://["}
    command = [sys.executable, "-m", "app", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    said = "flashbulb: HF_ENDPOINT is no web address. Write it as https://host.\n" if status else ""
    assert (done.returncode, done.stderr) == (status, said)


def test_nothing_is_asked_that_nobody_asked_for(hub):
    code = "from engine.library.hub import look_up; print(look_up('tiny/opt').commit)"
    environment = {n: v for n, v in os.environ.items() if n != "HF_HUB_OFFLINE"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.stdout.strip() == COMMIT, done.stderr
    assert {path.partition("?")[0] for path, _ in hub.api_requests} == {"/api/models/tiny/opt"}


# ------------------------------------------------------------------------------------------------- search
def test_a_search_brings_what_the_hub_says_of_each(hub):
    hub.found = [
        {
            "id": "some/opt-chat", "downloads": 7, "likes": 3, "gated": "auto", "config": {"model_type": "opt"},
            "tags": ["license:mit", "conversational"], "safetensors": {"parameters": {"F16": 9}, "total": 9},
        },
        {"id": "other/model"},
        {"id": "third/model", "downloads": "many", "likes": None, "config": [], "tags": "x", "safetensors": None},
        {"id": "../escape"},
    ]  # fmt: skip
    first, second, third = search("opt")
    assert first == Found("some/opt-chat", "chat", "opt", True, 9, "mit", True, 7, 3)
    assert second == Found("other/model", "base", None, False, None, None, False, 0, 0)
    assert (third.repo, third.downloads, third.model_type) == ("third/model", 0, None)
    assert "search=opt" in hub.api_requests[0][0]
    assert hub.requests == []  # metadata only


@pytest.mark.parametrize("answer", [{}, 5, None, ["x"], [{"nothing": 1}], "text"])
def test_a_search_that_is_answered_with_something_else_is_one_error_or_finds_nothing(hub, answer):
    hub.found = answer
    try:
        assert search("opt", pauses=()) == []
    except HubError as error:
        assert "makes no sense" in str(error)


# -------------------------------------------------------------------------------------------- end to end
def test_get_list_and_remove(hub, capsys, text):
    assert "nothing yet" in run(capsys)[1]
    status, out, _ = run(capsys, "get", "tiny/opt", "--calibration", text)
    folder = models_folder() / "tiny--opt"
    assert status == 0
    assert "to download" in out
    assert out.endswith(f"tiny/opt is ready in {folder}.\n")
    manifest = PreparedModel.open(folder, verify=True).manifest
    assert manifest.name == "opt"
    assert manifest.source == Source(repository="tiny/opt", revision=COMMIT, licence="mit")
    assert folder_of("tiny/opt") == folder
    assert unfinished() == []
    assert re.search(r"tiny/opt +\d", run(capsys)[1])

    hub.api_requests.clear()
    assert "is ready in" in run(capsys, "get", "tiny/opt")[1]
    assert hub.api_requests == []

    assert run(capsys, "remove", "tiny/opt")[0] == 0
    assert installed() == []
    assert [path.name for path in models_folder().rglob("*")] == [".downloads", "tiny--opt.lock"]
    assert run(capsys, "remove", "tiny/opt")[0] == 1


@pytest.mark.parametrize("shards", [1, 3])
def test_a_repository_of_old_checkpoint_files(tiny_checkpoint, tiny_model, tmp_path, monkeypatch, capsys, text, shards):
    old = as_bin(tiny_checkpoint, tmp_path / "old", shards)
    (old / "run_me.py").write_text("raise SystemExit('this was run')")
    with Storage() as storage, Hub(storage, old) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert run(capsys, "get", "tiny/opt", "--calibration", text)[0] == 0
    assert not list(models_folder().rglob("*.py"))
    folder = folder_of("tiny/opt")
    assert (folder / BUNDLES).read_bytes() == (tiny_model / BUNDLES).read_bytes()


def test_show_and_json(hub, capsys, text, quickly_prepared):
    status, out, _ = run(capsys, "show", "tiny/opt")
    assert status == 0
    assert "model.safetensors" in out
    assert "licence mit" in out
    report = json.loads(run(capsys, "show", "tiny/opt", "--json")[1])
    assert report["plan"]["needed_bytes"] > report["plan"]["bytes"]
    assert json.loads(run(capsys, "get", "tiny/opt", "--calibration", text, "--json")[1])["plan"]["commit"] == COMMIT
    listed = json.loads(run(capsys, "--json")[1])
    assert [model["repo"] for model in listed["installed"]] == ["tiny/opt"]
    assert json.loads(run(capsys, "remove", "tiny/opt", "--json")[1])["freed_bytes"] == listed["installed"][0]["bytes"]
    assert hub.requests


def looked_up(capsys):
    status, out, _ = run(capsys, "show", "tiny/opt", "--progress")
    return status, json.loads(out)


def test_a_look_up_brings_the_config_and_nothing_else(hub, capsys):
    status, line = looked_up(capsys)
    assert (status, line["stage"], line["refused"]) == (0, "done", "")
    assert line["config"] == json.loads(hub.files["config.json"])
    assert line["plan"]["weight_bytes"] == len(hub.files["model.safetensors"])
    assert {path.split("/")[-1] for path, *_ in hub.requests} == {"config.json"}
    assert not models_folder().exists()


def test_a_look_up_says_why_a_model_cannot_be_prepared(hub, capsys):
    hub.files["config.json"] = b'{"model_type": "opt", "activation_function": "gelu"}'
    assert "'gelu'" in looked_up(capsys)[1]["refused"]
    hub.files["config.json"] = b"[]"
    status, line = looked_up(capsys)
    assert status == 1
    assert "config.json of tiny/opt" in line["error"]


def test_a_look_up_of_a_gated_model(hub, capsys, monkeypatch):
    hub.gated = True
    status, line = looked_up(capsys)
    assert (status, line["page"]) == (1, f"{hub.url}/tiny/opt")
    monkeypatch.setenv("HF_TOKEN", "hf_not_let_in_yet")
    line = looked_up(capsys)[1]
    assert line["plan"]["gated"]
    assert line["config"] is None


def test_too_little_room_is_refused_before_anything_is_fetched(hub, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "total used free")(1, 1, 1000))
    status, _, err = run(capsys, "get", "tiny/opt")
    assert status == 1
    assert "1 KB free" in err
    assert hub.requests == []


def test_a_models_folder_that_cannot_be_written(hub, capsys, home, monkeypatch):
    (home / "file").write_text("in the way")
    monkeypatch.setenv("FLASHBULB_MODELS", str(home / "file"))
    status, _, err = run(capsys, "get", "tiny/opt")
    assert status == 1
    assert "cannot be changed" in err
    assert hub.requests == []


def test_a_model_that_cannot_be_prepared_is_refused_before_its_weights(hub, capsys):
    hub.files["config.json"] = b'{"model_type": "opt", "activation_function": "gelu"}'
    status, _, err = run(capsys, "get", "tiny/opt")
    assert status == 1
    assert "'gelu'" in err
    assert len(hub.requests) == 1


def test_a_download_goes_on_with_the_commit_it_began_with(hub, capsys, text, quickly_prepared):
    hub.storage.faults.extend([None, None] + [404] * 10)
    hub.faults.extend([None, None, 404])
    assert run(capsys, "get", "tiny/opt")[0] == 1
    assert "continues" in run(capsys)[1]
    hub.api_requests.clear()
    hub.storage.faults.clear()
    assert run(capsys, "get", "tiny/opt", "--calibration", text)[0] == 0
    assert hub.api_requests[0][0].startswith(f"/api/models/tiny/opt/revision/{COMMIT}")


def test_a_whole_download_is_prepared_without_the_hub(hub, capsys, text, quickly_prepared):
    status, _, err = run(capsys, "get", "tiny/opt")
    assert status == 1
    assert "no calibration text" in err
    hub.api_requests.clear()
    hub.requests.clear()
    assert run(capsys, "get", "tiny/opt", "--calibration", text)[0] == 0
    assert hub.api_requests == hub.requests == []


GET = """
import sys
from pathlib import Path
from engine.library.download import Transfer
from engine.library.getting import get, plan_for

transfer = Transfer(connections=1, stall=60, record=0.05)
get(plan_for("tiny/opt"), transfer=transfer, calibration=Path(sys.argv[1]))
"""


def stall_in_weights(hub) -> None:
    """From now on, half of the weights arrives, and then no more comes."""
    small = len(look_up("tiny/opt").files) - 1
    hub.storage.faults.extend([None] * small + ["stall"])


def wait_for_bytes(count: int) -> None:
    while not any(model.done >= count for model in unfinished()):
        sleep(0.02)


def test_kill_9_and_resume_in_the_middle_of_a_file(hub, capsys, text):
    stall_in_weights(hub)
    environment = os.environ | {"HF_HUB_OFFLINE": "0"}
    process = subprocess.Popen([sys.executable, "-c", GET, text], cwd=ROOT, env=environment)
    assert hub.storage.stalled.wait(60)
    half, whole = hub.storage.sent_before_stall, len(hub.files["model.safetensors"])
    arrived = sum(map(len, hub.files.values())) - whole + half
    wait_for_bytes(arrived)
    status, _, err = run(capsys, "get", "tiny/opt")
    assert status == 1
    assert "Another Flashbulb is at work on tiny/opt" in err
    assert run(capsys, "remove", "tiny/opt")[0] == 1
    process.kill()
    process.wait()
    assert [(model.repo, model.done) for model in unfinished()] == [("tiny/opt", arrived)]

    hub.requests.clear()
    hub.storage.requests.clear()
    assert run(capsys, "get", "tiny/opt", "--calibration", text)[0] == 0
    assert [r for _, r, _ in hub.storage.requests] == [f"bytes={half}-{whole - 1}"]
    PreparedModel.open(folder_of("tiny/opt"), verify=True)


@pytest.fixture
def interruptible():
    """Control-C works, also where the tests run in the background, which begins with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_control_c_pauses(hub, capsys):
    def interrupt() -> None:
        if hub.storage.stalled.wait(60):
            os.kill(os.getpid(), signal.SIGINT)

    stall_in_weights(hub)
    thread = threading.Thread(target=interrupt)
    thread.start()
    status, _, err = run(capsys, "get", "tiny/opt")
    thread.join()
    assert status == 130
    assert "Paused. `flashbulb models get tiny/opt` continues" in err
    assert len(unfinished()) == 1
    assert run(capsys, "remove", "tiny/opt")[0] == 0
    assert unfinished() == []


# --------------------------------------------------------------------------------------------- the library
def test_the_models_folder(home, monkeypatch):
    monkeypatch.delenv("FLASHBULB_MODELS")
    monkeypatch.setattr(sys, "platform", "linux")
    assert models_folder() == home / "flashbulb" / "models"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert models_folder() == home / "Library" / "Application Support" / "Flashbulb" / "models"


def test_damaged_folders_are_not_models():
    folder = models_folder()
    for name, manifest in {"a": "{", "b": "[]", "c": '{"files": 3}', "d": "{}"}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "manifest.json").write_text(manifest)
    assert installed() == []
