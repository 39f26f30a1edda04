"""The printed text: nothing that a terminal would obey, in the order in which it was said."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.generate import show
from engine.cli.output import Aside, counted, fail, note, one_line, print_json, printable, say, signed

ROOT = Path(__file__).parents[3]
OBEYED = [chr(code) for code in (*range(9), *range(11, 32), 127, *range(0x80, 0xA0), 0x202E, 0x2066, 0x200F)]


@pytest.mark.parametrize("sign", OBEYED, ids=lambda sign: f"U+{ord(sign):04X}")
def test_control_characters_are_seen_and_not_obeyed(capsys, sign):
    say(f"a{sign}b")
    note(f"a{sign}b")
    fail(f"a{sign}b")
    said = capsys.readouterr()
    assert sign not in (said.out + said.err).replace("\n", "")


@given(st.text())
def test_any_text_is_printable(text):
    assert all(sign.isprintable() or sign in "\n\t" or ord(sign) >= 0xA0 for sign in printable(text))
    assert "\n" not in one_line(text)


def test_lines_and_ordinary_text_stay():
    text = "one\n\ttwo 你好 é 🙂 עברית"
    assert printable(text) == text


def test_an_error_is_cut_and_holds_no_token():
    assert len(one_line("x" * 10_000)) == 2001
    assert "SECRET" not in one_line("Bearer hf_SECRETabcdef")


@pytest.mark.parametrize(
    ("value", "text"), [(-0.001, "0.00"), (0.0, "0.00"), (0.004, "0.00"), (0.1, "+0.10"), (-1.5, "-1.50")]
)
def test_nothing_is_minus_zero(value, text):
    assert signed(value, 2) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 neurons"), (1, "1 neuron"), (2, "2 neurons"), (1234, "1,234 neurons")]
)
def test_one_is_not_several(number, text):
    assert counted(number, "neuron", "neurons") == text


def test_json_is_exact(capsys):
    print_json({"text": "a\x1b[31mb"})
    assert json.loads(capsys.readouterr().out) == {"text": "a\x1b[31mb"}


def test_an_answer_and_its_figures_do_not_run_together(tiny_model):
    command = [sys.executable, "-m", "app", "generate", str(tiny_model), "--prompt", "Hi", "--max-tokens", "3", "--raw"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    assert done.returncode == 0
    assert any(line.endswith(" peak") and line[0].isdigit() for line in done.stdout.splitlines())


def test_a_terminal_that_lacks_signs_is_no_end():
    code = "from engine.cli.output import *; never_stumble(); say('你好'); note('caf\\udcff')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, cwd=ROOT, env={"PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"\\u4f60\\u597d\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_reasoning_is_dimmed_beside_the_answer_and_on_a_terminal_only(capsys, monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    aside = Aside()
    for reasoning, text in (("Hm", ""), (" \x1b[2J", ""), ("", "Yes"), ("", "!")):
        show(SimpleNamespace(reasoning=reasoning, text=text), aside)
    aside.end()
    said = capsys.readouterr()
    assert said.out == "Yes!"
    assert said.err == ("\x1b[2mHm\x1b[0m\x1b[2m \u241b[2J\x1b[0m\n" if terminal else "")
