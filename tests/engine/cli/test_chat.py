"""`flashbulb chat`, `generate` from standard input, and names of models."""

import io
import shutil
import sys
from types import SimpleNamespace

import pytest

from engine.cli.main import main
from engine.errors import PreparedModelError
from engine.inference.load import find
from engine.system.built_in import STARTER_FOLDER
from engine.system.folders import application_folder, models_folder


def typed(monkeypatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def test_a_chat_answers_each_line(capsys, monkeypatch, tiny_model):
    typed(monkeypatch, b"Hello\n\n" + b"music " * 400 + b"\nDo you like music?\n")
    assert main(["chat", str(tiny_model), "--max-tokens", "4", "--seed", "1", "--system", "Be kind."]) == 0
    said = capsys.readouterr()
    assert said.out.count("\n") >= 2
    assert said.err.count("\n") == 1  # what is too long is refused, and the chat goes on
    assert said.err.startswith("flashbulb: ")


def test_what_is_typed_on_a_terminal_is_asked_for(capsys, monkeypatch, tiny_model):
    lines = iter(["Hello"])

    def ask(prompt):
        assert prompt == "> "
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", ask)
    assert main(["chat", str(tiny_model), "--max-tokens", "2"]) == 0
    assert "Ctrl-D ends the chat" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--prompt", "-"]])
def test_a_prompt_may_come_on_standard_input(capsys, monkeypatch, tiny_model, arguments):
    typed(monkeypatch, "Do you like music? 你好".encode())
    assert main(["generate", str(tiny_model), "--max-tokens", "2", *arguments]) == 0
    typed(monkeypatch, b"\xff\xfe")
    assert main(["generate", str(tiny_model), *arguments]) == 1
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    assert main(["generate", str(tiny_model), *arguments]) == 1
    said = capsys.readouterr().err
    assert "no UTF-8 text" in said
    assert "Give a prompt: with --prompt, or on standard input." in said


def test_a_models_name_is_enough(tiny_model, tmp_path, monkeypatch):
    folder = shutil.copytree(tiny_model, models_folder() / "facebook--opt-125m")
    assert find("facebook/opt-125m") == find("opt-125m") == find("OPT-125M") == folder
    assert find("starter") == STARTER_FOLDER
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, tmp_path / "opt-125m")
    assert find("opt-125m").samefile(tmp_path / "opt-125m")  # what is there comes first
    shutil.copytree(tiny_model, models_folder() / "other--opt-350m")
    shutil.copytree(tiny_model, models_folder() / "facebook--opt-350m")
    with pytest.raises(PreparedModelError, match="could mean several models: facebook--opt-350m, other--opt-350m"):
        find("opt-350m")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one folder for all")
def test_there_is_one_folder_on_linux_and_the_old_one_is_found(home):
    assert application_folder() == models_folder().parent == home / "flashbulb"
    (home / "Flashbulb").mkdir()
    assert application_folder() == home / "Flashbulb"
    assert models_folder() == home / "flashbulb" / "models"
