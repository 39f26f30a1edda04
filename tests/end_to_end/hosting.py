"""A day on which other programs use the engine of the window, while somebody stands before it."""

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

from PySide6.QtCore import Qt

from app.host.engine_host import State
from app.settings.programs_pane import ProgramsPane
from app.settings.window import PaneButton
from tests.end_to_end.person import COMMAND, Condition, Person
from tests.helpers.held import Held

QUESTION = "What do you like to do at the beach?"
SETTLING_S, THINKING_S, LETTING_GO_S = 2.0, 0.5, 20.0
MAX_GROWTH_BYTES = 16_000_000  # of which chats that are asked meanwhile are the most


def host(p: Person) -> Iterator[Condition]:
    """Programs are let in, and the same question is asked again and again in new chats.

    Prints the address, then, once a line of standard input asks for it, that it is looked at what this process holds.
    It is looked again after the next line, when programs have gone.
    """
    yield p.ready
    p.window.settings["chat.temperature"], p.window.settings["chat.max_tokens"] = 0.0, 12
    begun, lines = order_of_answers(), lines_of_input()
    yield from ask_anew(p)
    p.seen["answers"], p.seen["ahead"] = [p.answer().text], []
    yield from open_programs(p)
    sockets = Held.of(os.getpid()).open["socket"]
    yield from switch(p, lambda: bool(p.window.host.serving.address))
    print(p.window.host.serving.address, flush=True)
    yield lambda: lines
    yield from ask_anew(p)
    yield from settle()
    held = Held.of(os.getpid())
    print("looked", flush=True)
    while len(lines) < 2:
        yield from settle(THINKING_S)
        before = moment_of_asking(p, begun)
        yield from ask_anew(p)
        p.seen["answers"].append(p.answer().text)
        p.seen["ahead"].append(len(begun) - 1 - begun[::-1].index(QUESTION) - before[0])
    yield from ask_anew(p)
    end = time.monotonic() + LETTING_GO_S
    yield lambda: not left_since(held) or time.monotonic() > end
    p.seen["left"] = left_since(held)
    p.seen["begun"] = len(begun)
    yield from switch(p, lambda: Held.of(os.getpid()).open["socket"] <= sockets)
    p.press(Qt.Key.Key_Q, COMMAND, p.window)
    yield p.gone


def left_since(held: Held) -> str:
    """The things that this process holds, and did not then."""
    return Held.of(os.getpid()).more_than(held, MAX_GROWTH_BYTES)


def ask_anew(p: Person) -> Iterator[Condition]:
    """The question, in a new chat."""
    yield p.back
    p.press(Qt.Key.Key_N, COMMAND, p.window)
    p.ask(QUESTION)
    yield p.writing
    yield p.ready


def open_programs(p: Person) -> Iterator[Condition]:
    """The pane, with a port that is free."""
    p.press(Qt.Key.Key_Comma, COMMAND)
    window = p.window.settings_window
    yield window.isVisible
    p.click({button.defaultAction().data(): button for button in window.findChildren(PaneButton)}["programs"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        window.findChild(ProgramsPane).port.setValue(free.getsockname()[1])


def switch(p: Person, done: Condition) -> Iterator[Condition]:
    """Press the switch."""
    p.press(Qt.Key.Key_Space, widget=p.window.settings_window.findChild(ProgramsPane).allowed)
    yield done


def settle(seconds: float = SETTLING_S) -> Iterator[Condition]:
    """Nothing, for a while."""
    end = time.monotonic() + seconds
    yield lambda: time.monotonic() > end


def moment_of_asking(p: Person, begun: list[str]) -> list[int]:
    """The number of answers that have begun when the next question is with the engine, once it is; its own may be
    one."""
    found: list[int] = []

    def note(state: State) -> None:
        if state is State.ANSWERING:
            found.append(len(begun))
            p.window.host.state_changed.disconnect(note)

    p.window.host.state_changed.connect(note)
    return found


def order_of_answers() -> list[str]:
    """The questions of answers, in the order in which they begin, from now on."""
    from engine.inference.model import LoadedModel

    begun: list[str] = []
    generate = LoadedModel.generate

    def noted(model, messages, *more):
        begun.append(messages[-1]["content"])
        return generate(model, messages, *more)

    LoadedModel.generate = noted
    return begun


def lines_of_input() -> list[str]:
    """The lines of standard input, as they come."""
    lines: list[str] = []
    threading.Thread(target=lambda: lines.extend(iter(sys.stdin.readline, "")), daemon=True).start()
    return lines
