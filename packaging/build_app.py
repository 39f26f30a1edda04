"""Make Flashbulb.app and its disk image. The one entry point of this folder.

uv run packaging/build_app.py app     on a Mac: build Flashbulb.app, check it, let it answer
uv run packaging/build_app.py image   on a Mac: sign it, make the disk image; with --identity notarise it
uv run packaging/build_app.py check   any Flashbulb.app
uv run packaging/build_app.py tree    on any system: lay the application out for macOS, without Python; check it
uv run packaging/build_app.py smoke   on any system: lay it out for this one, and let it answer as if installed
uv run packaging/build_app.py icon    draw the icons again, from the SVG files in icon/
"""

import argparse
import os
import plistlib
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import app_packages
import check_bundle
import licences
from app_packages import CONFIGURATION, ROOT, run

WORK = ROOT / "build" / "packaging"
CONSTRAINTS = WORK / "constraints.txt"
VERSION = CONFIGURATION["project"]["version"]
ENTRY_FOLDER = ROOT / "packaging" / "flashbulb"
ICON = ROOT / "packaging" / "icon" / "flashbulb.icns"
BRIEFCASE = ROOT / "build" / "flashbulb" / "macos" / "app"
APP = BRIEFCASE / "Flashbulb.app"
IMAGE = ROOT / "dist" / f"Flashbulb-{VERSION}.dmg"
MAX_IMAGE_BYTES = 230_000_000
SMOKE_S = 300

# What Briefcase's launcher does: no site-packages but ours, nothing of the environment, no bytecode written.
LAUNCHER = """
import runpy, site, sys
resources = sys.argv.pop(1)
sys.path.insert(0, f"{resources}/app")
site.addsitedir(f"{resources}/app_packages")
runpy._run_module_as_main("flashbulb")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function in (("tree", tree), ("smoke", smoke), ("app", app), ("icon", icon)):
        commands.add_parser(name).set_defaults(run=lambda _, function=function: function())
    image_parser = commands.add_parser("image")
    image_parser.add_argument("--identity", help="Developer ID Application: …; signed ad hoc without")
    image_parser.set_defaults(run=lambda arguments: image(arguments.identity))
    check_parser = commands.add_parser("check")
    check_parser.add_argument("app", type=Path)
    check_parser.add_argument("--without-python", action="store_true", help="a tree that `tree` laid out")
    check_parser.set_defaults(run=lambda arguments: check(arguments.app, python=not arguments.without_python))
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except subprocess.CalledProcessError as error:
        sys.exit(f"This failed with status {error.returncode}: {' '.join(error.cmd)}")


# ------------------------------------------------------------------------------------------- steps
def tree() -> None:
    """Everything of Flashbulb.app that does not need a Mac: all but Python and Briefcase's launcher."""
    bundle = WORK / "macos" / "Flashbulb.app"
    shutil.rmtree(bundle, ignore_errors=True)
    resources = bundle / "Contents" / "Resources"
    _prepare(mac=True)
    _lay_out(resources, mac=True)
    _finish(bundle)
    check(bundle, python=False)


def smoke() -> None:
    """The same files for this system, run as the bundle would run them."""
    resources = WORK / "smoke" / "Resources"
    if resources.exists():
        _set_writable(resources, True)
    _prepare(mac=False)
    _lay_out(resources, mac=False)
    packages = resources / "app_packages"
    app_packages.prune(packages)
    app_packages.compile_bytecode(packages)
    licences.write(resources, packages)
    run_smoke_test([sys.executable, "-I", "-S", "-B", "-c", LAUNCHER, resources], resources)


def app() -> None:
    """Briefcase lays out Python, its launcher and our wheels; we take out what is not needed; it seals the whole."""
    _need_a_mac()
    shutil.rmtree(BRIEFCASE, ignore_errors=True)
    _prepare(mac=True)
    _briefcase("create")
    app_packages.add_assistant(APP / "Contents" / "Resources" / "app_packages")
    _finish(APP)
    _briefcase("build")
    check(APP)
    run_smoke_test([APP / "Contents" / "MacOS" / "Flashbulb"], APP)


def image(identity: str | None) -> None:
    """Signs inside out, ad hoc or with an identity, the hardened runtime and notarisation; makes the disk image."""
    _need_a_mac()
    if not APP.is_dir():
        sys.exit(f"{APP} is not there: run `build_app.py app` first.")
    IMAGE.unlink(missing_ok=True)
    _briefcase("package", "--packaging-format", "dmg", *(["--identity", identity] if identity else ["--adhoc-sign"]))
    run("codesign", "--verify", "--deep", "--strict", "--verbose=2", APP)
    check(APP)
    if (size := IMAGE.stat().st_size) > MAX_IMAGE_BYTES:
        sys.exit(f"{IMAGE} has {size / 1e6:.0f} MB, more than {MAX_IMAGE_BYTES / 1e6:.0f} MB.")
    print(f"{IMAGE}: {size / 1e6:.0f} MB")


def check(bundle: Path, python: bool = True) -> None:
    if problems := check_bundle.check(bundle, python=python, build_folders=[ROOT]):
        sys.exit("\n".join(problems))
    print(f"{bundle}: {check_bundle.summary(bundle)}, nothing wrong")


def icon() -> None:
    import draw_icon  # needs Qt, which nothing else here does

    draw_icon.main()


# ------------------------------------------------------------------------------------------- their parts
def _prepare(mac: bool) -> None:
    wheel = app_packages.build_wheel(WORK / ("mac-wheel" if mac else "wheel"), mac)
    app_packages.write_constraints(CONSTRAINTS, wheel)


def _lay_out(resources: Path, mac: bool) -> None:
    """As Briefcase does: what is run in `app`, all else in `app_packages`."""
    shutil.rmtree(resources, ignore_errors=True)
    shutil.copytree(ENTRY_FOLDER, resources / "app" / ENTRY_FOLDER.name, ignore=shutil.ignore_patterns("__pycache__"))
    app_packages.install(resources / "app_packages", CONSTRAINTS, mac)
    app_packages.add_assistant(resources / "app_packages")


def _finish(bundle: Path) -> None:
    """The work that Briefcase leaves to us, and all there is without it."""
    contents = bundle / "Contents"
    resources, packages = contents / "Resources", contents / "Resources" / "app_packages"
    app_packages.prune(packages)
    app_packages.link_frameworks(packages)
    for folder in filter(Path.is_dir, (packages, contents / "Frameworks")):
        app_packages.thin(folder)
        app_packages.compile_bytecode(folder)
        app_packages.drop_broken_links(folder)
    licences.write(resources, packages)
    shutil.copy(ICON, resources / ICON.name)
    for stale in (resources / "app").glob("*.dist-info"):
        shutil.rmtree(stale)  # it has our name, but not our metadata
    write_info_plist(contents / "Info.plist")


def write_info_plist(path: Path) -> None:
    """Ours on top of what Briefcase wrote for its launcher."""
    present = plistlib.loads(path.read_bytes()) if path.exists() else {}
    ours = plistlib.loads((ROOT / "packaging" / "Info.plist").read_bytes())
    versions = {"CFBundleShortVersionString": VERSION, "CFBundleVersion": VERSION}
    path.write_bytes(plistlib.dumps(present | ours | versions))


def run_smoke_test(command: list, installed: Path) -> None:
    """Let an installed application answer one prompt: no home, no environment, nothing writable, another folder."""
    before = _state(installed)
    _set_writable(installed, False)
    try:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder, "home")
            home.mkdir()
            system = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
            environment = {**system, "HOME": str(home), "PATH": "/usr/bin:/bin", "QT_QPA_PLATFORM": "offscreen"}
            run(*command, "--smoke-test", env=environment, cwd=folder, timeout=SMOKE_S)
    finally:
        _set_writable(installed, True)
    if changed := sorted(before.symmetric_difference(_state(installed))):
        sys.exit(f"The application wrote into itself: {changed[0][0]}")


def _state(folder: Path) -> set[tuple]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {(str(path), info.st_size, info.st_mtime_ns) for path in paths for info in [path.stat()]}


def _set_writable(folder: Path, writable: bool) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IWUSR if writable else mode & ~0o222)


def _briefcase(command: str, *options: str) -> None:
    run(sys.executable, "-m", "briefcase", command, "macOS", "app", "--no-input", *options, cwd=ROOT)


def _need_a_mac() -> None:
    if sys.platform != "darwin":
        sys.exit("This needs a Mac. On other systems there are `tree`, `smoke` and `check`.")


if __name__ == "__main__":
    main()
