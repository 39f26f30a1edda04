"""The program of the helper process that renders chat templates: `python -m engine.tokens.rendering`.

A template is a program by a stranger, so it runs here, with little memory and time, no files and no other processes.
`{"template", "variables", "most"}`, where `most` is the largest text in characters, is answered with `{"text"}` or with
`{"fault", "reason", "line"}`: one of FAULTS, what was said of it, and the line of the template, 0 where that is not
known. `{"template"}` alone is answered with `{"names"}`, those that it is to be given.

What a template may use is what transformers gives it.
"""

import contextlib
import json
import signal
from collections.abc import Generator, Iterator
from datetime import datetime
from functools import lru_cache
from types import FrameType, TracebackType
from typing import Any, cast

import jinja2
import jinja2.debug
import jinja2.ext
import jinja2.meta
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox
import jinja2.utils

from engine.system import helper_program

RENDER_S = 2.0  # of processor time, a hundred times what the longest templates take
GRACE_S = 3  # of processor time until the system ends what does not listen
KEPT_TEMPLATES = 8
MAX_REASON = 300  # characters
FAULTS = ("refused", "time", "length", "recursion", "memory", "error")  # refused: by the template's own raise_exception
TEMPLATE_FILE = "<template>"  # as Jinja calls one that came as a string


class RefusedError(Exception):
    """The template called `raise_exception`."""


class OutOfTimeError(Exception):
    """The template has had its time."""


class TooLongError(Exception):
    """The text is longer than it may be."""


# ------------------------------------------------------------------------------------- what a template may use
class Generation(jinja2.ext.Extension):
    """`{% generation %}`, which marks an assistant's words for training, renders as what it holds."""

    tags = {"generation"}  # noqa: RUF012 (as Jinja declares it)

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        """As Jinja calls it."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


class Namespace(jinja2.utils.Namespace):
    """`namespace`, in which no name is hidden."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *given = args
        for name in (named := dict(*given, **kwargs)):
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, named)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace has no hidden name, as {name!r} would be")


def _raise_exception(message: object) -> None:
    raise RefusedError(str(message))


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["namespace"] = Namespace
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


ENVIRONMENT = _environment()


@lru_cache(KEPT_TEMPLATES)
def _compiled(template: str) -> jinja2.Template:
    return ENVIRONMENT.from_string(template)


# --------------------------------------------------------------------------------------------------- rendering
def render(template: str, variables: dict[str, Any], most: int) -> str:
    """Text of at most `most` characters. Raises whatever a template can, which is anything."""
    parts, length = [], 0
    writing = cast(Generator[str, None, None], _compiled(template).generate(variables))
    for part in writing:
        length += len(part)
        if length > most:
            writing.throw(TooLongError)  # at the template's line
        parts.append(part)
    return "".join(parts)


def names(template: str) -> list[str]:
    """The variables that a template reads and does not make itself. Raises whatever a template can."""
    return sorted(jinja2.meta.find_undeclared_variables(ENVIRONMENT.parse(template)))


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The reply to a request."""
    try:
        with _limited_time():
            if "variables" not in request:
                return {"names": names(request["template"])}
            return {"text": render(request["template"], request["variables"], request["most"])}
    except Exception as error:  # whatever it is: the template's author is a stranger
        line = getattr(error, "lineno", None) or _template_line(error.__traceback__)
        return {"fault": _fault(error), "reason": _reason(error), "line": line}


def _fault(error: Exception) -> str:
    for kind, fault in (
        (RefusedError, "refused"),
        (OutOfTimeError, "time"),
        (TooLongError, "length"),
        (RecursionError, "recursion"),
        (MemoryError, "memory"),
        (OverflowError, "memory"),  # what no memory has room for
    ):
        if isinstance(error, kind):
            return fault
    return "error"


def _reason(error: Exception) -> str:
    """One printable line."""
    words = " ".join((str(error) or type(error).__name__).split())[:MAX_REASON]
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)


def _template_line(traceback: TracebackType | None) -> int:
    """The innermost line of a template in a traceback, where Jinja has put its lines; 0 for none."""
    line = 0
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == TEMPLATE_FILE:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


@contextlib.contextmanager
def _limited_time() -> Iterator[None]:
    """Processor time: a template that loops is interrupted at the line where it is, and ended if it goes on."""
    with helper_program.limited_time(RENDER_S + GRACE_S):
        signal.setitimer(signal.ITIMER_PROF, RENDER_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


def _out_of_time(_signal: int, _frame: FrameType | None) -> None:
    raise OutOfTimeError


if __name__ == "__main__":
    signal.signal(signal.SIGPROF, _out_of_time)
    helper_program.run(answer)
