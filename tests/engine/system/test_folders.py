"""Paths as people give them."""

from pathlib import Path

import pytest

from engine.system.folders import given_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~/models", "{home}/models"),
        ('"~/my models"', "{home}/my models"),
        ("'/a/b'", "/a/b"),
        (" /a/b \n", "/a/b"),
        ("/a/'b", "/a/'b"),
        ('"', '"'),
        ("~nobody-knows/x", "~nobody-knows/x"),
        ("relative", "relative"),
    ],
)
def test_home_folders_and_quotes_are_understood(home, text, expected):
    assert given_path(text) == Path(expected.format(home=home))
