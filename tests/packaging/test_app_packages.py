"""The installed packages, thinned, pruned and linked as a Mac needs them."""

import importlib
from pathlib import Path

import pytest
from macholib.MachO import MachO

import app_packages
from tests.helpers.mach_o import ARM64, X86_64, mach_o, universal
from tests.packaging.conftest import write

QT = "@rpath/{0}.framework/Versions/A/{0}"


def test_only_the_arm64_slice_is_left(tmp_path):
    arm = mach_o(name="@rpath/lib.dylib")
    write(tmp_path / "a" / "lib.dylib", universal((X86_64, mach_o(cpu=X86_64)), (ARM64, arm)))
    write(tmp_path / "thin.so", arm)
    app_packages.thin(tmp_path)
    assert (tmp_path / "a" / "lib.dylib").read_bytes() == arm
    assert (tmp_path / "thin.so").read_bytes() == arm


def test_a_file_without_such_a_slice_is_an_error(tmp_path):
    write(tmp_path / "lib.dylib", universal((X86_64, mach_o(cpu=X86_64)), (X86_64, mach_o(cpu=X86_64))))
    with pytest.raises(SystemExit, match=r"lib\.dylib has no slice for Apple silicon"):
        app_packages.thin(tmp_path)


def test_frameworks_get_their_links_back(tmp_path):
    framework = tmp_path / "Qt" / "lib" / "QtCore.framework"
    for folder in (framework, framework / "Versions" / "A"):
        write(folder / "Resources" / "Info.plist", b"plist")
    write(framework / "Versions" / "A" / "QtCore", b"code")
    for _ in range(2):  # and once more does no harm
        app_packages.link_frameworks(tmp_path)
        assert (framework / "Versions" / "Current").readlink() == Path("A")
        assert (framework / "QtCore").readlink() == Path("Versions/Current/QtCore")
        assert (framework / "QtCore").read_bytes() == b"code"
        assert (framework / "Resources").is_symlink()
        assert (framework / "Resources" / "Info.plist").read_bytes() == b"plist"


@pytest.fixture
def installed(tmp_path) -> Path:
    """As PySide6 is installed: with modules, plugins and frameworks that nothing of ours uses."""
    pyside = tmp_path / "PySide6"
    links = {"QtCore": [], "QtGui": ["QtCore", "QtDBus"], "QtDBus": ["QtCore"], "QtQml": ["QtCore"], "QtWidgets": []}
    for module, linked in links.items():
        libraries = [QT.format(name) for name in linked]
        write(pyside / f"{module}.abi3.so", mach_o(linked=[QT.format(module)]))
        write(pyside / "Qt" / "lib" / f"{module}.framework" / "Versions" / "A" / module, mach_o(linked=libraries))
    for name in ("platforms/libqcocoa.dylib", "platforms/libqminimal.dylib", "sqldrivers/libqsqlite.dylib"):
        write(pyside / "Qt" / "plugins" / name, mach_o(linked=[QT.format("QtGui")]))
    for name in ("qtbase_zh_CN.qm", "qtbase_de.qm", "qtdeclarative_zh_CN.qm"):
        write(pyside / "Qt" / "translations" / name, b"")
    for name in ("PySide6/Qt/qml/a.qml", "PySide6/Assistant.app/a", "PySide6/QtQml.pyi", "PySide6/__init__.py"):
        write(tmp_path / name, b"")
    for name in ("auto/modeling_auto.py", "opt/configuration_opt.py", "opt/modeling_opt.py"):
        write(tmp_path / "transformers" / "models" / name, b"")
    for name in ("bin/pip", "numpy/_core/tests/test_a.py", "numpy/_core/multiarray.py", "app/__pycache__/a.pyc"):
        write(tmp_path / name, b"")
    write(tmp_path / "flashbulb-0.1.0.dist-info" / "direct_url.json", b"file:///home/builder")
    return tmp_path


def test_what_is_never_loaded_is_deleted_and_what_is_linked_stays(installed, monkeypatch):
    monkeypatch.setattr(app_packages, "qt_modules", lambda: {"QtCore", "QtGui"})
    app_packages.prune(installed)
    files = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert files == {
        "PySide6/__init__.py",
        "PySide6/QtCore.abi3.so",
        "PySide6/QtGui.abi3.so",
        "PySide6/Qt/lib/QtCore.framework/Versions/A/QtCore",
        "PySide6/Qt/lib/QtGui.framework/Versions/A/QtGui",
        "PySide6/Qt/lib/QtDBus.framework/Versions/A/QtDBus",
        "PySide6/Qt/plugins/platforms/libqcocoa.dylib",
        "PySide6/Qt/translations/qtbase_zh_CN.qm",
        "numpy/_core/multiarray.py",
        "transformers/models/auto/modeling_auto.py",
        "transformers/models/opt/configuration_opt.py",
    }
    assert not (installed / "PySide6" / "Qt" / "plugins" / "sqldrivers").exists()


def test_bytecode_is_used_whatever_the_time_of_its_source(tmp_path, monkeypatch):
    write(tmp_path / "packages" / "compiled_ahead.py", b"import sys\nANSWER = 42\n")
    app_packages.compile_bytecode(tmp_path / "packages")
    (pyc,) = (tmp_path / "packages").rglob("*.pyc")
    assert str(tmp_path).encode() not in pyc.read_bytes(), "no path of the machine that built it"
    write(tmp_path / "packages" / "compiled_ahead.py", b"ANSWER = 'compiled anew'\n")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    assert importlib.import_module("compiled_ahead").ANSWER == 42


def test_broken_links_are_dropped(tmp_path):
    (tmp_path / "kept").symlink_to("file")
    (tmp_path / "Headers").symlink_to("Versions/Current/Headers")
    write(tmp_path / "file", b"")
    app_packages.drop_broken_links(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "kept"]


def test_the_modules_that_the_application_imports_are_found():
    assert {"QtCore", "QtGui", "QtWidgets"} <= app_packages.qt_modules()
    assert "QtQml" not in app_packages.qt_modules()


def test_every_dependency_is_pinned_and_ours_is_the_built_wheel(tmp_path):
    path = tmp_path / "build" / "constraints.txt"
    app_packages.write_constraints(path, tmp_path / "flashbulb-0.1.0-py3-none-any.whl")
    *pins, ours = path.read_text().splitlines()
    assert all("==" in pin for pin in pins)
    assert "mlx-metal==" in path.read_text()
    assert ours == f"flashbulb @ {tmp_path.as_uri()}/flashbulb-0.1.0-py3-none-any.whl"


def test_the_reader_is_compiled_for_apple_silicon(tmp_path):
    library = tmp_path / "_reader.dylib"
    app_packages.compile_reader(library)
    (header,) = MachO(str(library)).headers
    commands = {command.get_cmd_name(): data for command, data, _ in header.commands}
    assert header.header.cputype == ARM64
    assert commands["LC_BUILD_VERSION"].minos == 14 << 16 | 4 << 8
    assert "LC_CODE_SIGNATURE" in commands
    assert app_packages.libraries(library) == {"/usr/lib/libSystem.B.dylib"}
    assert str(app_packages.ROOT).encode() not in library.read_bytes()
