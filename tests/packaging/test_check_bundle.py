"""Each fault that check_bundle looks for is planted in a sound bundle, and has to be found, and nothing else."""

import plistlib
import py_compile
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from icnsutil import IcnsFile

import check_bundle
import licences
from check_bundle import check
from tests.helpers.mach_o import ARM64, X86_64, mach_o, universal
from tests.packaging.conftest import add_package, write

PACKAGES = "Contents/Resources/app_packages"
MLX = f"{PACKAGES}/mlx/lib/libmlx.dylib"
EXTENSION = f"{PACKAGES}/mlx/core.cpython-311-darwin.so"
QT = f"{PACKAGES}/PySide6/Qt/lib/QtCore.framework"
PYC = f"{{}}/{PACKAGES}/app/__pycache__/__main__.cpython-311.pyc"
LICENCES = f"Contents/Resources/{licences.NAME}"


def replace(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda bundle: write(bundle / name, content)


def delete(name: str) -> Callable[[Path], None]:
    def fault(bundle: Path) -> None:
        path = bundle / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    return fault


def plist(**changes) -> Callable[[Path], None]:
    """Change Info.plist's keys; None deletes one."""

    def fault(bundle: Path) -> None:
        path = bundle / "Contents" / "Info.plist"
        content = plistlib.loads(path.read_bytes()) | changes
        path.write_bytes(plistlib.dumps({key: value for key, value in content.items() if value is not None}))

    return fault


def lose_links(bundle: Path) -> None:
    """As an archive does that follows symbolic links."""
    framework = bundle / QT
    (framework / "QtCore").unlink()
    shutil.copy(framework / "Versions" / "A" / "QtCore", framework)
    (framework / "Versions" / "Current").unlink()
    shutil.copytree(framework / "Versions" / "A", framework / "Versions" / "Current")


def link(name: str, target: str) -> Callable[[Path], None]:
    return lambda bundle: (bundle / name).symlink_to(target)


def ship_unlisted(bundle: Path) -> None:
    add_package(bundle / PACKAGES, "newcomer", "Tag: py3-none-any", b"MIT License")


def forget_the_lgpl(bundle: Path) -> None:
    path = bundle / LICENCES
    path.write_text(path.read_text().replace("GNU LESSER GENERAL PUBLIC LICENSE", ""))


def icon_without_large_sizes(bundle: Path) -> None:
    path = bundle / "Contents" / "Resources" / "flashbulb.icns"
    icon = IcnsFile(str(path))
    for kind in ("ic09", "ic14", "ic10"):
        icon.remove_media(kind)
    icon.write(str(path), toc=False)


def tag_pyside_for_a_newer_system(bundle: Path) -> None:
    path = bundle / PACKAGES / "pyside6_essentials-1.0.dist-info" / "WHEEL"
    path.write_text(path.read_text().replace("macosx_13_0", "macosx_26_0"))


FAULTS = {
    "an Intel library": (
        replace(MLX, mach_o(cpu=X86_64, name="@rpath/libmlx.dylib")),
        [f"{MLX} is for x86_64, not for ARM64 alone."],
    ),
    "a universal library": (
        replace(MLX, universal((X86_64, mach_o(cpu=X86_64)), (ARM64, mach_o()))),
        [f"{MLX} is for x86_64, ARM64, not for ARM64 alone."],
    ),
    "the wheel for macOS 26": (
        replace(MLX, mach_o(name="@rpath/libmlx.dylib", minimum=(26, 2))),
        [f"{MLX} needs macOS 26.2, more than the bundle's 14.4."],
    ),
    "PySide6 for macOS 26": (
        tag_pyside_for_a_newer_system,
        [f"{PACKAGES}/PySide6/QtCore.abi3.so needs macOS 26.0, more than the bundle's 14.4."],
    ),
    "a system that the bundle does not ask for": (
        plist(LSMinimumSystemVersion="14.0"),
        [
            "Info.plist: LSMinimumSystemVersion is '14.0', not '14.4'.",
            f"{PACKAGES}/engine/flash/_reader.dylib needs macOS 14.4, more than the bundle's 14.0.",
        ],
    ),
    "unsigned code": (
        replace(MLX, mach_o(name="@rpath/libmlx.dylib", signed=False)),
        [f"{MLX} is not signed: Apple silicon runs no unsigned code."],
    ),
    "a library of the build machine": (
        replace(MLX, mach_o(linked=["/opt/homebrew/lib/libjpeg.8.dylib"])),
        [f"{MLX} names /opt/homebrew/lib/libjpeg.8.dylib, a path of the machine that built it."],
    ),
    "an rpath of the build machine": (
        replace(MLX, mach_o(rpaths=["/Users/runner/build"])),
        [f"{MLX} names /Users/runner/build, a path of the machine that built it."],
    ),
    "an install name of the build machine": (
        replace(MLX, mach_o(name="/Users/runner/build/libmlx.dylib")),
        [f"{MLX} names /Users/runner/build/libmlx.dylib, a path of the machine that built it."],
    ),
    "a library that is not shipped": (
        replace(EXTENSION, mach_o(linked=["@rpath/libjaccl.dylib"], rpaths=["@loader_path/lib"])),
        [f"{EXTENSION} is linked to @rpath/libjaccl.dylib, which is not in the bundle."],
    ),
    "an rpath that leads nowhere": (
        replace(EXTENSION, mach_o(linked=["@rpath/libmlx.dylib"])),
        [f"{EXTENSION} is linked to @rpath/libmlx.dylib, which is not in the bundle."],
    ),
    "a library beside the bundle": (
        replace(EXTENSION, mach_o(linked=["@loader_path/../../../../../outside.dylib"])),
        [f"{EXTENSION} is linked to @loader_path/../../../../../outside.dylib, which is not in the bundle."],
    ),
    "no Metal kernels": (
        delete(f"{PACKAGES}/mlx/lib/mlx.metallib"),
        [
            f"{PACKAGES}/mlx/lib/mlx.metallib is missing.",
            f"{MLX} has no mlx.metallib beside it, where MLX looks for its Metal kernels.",
        ],
    ),
    "a second libmlx": (
        lambda bundle: shutil.copytree(bundle / PACKAGES / "mlx" / "lib", bundle / "Contents" / "Frameworks" / "lib"),
        [f"There are 2 libmlx.dylib, which would be mistaken for each other: {MLX}."],
    ),
    "no reader": (
        delete(f"{PACKAGES}/engine/flash/_reader.dylib"),
        [f"{PACKAGES}/engine/flash/_reader.dylib is missing."],
    ),
    "no starter model": (
        delete(f"{PACKAGES}/resources/starter"),
        [f"{PACKAGES}/resources/starter/model/manifest.json is missing."],
    ),
    "no launcher": (delete("Contents/MacOS/Flashbulb"), ["Contents/MacOS/Flashbulb is missing."]),
    "no Python": (
        delete("Contents/Frameworks"),
        [
            "Contents/Frameworks/Python.framework is missing.",
            "Contents/MacOS/Flashbulb is linked to @rpath/Python.framework/Versions/3.11/Python, "
            "which is not in the bundle.",
        ],
    ),
    "lost links": (
        lose_links,
        [
            f"{QT} has lost its links: Versions/Current is none.",
            f"{QT} has lost its links: QtCore is none.",
        ],
    ),
    "a broken link": (
        link(f"{PACKAGES}/broken", "nowhere"),
        [f"{PACKAGES}/broken links to nowhere, which is not there."],
    ),
    "a link out of the bundle": (
        link(f"{PACKAGES}/python", "/usr/bin"),
        [f"{PACKAGES}/python links to /usr/bin, outside of the bundle."],
    ),
    "Rosetta": (
        plist(LSRequiresNativeExecution=None, LSArchitecturePriority=["arm64", "x86_64"]),
        [
            "Info.plist: LSArchitecturePriority is ['arm64', 'x86_64'], not ['arm64'].",
            "Info.plist: LSRequiresNativeExecution is None, not True.",
        ],
    ),
    "no dark mode": (
        plist(NSRequiresAquaSystemAppearance=True),
        ["Info.plist: NSRequiresAquaSystemAppearance is True, not False."],
    ),
    "no reason for external drives": (
        plist(NSRemovableVolumesUsageDescription=""),
        ["Info.plist: NSRemovableVolumesUsageDescription is missing."],
    ),
    "another version": (
        plist(CFBundleVersion="0.0.1"),
        [f"Info.plist: CFBundleVersion is '0.0.1', not {check_bundle.KEYS['CFBundleVersion']!r}."],
    ),
    "no document types": (
        plist(UTExportedTypeDeclarations=[]),
        [
            "Info.plist: no type is declared for .flashbulb.",
            "Info.plist: no type is declared for .flashbulb-chat.",
        ],
    ),
    "documents that nothing opens": (
        plist(CFBundleDocumentTypes=[]),
        [
            "Info.plist: io.github.flashbulb.chat is declared, but is no document type.",
            "Info.plist: io.github.flashbulb.model is declared, but is no document type.",
        ],
    ),
    "no icon": (
        delete("Contents/Resources/flashbulb.icns"),
        ["Contents/Resources/flashbulb.icns is missing: the application would have no icon."],
    ),
    "an icon of small sizes": (
        icon_without_large_sizes,
        ["Contents/Resources/flashbulb.icns has no image of 512, 1024 pixels."],
    ),
    "an icon that is none": (
        replace("Contents/Resources/flashbulb.icns", b"\x89PNG"),
        ['Contents/Resources/flashbulb.icns is no icon: Not an ICNS file, missing "icns" header.'],
    ),
    "no licences": (
        delete(LICENCES),
        [f"{LICENCES} is missing: the licences of what is shipped have to come with it."],
    ),
    "a package without its licence": (ship_unlisted, [f"{LICENCES} does not name newcomer, which is shipped."]),
    "no LGPL": (forget_the_lgpl, [f"{LICENCES} has no text of the LGPL, under which Qt is used."]),
    "bytecode that copying makes stale": (
        lambda bundle: py_compile.compile(str(bundle / PACKAGES / "app" / "__main__.py"), PYC.format(bundle)),
        [f"{PYC.format('')[1:]} goes by the time of its source, which copying changes: it would be of no use."],
    ),
    "the build folder's name": (
        replace(f"{PACKAGES}/app/script.py", b"#!/home/builder/flashbulb/.venv/bin/python\n"),
        [f"{PACKAGES}/app/script.py names /home/builder/flashbulb, a folder of the machine that built it."],
    ),
}


def test_a_sound_bundle_passes(bundle):
    assert check(bundle, build_folders=[Path("/home/builder/flashbulb")]) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(bundle, name):
    fault, expected = FAULTS[name]
    fault(bundle)
    assert check(bundle, build_folders=[Path("/home/builder/flashbulb")]) == expected


def test_a_tree_without_python_is_asked_for_neither_python_nor_launcher(bundle):
    shutil.rmtree(bundle / "Contents" / "MacOS")
    shutil.rmtree(bundle / "Contents" / "Frameworks")
    assert check(bundle, python=False) == []


@pytest.mark.parametrize(("python", "limit"), [(True, 560), (False, 500)])
def test_too_large(bundle, python, limit):
    with (bundle / PACKAGES / "mlx" / "lib" / "mlx.metallib").open("wb") as file:
        file.truncate(limit * 1_000_000)  # takes no room
    (problem,) = check(bundle, python=python)
    assert problem.endswith(f"more than {limit} MB.")


def test_what_is_no_bundle_is_said(tmp_path):
    assert check(tmp_path) == [f"{tmp_path} is no application bundle: it has no Contents/Info.plist."]
