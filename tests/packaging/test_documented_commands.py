"""Every command that a page of ours names exists as it is written there; the short ones are run."""

import ast
import io
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from app.__main__ import parser as window_parser
from engine.cli.main import asking_for_help, main, parser
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.mlx_models import VOCABULARY, write_moe

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", ".github/CONTRIBUTING.md", "packaging/MAC_CHECKS.md", "engine/bench/README.md",
         "resources/starter/README.md", "resources/calibration/README.md")  # fmt: skip
COMMAND = re.compile(r"(?:^|[`\s])flashbulb (?P<arguments>[^`\n|#&;<>]+)")
CODE = re.compile(r'python -c "(?P<code>[^\n]*?)"(?=`|\s|$)')
FILES = re.compile(r"(?:app|engine|packaging|tests|resources)/[\w/.-]+\.(?:py|md)|tests/[\w/]+(?=[`\s])")
NAMES = ("info", "prepare", "eval", "generate", "bench", "bench report")  # that are mentioned without arguments
QUICK = ("models", "info", "generate", "eval", "prepare", "chat")  # and not of the Hub, nor of a shape


def texts() -> dict[str, str]:
    """The pages' code: what stands in backticks or is indented, commands that are broken over lines put together."""
    found = {}
    for page in PAGES:
        content = (ROOT / page).read_text(encoding="utf-8")
        spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", content)]
        blocks = re.findall(r"(?m)^ {4,}(\S.*)$", content)
        found[page] = "\n".join([*spans, *blocks])
    return found


def commands() -> list[tuple[str, str]]:
    found = {(page, m["arguments"].strip()) for page, text in texts().items() for m in COMMAND.finditer(text)}
    return sorted((page, said) for page, said in found if re.match(r"[-a-z]", said) and "…" not in said)


def test_the_pages_name_what_this_test_is_for():
    named = {said.split()[0] for _, said in commands()}
    assert {"models", "prepare", "generate", "eval", "info", "bench", "--model"} <= named
    assert any("falcon-1.3b" in said for _, said in commands())


@pytest.mark.parametrize(("page", "said"), commands())
def test_each_command_is_understood(page, said, capsys):
    arguments = asking_for_help([*shlex.split(said), *(["--help"] if said in NAMES else [])])
    try:
        (window_parser(arguments) if said.startswith("-") else parser()).parse_args(arguments)
    except SystemExit as ended:
        assert not ended.code, f"{page}: flashbulb {said}: {capsys.readouterr().err}"


def runnable() -> list[tuple[str, str]]:
    hub = ("models get", "models show", "models search", "models token")
    return [(p, s) for p, s in commands() if s.split()[0] in QUICK and s not in NAMES and not s.startswith(hub)]


@pytest.mark.parametrize(("page", "said"), runnable())
def test_the_short_commands_run(page, said, tiny_model, tiny_checkpoint, tmp_path, monkeypatch, capsys):
    """In a folder that has what the page takes for granted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Hello")))
    shutil.copytree(tiny_model, tmp_path / "my-model")
    (tmp_path / "book.txt").write_text("The cat sat on the mat. " * 20)
    arguments = shlex.split(said)
    if "FOLDER" in arguments:
        write_tokenizer(write_moe(tmp_path / "FOLDER"), VOCABULARY)
    if arguments[0] == "prepare":
        arguments[1:3] = [str(tiny_checkpoint), "made"]  # what the page has made before is not there
        arguments += ["--calibration", "book.txt"]
    assert main(arguments) == 0, capsys.readouterr().err
    assert capsys.readouterr().out


def test_a_python_line_of_a_page_imports_what_there_is():
    lines = [m["code"] for text in texts().values() for m in CODE.finditer(text)]
    assert len(lines) >= 5
    for line in lines:
        imports = [node for node in ast.parse(line).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert imports
        exec(compile(ast.Module(imports, []), line, "exec"), {})


def test_the_files_that_a_page_names_are_there():
    named = {(page, name) for page, text in texts().items() for name in FILES.findall(text)}
    assert len(named) >= 20
    for page, name in named:
        assert (ROOT / name).exists(), f"{page} names {name}"
