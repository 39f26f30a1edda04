"""The list of licences: everything shipped is in it, every text once, and how to relink Qt."""

import pytest

import licences
from tests.packaging.conftest import add_package

ANY = "Tag: py3-none-any"


@pytest.fixture
def packages(tmp_path):
    for name in ("alpha", "beta"):
        add_package(tmp_path / "packages", name, ANY, b"The MIT License,\nof both.")
    add_package(tmp_path / "packages", "PySide6_Essentials", ANY)
    add_package(tmp_path / "packages", "flashbulb", ANY)
    return tmp_path / "packages"


def test_everything_shipped_is_listed_with_its_text(packages, tmp_path):
    licences.write(tmp_path, packages)
    text = (tmp_path / licences.NAME).read_text()
    assert licences.listed(text) == {"Python", "alpha", "beta", "PySide6_Essentials"}
    assert licences.shipped(packages) == {"alpha", "beta", "PySide6_Essentials"}
    assert text.count("of both.") == 1, "the same text is given once"
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in text
    assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in text
    assert "codesign --force --deep --sign - Flashbulb.app" in text, "how Qt is replaced"


def test_a_package_without_a_licence_stops_the_build(packages, tmp_path):
    add_package(packages, "nameless", ANY)
    with pytest.raises(SystemExit, match=r"nameless 1\.0 brings no licence"):
        licences.write(tmp_path, packages)
    assert not (tmp_path / licences.NAME).exists()
