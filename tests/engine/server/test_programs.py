"""Programs, as they call themselves, for as long as they are connected."""

import pytest

from engine.server.programs import MAX_NAME_CHARACTERS, SHOWN_S, Program, Programs, program_of


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"user-agent": "OpenAI/Python 3.57.0"}, "OpenAI/Python"),
        ({"user-agent": "claude-cli/2.0.1 (external, cli)"}, "claude-cli"),
        ({"user-agent": "ollama-python/0.6.3 (x86_64 linux) Python/3.11"}, "ollama-python"),
        ({"user-agent": "curl/8.5.0", "x-title": "Cline"}, "Cline"),
        ({"user-agent": "node"}, "node"),
        ({"user-agent": ""}, "unknown"),
        ({}, "unknown"),
        ({"x-title": "evil\x1b[2J\u202e" + "x" * 500}, "evil[2J" + "x" * (MAX_NAME_CHARACTERS - 7)),
    ],
)
def test_a_program_is_named_as_it_names_itself(headers, name):
    assert program_of(headers) == name


def test_a_program_is_connected_while_it_waits_and_a_while_after():
    now = 0.0
    programs = Programs(lambda: now)
    programs.began("editor")
    programs.began("editor")
    now = 2 * SHOWN_S
    assert programs.connected() == [Program("editor", 2)]
    programs.ended("editor")
    programs.ended("editor")
    assert programs.connected() == [Program("editor", 0)]
    now += SHOWN_S
    assert programs.connected() == []


def test_however_many_names_there_are_not_all_are_remembered():
    programs = Programs(lambda: 0.0)
    for number in range(500):
        programs.began(f"program {number}")
        programs.ended(f"program {number}")
    assert len(programs.connected()) <= 100
