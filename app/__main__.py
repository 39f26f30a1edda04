"""The command `flashbulb`: without a subcommand, the window; with one, the engine's command line, without Qt."""

import argparse
import faulthandler
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

SWITCH_INTERVAL = 0.0005  # seconds: the engine's Python bytecode must not hold up the window, nor the window the engine


def main(argv: list[str] | None = None) -> int:
    """Run Flashbulb; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and not arguments[0].startswith("-"):
        from engine.cli.main import main as command_line

        return command_line(arguments)
    options = _parser().parse_args(arguments)
    if options.smoke_test:
        with TemporaryDirectory() as folder:
            return _run_window("starter", Path(folder), smoke_test=True)
    return _run_window(options.model, options.data_dir)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flashbulb",
        description="Chat with language models larger than memory.",
        epilog="With a command (generate, eval, ...) no window opens: see flashbulb generate --help.",
    )
    parser.add_argument("--model", help="a prepared model's folder, or starter; the last one used by default")
    parser.add_argument("--data-dir", type=Path, help="keep the window's own files here, not in the usual place")
    parser.add_argument("--smoke-test", action="store_true", help="answer one prompt, say so, and quit")
    parser.add_argument("--version", action="version", version=f"Flashbulb {version('flashbulb')}")
    return parser


def _run_window(model: str, data_dir: Path | None, smoke_test: bool = False) -> int:
    if sys.stderr is not None:  # an application bundle may have none
        faulthandler.enable()
    sys.setswitchinterval(SWITCH_INTERVAL)
    from PySide6.QtCore import QStandardPaths, QTimer

    import engine
    from app.desktop.application import Application
    from app.desktop.instance import Instance
    from app.desktop.interrupt import Interrupt
    from app.host.engine_host import EngineHost
    from app.widgets.icons import application_icon
    from app.window import MainWindow

    application = Application(sys.argv[:1])
    application.setApplicationName("Flashbulb")
    application.setApplicationVersion(version("flashbulb"))
    application.setDesktopFileName("flashbulb")
    application.setWindowIcon(application_icon())
    application.setQuitOnLastWindowClosed(sys.platform != "darwin")
    usual = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppDataLocation))
    instance = Instance(data_dir or usual)
    if not instance.first:
        return 0
    window = MainWindow(EngineHost(engine), model, data_dir or usual)
    instance.woken.connect(window.bring_up)
    interrupt = Interrupt()
    interrupt.raised.connect(window.quit)
    application.file_opened.connect(window.open_file)
    if smoke_test:
        from app.smoke_test import SmokeTest

        SmokeTest(window)
    window.show()
    QTimer.singleShot(0, window.start)
    code = application.exec()
    interrupt.close()
    instance.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
