"""The command line, called in this process."""

from engine.cli.main import main


def run(capsys, *arguments) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    try:
        status = main([str(a) for a in arguments])
    except SystemExit as error:
        status = error.code
    return (status, *capsys.readouterr())
