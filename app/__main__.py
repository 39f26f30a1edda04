"""The command `flashbulb`: without a subcommand, the window; with one, the engine's command line, without Qt."""

import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # else as late as can be: until main() runs, Ctrl-C ends in a traceback
    from argparse import ArgumentParser
    from pathlib import Path

    from app.window import MainWindow

SWITCH_INTERVAL_S = 0.0005  # the engine's Python bytecode must not hold up the window, nor the window the engine
HEADLESS_PLATFORMS = ("offscreen", "minimal")  # platforms of Qt where nobody could close a box


def main(argv: list[str] | None = None) -> int:
    """Run Flashbulb; returns the exit code."""
    _hold_standard_streams()
    arguments = sys.argv[1:] if argv is None else argv
    if arguments == ["help"]:
        arguments = ["--help"]
    if arguments and not arguments[0].startswith("-"):
        from engine.cli.main import main as command_line

        return command_line(arguments)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # there is no window yet to close in good order
    options = parser(arguments).parse_args(arguments)
    if options.smoke_test:
        import os
        from pathlib import Path
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            os.environ["FLASHBULB_MODELS"] = folder
            return _run_window(None, Path(folder), smoke_test=True)
    return _run_window(options.model, options.data_dir)


def _hold_standard_streams() -> None:
    """Open those that whoever started us has closed: the next file would take their place, and be written to."""
    import os

    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        name = ("stdin", "stdout", "stderr")[descriptor]
        setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False))
    os.close(descriptor)


def parser(arguments: list[str]) -> "ArgumentParser":
    from argparse import RawDescriptionHelpFormatter
    from importlib.metadata import version
    from pathlib import Path

    from engine.cli.arguments import Parser

    parser = Parser(
        prog="flashbulb",
        usage="flashbulb [--model MODEL] [--data-dir FOLDER]\n       flashbulb COMMAND ...",
        description="Chat with language models larger than memory: in a window, or with a command in the terminal.",
        formatter_class=RawDescriptionHelpFormatter,
        epilog=_commands() if {"-h", "--help"} & set(arguments) else None,
    )
    parser.add_argument("--model", help="`smollm2`, `starter`, a model's name or folder; by default, the last one used")
    parser.add_argument("--data-dir", type=Path, metavar="FOLDER",
                        help="keep the window's own files here; by default, in the usual place")  # fmt: skip
    parser.add_argument("--smoke-test", action="store_true", help="answer one prompt, say so, and quit")
    parser.add_argument("--version", action="version", version=f"Flashbulb {version('flashbulb')}",
                        help="say the version, and quit")  # fmt: skip
    return parser


def _commands() -> str:
    from engine.cli.main import overview

    return f"commands, with which no window opens:\n{overview()}\n\n`flashbulb help COMMAND` says more of one."


def _run_window(model: str | None, data_dir: "Path | None", smoke_test: bool = False) -> int:
    import faulthandler

    if sys.stderr is not None:  # an application bundle may have none
        faulthandler.enable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    from app.desktop.application import make_application
    from app.desktop.instance import Instance
    from app.desktop.interrupt import Interrupt
    from engine.system.folders import application_folder

    application = make_application()
    interrupt = Interrupt()
    folder = data_dir or application_folder()
    instance = Instance(folder, _for_another(model))
    if instance.trouble:
        _say(instance.trouble, box=not instance.first)
    if not instance.first:
        return 0 if instance.handed_over else 1
    from engine.system.threads import left_behind

    try:
        window = _window(model, folder)
    except Exception as error:  # whatever it is: nobody is left without a window and without a word
        _say(_why_no_window(error), box=True)
        instance.close()
        left_behind(1)
        return 1
    instance.woken.connect(window.bring_up)
    instance.model_asked.connect(window.load)
    interrupt.raised.connect(window.quit)
    application.file_opened.connect(window.open_file)
    if smoke_test:
        from app.smoke_test import SmokeTest

        SmokeTest(window)
    window.show()
    application.soon(window.start)
    code = application.exec()
    interrupt.close()
    instance.close()
    left_behind(code)
    return code


def _window(model: str | None, folder: "Path") -> "MainWindow":
    import engine
    from app.host.engine_host import EngineHost
    from app.window import MainWindow

    return MainWindow(EngineHost(engine), model, folder)


def _why_no_window(error: Exception) -> str:
    """One line; how it came to that is in the log."""
    import logging

    from app.widgets.language import spoken, tr
    from engine.errors import FlashbulbError

    logging.getLogger(__name__).debug("no window", exc_info=error)
    reason = spoken(error) if isinstance(error, FlashbulbError) else f"{type(error).__name__}: {error}"
    return tr("The window cannot be opened. {0}").format(" ".join(reason.split()))


def _for_another(model: str | None) -> str | None:
    """The model as a copy that runs in another folder understands it."""
    from pathlib import Path

    return str(Path(model).expanduser().absolute()) if model and Path(model).expanduser().exists() else model


def _say(words: str, *, box: bool) -> None:
    """On standard error, and where no window is going to say it, in a box that waits."""
    if sys.stderr is not None:
        print(words, file=sys.stderr, flush=True)
    from PySide6.QtGui import QGuiApplication

    if box and QGuiApplication.platformName() not in HEADLESS_PLATFORMS:
        from PySide6.QtCore import Qt
        from PySide6.QtWidgets import QMessageBox

        message = QMessageBox(QMessageBox.Icon.Warning, "Flashbulb", words)
        message.setTextFormat(Qt.TextFormat.PlainText)
        message.exec()


if __name__ == "__main__":
    sys.exit(main())
