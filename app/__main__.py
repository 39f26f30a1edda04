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
    if arguments == ["help"]:
        arguments = ["--help"]
    if arguments and not arguments[0].startswith("-"):
        from engine.cli.main import main as command_line

        return command_line(arguments)
    options = _parser(arguments).parse_args(arguments)
    if options.smoke_test:
        with TemporaryDirectory() as folder:
            return _run_window("starter", Path(folder), smoke_test=True)
    return _run_window(options.model, options.data_dir)


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    from engine.cli.arguments import Parser

    parser = Parser(
        prog="flashbulb",
        usage="flashbulb [--model MODEL] [--data-dir FOLDER]\n       flashbulb COMMAND ...",
        description="Chat with language models larger than memory: in a window, or with a command in the terminal.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_commands() if {"-h", "--help"} & set(arguments) else None,
    )
    parser.add_argument("--model", help="`starter`, a model's name or folder; by default, the last one used")
    parser.add_argument("--data-dir", type=Path, metavar="FOLDER",
                        help="keep the window's own files here; by default, in the usual place")  # fmt: skip
    parser.add_argument("--smoke-test", action="store_true", help="answer one prompt, say so, and quit")
    parser.add_argument("--version", action="version", version=f"Flashbulb {version('flashbulb')}",
                        help="say the version, and quit")  # fmt: skip
    return parser


def _commands() -> str:
    from engine.cli.main import overview

    return f"commands, with which no window opens:\n{overview()}\n\n`flashbulb help COMMAND` says more of one."


def _run_window(model: str, data_dir: Path | None, smoke_test: bool = False) -> int:
    if sys.stderr is not None:  # an application bundle may have none
        faulthandler.enable()
    sys.setswitchinterval(SWITCH_INTERVAL)
    from PySide6.QtCore import QTimer

    import engine
    from app.desktop.application import Application
    from app.desktop.instance import Instance
    from app.desktop.interrupt import Interrupt
    from app.host.engine_host import EngineHost
    from app.widgets.icons import application_icon
    from app.window import MainWindow
    from engine.system.folders import application_folder

    application = Application(sys.argv[:1])
    application.setApplicationName("Flashbulb")
    application.setApplicationVersion(version("flashbulb"))
    application.setDesktopFileName("flashbulb")
    application.setWindowIcon(application_icon())
    application.setQuitOnLastWindowClosed(sys.platform != "darwin")
    folder = data_dir or application_folder()
    instance = Instance(folder)
    if not instance.first:
        return 0
    window = MainWindow(EngineHost(engine), model, folder)
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
