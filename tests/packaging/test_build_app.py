"""The steps that need no Mac, and what is said of those that do."""

import plistlib
import sys

import pytest
from briefcase.console import Console
from briefcase.platforms.macOS.app import macOSAppCreateCommand
from PySide6.QtCore import QSize
from PySide6.QtGui import QImage

import app_packages
import build_app
import draw_icon


def test_briefcase_understands_its_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr(macOSAppCreateCommand, "verify_host", lambda _: None)
    monkeypatch.setattr(macOSAppCreateCommand, "verify_tools", lambda _: None)
    command = macOSAppCreateCommand(Console(), base_path=app_packages.ROOT, data_path=tmp_path)
    command.parse_config(app_packages.ROOT / "pyproject.toml", overrides={})
    app = command.finalize(command.apps.values())["flashbulb"]
    assert command.binary_path(app) == build_app.APP
    ours = plistlib.loads((app_packages.ROOT / "packaging" / "Info.plist").read_bytes())
    assert app.bundle_identifier == ours["CFBundleIdentifier"]
    assert app.formal_name == ours["CFBundleName"] == ours["CFBundleExecutable"] == build_app.APP.stem
    assert app.min_os_version == ours["LSMinimumSystemVersion"]
    assert not app.universal_build
    assert (app_packages.ROOT / f"{app.icon}.icns") == build_app.ICON
    assert (app_packages.ROOT / f"{app.installer_background}.png").is_file()
    assert app.requirement_installer_args[1] == f"./{build_app.CONSTRAINTS.relative_to(app_packages.ROOT)}"
    assert [app_packages.ROOT / source for source in app.sources] == [build_app.ENTRY_FOLDER]
    assert app.module_name == ours["MainModule"] == build_app.ENTRY_FOLDER.name


def test_info_plist_keeps_what_the_launcher_needs_and_has_our_keys(tmp_path):
    path = tmp_path / "Info.plist"
    path.write_bytes(plistlib.dumps({"MainModule": "flashbulb", "LSMinimumSystemVersion": "11.0", "Launcher": 1}))
    build_app.write_info_plist(path)
    content = plistlib.loads(path.read_bytes())
    assert content["MainModule"] == "flashbulb"
    assert content["LSMinimumSystemVersion"] == "14.4"
    assert content["Launcher"] == 1
    assert content["CFBundleVersion"] == build_app.VERSION


@pytest.fixture
def installed(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "module.py").write_text("pass\n")
    return tmp_path / "app"


def launch(code: str) -> list:
    return [sys.executable, "-I", "-c", code]


def test_the_smoke_test_has_nothing_but_an_empty_home(installed, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    code = """
import os, sys
from pathlib import Path
assert sys.argv[1:] == ["--smoke-test"]
assert list(Path.home().iterdir()) == []
assert "HF_TOKEN" not in os.environ and "PYTHONPATH" not in os.environ
assert not list(Path.cwd().glob("pyproject.toml"))
"""
    build_app.run_smoke_test(launch(code), installed)
    assert (installed / "module.py").stat().st_mode & 0o200, "it can be deleted again"


def test_an_application_that_writes_into_itself_fails_the_smoke_test(installed):
    code = f"import os; os.chmod({str(installed)!r}, 0o755); open({str(installed / 'cache')!r}, 'w').close()"
    with pytest.raises(SystemExit, match=r"wrote into itself: .*cache"):
        build_app.run_smoke_test(launch(code), installed)


def test_a_smoke_test_that_fails_is_an_error(installed, monkeypatch, capsys):
    monkeypatch.setattr(build_app, "smoke", lambda: build_app.run_smoke_test(launch("exit(1)"), installed))
    monkeypatch.setattr(sys, "argv", ["build_app.py", "smoke"])
    with pytest.raises(SystemExit, match=r"This failed with status 1: .*--smoke-test"):
        build_app.main()


@pytest.mark.skipif(sys.platform == "darwin", reason="says so on other systems")
@pytest.mark.parametrize("step", [build_app.app, lambda: build_app.image(None)])
def test_what_needs_a_mac_says_so(step):
    with pytest.raises(SystemExit, match="This needs a Mac"):
        step()


@pytest.mark.parametrize("pixels", draw_icon.WINDOW_SIZES)
def test_the_icons_are_those_of_the_svg_files(qapp, pixels):
    stored = QImage(str(draw_icon.WINDOW_FOLDER / f"flashbulb-{pixels}.png"))
    drawn = draw_icon.icon(pixels).convertToFormat(stored.format())
    assert stored.size() == QSize(pixels, pixels)
    pairs = zip(bytes(stored.constBits()), bytes(drawn.constBits()), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= 8, "run build_app.py icon"
