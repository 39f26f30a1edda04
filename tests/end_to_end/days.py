"""A person's three days with Flashbulb. Each function acts, and yields what to wait for."""

import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QLineEdit

from app.conversations.store import FILE
from app.settings.panes import ChatPane
from app.settings.window import PaneButton
from engine.system.built_in import assistant_file
from tests.end_to_end.person import COMMAND, SHIFT, Condition, Person
from tests.helpers.dropping import drop

ATTEMPTS = 20  # a short answer may be complete before it is stopped: then ask again
REPOSITORY = "tiny/opt"
CONTEXT = 4096  # tokens of that model: room for an answer that does not end while we look
EDITED = "I just got a dog named Archibald!"


def first(p: Person) -> Iterator[Condition]:
    """The first start, all there is to do, and the end in the middle of an answer."""
    yield p.window.chat.welcome.isVisible
    yield p.ready
    yield from chat_with_the_starter(p)
    yield from stop_an_answer(p)
    yield from edit_and_go_between_branches(p)
    yield from search(p)
    yield from export(p)
    yield from change_settings(p)
    yield from get_a_model(p)
    yield from chat_with_the_new_model(p)
    p.click(p.window.header.panel_button)
    yield from begin_a_long_answer(p)
    p.seen["titles"] = p.titles()
    p.press(Qt.Key.Key_Q, COMMAND)
    yield p.gone


def newcomer(p: Person) -> Iterator[Condition]:
    """The first start of all: the first question that people type, to what is there without a download."""
    yield p.window.chat.welcome.isVisible
    yield p.ready
    p.seen["model"], p.seen["windowTitle"] = p.window.host.model.name, p.window.windowTitle()
    p.ask("What is the capital of France?")
    yield p.writing
    yield p.ready
    p.seen["answer"], p.seen["shown"] = p.answer().text, p.last().text
    p.press(Qt.Key.Key_Q, COMMAND)
    yield p.gone


def dropper(p: Person) -> Iterator[Condition]:
    """The assistant's own file is dropped on a window that shows the starter."""
    yield p.ready
    path = assistant_file()
    drop(p.window, path)
    yield lambda: p.ready() and p.window.host.model.name == path.stem
    yield p.back
    p.ask("What is the capital of France?")
    yield p.writing
    yield p.ready
    p.seen["answer"] = p.answer().text
    p.press(Qt.Key.Key_Q, COMMAND)
    yield p.gone


def second(p: Person) -> Iterator[Condition]:
    """All is as it was left; the answer goes on. Then the process dies in the middle of another one."""
    yield p.ready
    yield lambda: p.titles() and p.window.chat.conversation.messages
    p.seen["conversation"], p.seen["titles"] = p.conversation(), p.titles()
    p.seen["model"], p.seen["panel"] = p.window.host.model.name, p.window.monitor.isVisible()
    p.seen["window"] = p.window.settings["memory.window"]
    yield p.last().continue_button.isVisible
    p.click(p.last().continue_button)
    yield from stop_it_soon(p)
    p.seen["continued"] = p.answer().text
    for _ in range(ATTEMPTS):
        yield from begin_a_long_answer(p)
        yield lambda: _on_disk(p) or p.ready()
        if not p.ready():
            break
    p.seen["on disk"] = _on_disk(p)
    print(json.dumps(p.seen), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    yield p.gone


def third(p: Person) -> Iterator[Condition]:
    """All that was on disk when the process was killed is there, and can be found."""
    yield p.ready
    yield lambda: p.titles() and p.window.chat.conversation.messages
    p.seen["conversation"], p.seen["titles"] = p.conversation(), p.titles()
    yield from search(p)
    p.press(Qt.Key.Key_Q, COMMAND)
    yield p.gone


# ---------------------------------------------------------------------------- parts of a day
def chat_with_the_starter(p: Person) -> Iterator[Condition]:
    growth = []

    def answered() -> bool:
        growth.append(len(p.last().text))
        return p.ready()

    p.click(p.window.chat.welcome.examples[0])
    yield answered
    p.seen["growth"] = sorted(set(growth))
    p.seen["first"] = {"answer": p.answer().text, "error": p.answer().error, "finish": p.answer().finish}
    p.seen["receipt"] = p.last().receipt.text()


def stop_an_answer(p: Person) -> Iterator[Condition]:
    for _ in range(ATTEMPTS):
        p.ask("What do you like to do for fun?")
        yield p.writing
        p.press(Qt.Key.Key_Escape)
        yield p.ready
        if p.answer().finish == "cancelled":
            break
    p.seen["stopped"] = {"error": p.answer().error, "finish": p.answer().finish}


def edit_and_go_between_branches(p: Person) -> Iterator[Condition]:
    p.press(Qt.Key.Key_N, COMMAND)
    p.ask("I just got a puppy!")
    yield p.ready
    p.press(Qt.Key.Key_E, COMMAND)
    question = p.window.chat.last_question()
    p.press(Qt.Key.Key_A, COMMAND, question.editor.entry)
    p.type(EDITED, question.editor.entry)
    p.press(Qt.Key.Key_Return, widget=question.editor.entry)
    yield p.ready
    edited = p.window.chat.last_question()
    p.seen["edited"] = [edited.text, edited.switcher.label.text(), len(p.window.chat.conversation.messages)]
    p.click(edited.switcher.previous)
    before = p.window.chat.last_question()
    p.seen["before"] = [before.text, before.switcher.label.text()]


def search(p: Person) -> Iterator[Condition]:
    """For a word of the branch that is not shown."""
    sidebar = p.window.sidebar
    p.press(Qt.Key.Key_F, COMMAND | SHIFT)
    p.type("ARCHIBALD", sidebar.field)
    yield lambda: sidebar.model.rowCount() and sidebar.model.index(0).data().startswith("1 ")
    p.press(Qt.Key.Key_Return, widget=sidebar.field)
    yield lambda: EDITED in [message[1] for message in p.conversation()]
    p.seen["found"] = p.conversation()
    p.press(Qt.Key.Key_Escape, widget=sidebar.field)
    yield lambda: sidebar.model.index(0).data() == "Today"


def export(p: Person) -> Iterator[Condition]:
    p.press(Qt.Key.Key_E, COMMAND | SHIFT)
    yield lambda: p.window.findChild(QFileDialog)
    field = p.window.findChild(QFileDialog).findChild(QLineEdit)
    p.press(Qt.Key.Key_A, COMMAND, field)
    path = Path(os.environ["HOME"], "Archibald.md")
    p.type(str(path), field)

    def saved() -> bool:
        if dialog := p.window.findChild(QFileDialog):  # the first time may only close the list of suggestions
            p.press(Qt.Key.Key_Return, widget=dialog.findChild(QLineEdit))
        return path.is_file()

    yield saved
    p.seen["exported"] = path.read_text()
    yield p.back


def change_settings(p: Person) -> Iterator[Condition]:
    p.press(Qt.Key.Key_Comma, COMMAND)
    window = p.window.settings_window
    yield window.isVisible
    panes = {button.defaultAction().data(): button for button in window.findChildren(PaneButton)}
    p.click(panes["chat"])
    longest = window.findChild(ChatPane).parameters.fields["max_tokens"].box
    p.press(Qt.Key.Key_A, COMMAND, longest)
    p.type(str(CONTEXT), longest)
    p.press(Qt.Key.Key_Return, widget=longest)
    p.click(panes["memory"])
    yield window.memory.isVisible
    p.press(Qt.Key.Key_Right, widget=window.memory.window_size.slider)
    yield from load_again(p)
    yield from stream_from_flash(p)
    p.seen["window"] = p.window.host.model.window
    p.press(Qt.Key.Key_W, COMMAND, window)
    yield lambda: not window.isVisible() and p.back()


def stream_from_flash(p: Person) -> Iterator[Condition]:
    """The smallest budget, an answer with it, and the automatic budget again."""
    memory = p.window.settings_window.memory
    p.press(Qt.Key.Key_Space, widget=memory.automatic)
    yield from move_budget(p, lambda: p.press(Qt.Key.Key_Home, widget=memory.budget.slider))
    p.ask("Do you have any pets?")
    yield p.writing
    yield p.ready
    p.seen["bytes_read"] = p.answer().receipt["per_token"].get("bytes_read", 0)
    yield from move_budget(p, lambda: p.press(Qt.Key.Key_Space, widget=memory.automatic))


def load_again(p: Person) -> Iterator[Condition]:
    memory, loaded = p.window.settings_window.memory, p.window.host.model
    yield memory.reload.isVisible
    p.click(memory.reload)
    yield lambda: p.ready() and p.window.host.model not in (None, loaded)


def move_budget(p: Person, press: Callable[[], None]) -> Iterator[Condition]:
    """Press something that moves the budget of the loaded model, which takes effect at once."""
    before = p.window.host.model.memory_budget
    press()
    yield lambda: p.ready() and p.window.host.model.memory_budget != before


def get_a_model(p: Person) -> Iterator[Condition]:
    """From the Hub: download and prepare."""
    p.press(Qt.Key.Key_M, COMMAND | SHIFT, p.window)
    library, stages = p.window.library, []

    def there() -> bool:
        row = library.row(REPOSITORY)
        if row and row.job and row.job.error:
            raise RuntimeError(row.job.error)
        if row and row.job and row.job.state.name not in stages:
            stages.append(row.job.state.name)
        return bool(row and row.row.folder and row.button.isVisible())

    yield lambda: library.rows
    p.type(REPOSITORY, library.field)
    yield lambda: library.row(REPOSITORY) and library.row(REPOSITORY).button.isVisible()
    p.click(library.row(REPOSITORY).button)  # looks it up
    yield lambda: (row := library.row(REPOSITORY)) and not row.unknown and row.button.isVisible()
    p.seen["size"] = library.row(REPOSITORY).row.size
    p.click(library.row(REPOSITORY).button)
    yield there
    p.seen["stages"] = stages
    p.click(library.row(REPOSITORY).button)
    yield lambda: p.ready() and p.window.host.model.name == "opt"
    yield p.back
    p.seen["model"] = p.window.host.model.name


def chat_with_the_new_model(p: Person) -> Iterator[Condition]:
    p.press(Qt.Key.Key_N, COMMAND, p.window)
    p.ask("Do you play the guitar?")
    yield from stop_it_soon(p)
    p.seen["new model's answer"] = {"error": p.answer().error, "receipt": p.last().receipt.text()}


def stop_it_soon(p: Person) -> Iterator[Condition]:
    before = len(p.answer().text)
    yield lambda: len(p.answer().text) > before or p.ready()
    p.press(Qt.Key.Key_Escape)
    yield p.ready


def begin_a_long_answer(p: Person) -> Iterator[Condition]:
    """Ends in the middle of it."""
    for _ in range(ATTEMPTS):
        p.press(Qt.Key.Key_N, COMMAND, p.window)
        p.ask("Tell me about the beach.")
        yield p.writing
        if not p.ready():
            break
    p.seen["unfinished"] = p.answer().text


def _on_disk(p: Person) -> str:
    """The part of the answer being written that the file of conversations has."""
    path = Path(os.environ["FLASHBULB_DATA"], FILE)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT text FROM messages WHERE id = ?", (p.answer().id,)).fetchall()
    return rows[0][0] if rows else ""
