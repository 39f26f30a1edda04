"""Every option explains itself, and every bad value is refused in one line that names it."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.__main__ import parser as window_parser
from engine.bench.shapes import SHAPES
from engine.cli import bench
from engine.cli.arguments import size
from engine.cli.main import main, overview, parser
from engine.text import readable

ROOT = Path(__file__).parents[3]


def parsers(whole: argparse.ArgumentParser):
    """A parser and all of its commands'."""
    yield whole
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from parsers(below)


ALL = [*parsers(parser()), window_parser(["--help"])]


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.prog)
def test_every_argument_says_what_it_does_and_its_default(one):
    chosen = [a for group in one._mutually_exclusive_groups if group.required for a in group._group_actions]
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            continue
        assert action.help, (one.prog, action.dest)
        optional_value = action.option_strings and action.nargs != 0 and not action.required and action not in chosen
        if optional_value and not isinstance(action, argparse._VersionAction):
            known = ("default", "without it")
            assert any(word in action.help for word in known), (one.prog, action.dest)
    assert one.format_help()


def test_help_lists_all_commands(capsys):
    commands = ["chat", "generate", "serve", "models", "prepare", "info", "eval", "bench"]
    assert [line.split()[0] for line in overview().splitlines()] == commands
    assert overview() in window_parser(["--help"]).format_help()
    for arguments in (["help"], ["help", "generate"], ["--help"], ["generate", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert "usage: flashbulb" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["help"], ["--help"]])
def test_the_command_flashbulb_helps(arguments):
    done = subprocess.run([sys.executable, "-m", "app", *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "  generate   answer a prompt" in done.stdout
    assert "--model" in done.stdout


def test_the_shapes_are_those_that_there_are():
    assert set(bench.SHAPES) == SHAPES.keys()


GENERATE = ["generate", "starter", "--prompt", "x"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([*GENERATE, "--seed", "-1"], "--seed"),
        ([*GENERATE, "--seed", str(2**64)], "--seed"),
        ([*GENERATE, "--seed", "1.5"], "--seed"),
        ([*GENERATE, "--seed", "²"], "--seed"),
        ([*GENERATE, "--repetition-penalty", "-1"], "--repetition-penalty"),
        ([*GENERATE, "--repetition-penalty", "0"], "--repetition-penalty"),
        ([*GENERATE, "--repetition-penalty", "nan"], "--repetition-penalty"),
        ([*GENERATE, "--min-p", "2"], "--min-p"),
        ([*GENERATE, "--presence-penalty", "-1000"], "--presence-penalty"),
        ([*GENERATE, "--temperature", "inf"], "--temperature"),
        ([*GENERATE, "--top-k", "-3"], "--top-k"),
        ([*GENERATE, "--top-p", "nan"], "--top-p"),
        ([*GENERATE, "--window", str(2**32)], "--window"),
        ([*GENERATE, "--window", "9" * 5000], "--window"),
        ([*GENERATE, "--max-tokens", "0"], "--max-tokens"),
        ([*GENERATE, "--max-tokens", "٣"], "--max-tokens"),
        ([*GENERATE, "--memory-budget", "9" * 400], "--memory-budget"),
        ([*GENERATE, "--memory-budget", "1.2.3GB"], "--memory-budget"),
        ([*GENERATE, "--memory-budget", "-1GB"], "--memory-budget"),
        ([*GENERATE, "--memory-budget", "nan"], "--memory-budget"),
        ([*GENERATE[:-1], "\udcff"], "--prompt"),
        ([*GENERATE, "--stop", "\udcff"], "--stop"),
        (["generate", "\udcff", "--prompt", "x"], "MODEL"),
        (["generate", "x" * 5000, "--prompt", "x"], "MODEL"),
        (["eval", "starter", "--text", "x" * 5000], "--text"),
        (["bench", "drive", "--folder", "/nonexistent"], "--folder"),
        (["bench", "table3", "--shape", "gpt-5"], "--shape"),
        (["models", "show", "\udcff"], "REPO"),
    ],
)
def test_a_bad_value_is_refused_by_name_in_one_line(capsys, arguments, named):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert f"argument {named}: " in said.err
    assert said.err.count("\n") == 1
    assert len(said.err) < 500
    assert said.err.strip().isprintable()


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(SystemExit):
        main(["bench", "drive", "--folder", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["y" * 300, "~nosuch", "~nosuch/x", "a/" * 900])
def test_a_model_that_cannot_be_is_one_line(capsys, name):
    try:
        status = main(["info", name])
    except SystemExit as ended:
        status = ended.code
    said = capsys.readouterr()
    assert status in (1, 2)
    assert said.err.count("\n") == 1
    assert said.err.startswith("flashbulb")


@given(st.integers(0, 2**50))
def test_any_size_that_is_printed_is_read(count):
    assert size(readable(count).removesuffix("s").replace("byte", "")) == pytest.approx(count, rel=0.01)


@given(st.text())
def test_any_size_is_read_or_refused(said):
    try:
        assert 0 <= size(said) <= 2**60
    except argparse.ArgumentTypeError as error:
        assert len(str(error)) < 300
