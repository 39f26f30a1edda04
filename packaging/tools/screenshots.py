"""Take pictures of every window and pane into resources/screenshots: in light and dark, in every language.

    apt-get install xvfb fonts-inter fonts-noto-cjk
    xvfb-run -a -s "-screen 0 1400x1000x24" uv run packaging/tools/screenshots.py [NAME…]

The windows are the real ones and the starter model really answers. Two things are posed: the chat that shows formatting
is written by hand, since the starter model makes small talk only; and a download is shown half way. NAMEs are those of
the pictures that are wanted, all by default. On Linux, appearances need QT_QPA_PLATFORMTHEME=gnome, which this sets.
"""

import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

os.environ.setdefault("QT_QPA_PLATFORMTHEME", "gnome")

from PIL import Image, ImageQt
from PySide6.QtCore import QEvent, QEventLoop, Qt, QTimer
from PySide6.QtGui import QCursor, QFont, QFontDatabase
from PySide6.QtWidgets import QApplication, QDialog, QWidget

import engine
from app.chat.highlight import Highlighter
from app.conversations.conversation import Attachment, Conversation, ToolCall
from app.conversations.store import FILE as HISTORY
from app.conversations.store import ConversationStore
from app.desktop.application import Application
from app.host.engine_host import EngineHost, State
from app.library.jobs import Job, JobState
from app.library.proof import ProofWindow
from app.settings.registry import FILE as SETTINGS
from app.settings.registry import Preferences
from app.widgets.language import CHINESE, ENGLISH
from app.window import MainWindow
from engine.system.built_in import ASSISTANT, STARTER

PICTURES = Path(__file__).parents[2] / "resources" / "screenshots"
LANGUAGES = (ENGLISH, CHINESE)
SCHEMES = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
FONTS = ["Inter", "Noto Sans CJK SC"]  # those of a Mac, as nearly as Linux has them
FONT_POINTS = 9.75  # 13 pixels
COLOURS = 256  # of a picture: enough for windows, and a third of the bytes
PATIENCE_S = 400
BUDGET, SEED = 73_000_000, 3
DAY_S = 86_400

# Days ago, what is asked. The starter model answers; the last of these is open when the window is shown.
CHATS = (
    (12, ("I want to learn to bake bread.",)),
    (4, ("My sister is visiting next week.",)),
    (1, ("I had a long day at work.", "Thanks, that is kind of you.")),
    (0, ("What is your favourite season?",)),
    (0, ("Hi! How are you today?",)),
)
FOLLOW_UPS = (
    "I just got a puppy.",
    "What do you like to do on weekends?",
    "That sounds like fun. Do you like music too?",
)
FORMATTED = (
    "Why does a window of recent tokens save so many reads?",
    """Because neighbouring tokens wake up mostly the same neurons. If you keep what the last $k$ tokens used, only \
the **difference** has to come from flash:

```python
missing = active - window        # read these bundles
window = (window | active) - stale
```

| What | Where it lives | Read |
|---|---|---|
| attention, predictors | memory | once |
| neurons of the window | memory | once |
| all other neurons | flash | when needed |

1. The *predictor* names the active neurons, with $s_i > \\frac{1}{2}$.
2. The *reader* joins neighbours into one read.
3. The **pool** takes them in the rows that became free.
""",
)

CALL = json.dumps({"city": "Zürich", "hours": [9, 12]}, indent=2, ensure_ascii=False)
READINGS = "hour,hit_rate,read_mb\n09,0.81,212\n10,0.86,158\n11,0.90,111\n12,0.92,94\n"
ASKED = "How much less is read at noon than in the morning, and when does it fall most?"
REASONED = """The file has four rows. At 09 it is 212 MB, at 12 it is 94 MB, so 118 MB less, which is 56 %.

The steps are 54, 47 and 17 MB: the largest is from 09 to 10.
"""
ANSWERED = """At noon **118 MB** less is read than at nine, or 56 %. Most of that comes in the first hour:

| Hour | Hit rate | Read | Change |
| --- | ---: | ---: | ---: |
| 09 | 81 % | 212 MB | |
| 10 | 86 % | 158 MB | −54 MB |
| 11 | 90 % | 111 MB | −47 MB |
| 12 | 92 % | 94 MB | −17 MB |

```python
read = [212, 158, 111, 94]
print(max(zip(read, read[1:]), key=lambda pair: pair[0] - pair[1]))
```
"""
REASONED_TITLE = "Readings of a day"
CALLED = ("And what is the weather there?", "I would have to look that up.", ToolCall("get_weather", CALL))


class Studio:
    """One main window in one language, and what is taken of it."""

    def __init__(self, data: Path, language: str, wanted: list[str], model: str = STARTER):
        self._language, self._wanted = language, wanted
        settings = Preferences(data / SETTINGS)
        settings["general.language"] = language
        settings["memory.budget"] = BUDGET if model == STARTER else None  # so that the starter streams
        settings["chat.seed"] = SEED
        settings.write()
        self.window = MainWindow(EngineHost(engine), model, data_dir=data, stays=False)
        self.window.menuBar().hide()  # on a Mac it is no part of the window
        self.window.show()
        self.window.start()
        self.wait()

    def wait(self) -> None:
        until(lambda: self.window.host.state is State.READY)

    def say(self, text: str) -> None:
        self.window.chat.send(text)
        self.wait()

    def take(self, name: str, widget: QWidget) -> None:
        """Save a picture in each appearance."""
        if self._wanted and name not in self._wanted:
            return
        for scheme in SCHEMES:
            QApplication.styleHints().setColorScheme(SCHEMES[scheme])
            spin(150)
            until(lambda: not any(highlighter.busy for highlighter in widget.findChildren(Highlighter)))
            picture = (
                ImageQt.fromqpixmap(widget.grab()).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
            )
            folder = PICTURES / f"{self._language}-{scheme}"
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{name}.png", optimize=True)

    def close(self) -> None:
        self.window.close()
        self.window.deleteLater()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def main() -> None:
    application = Application([])
    if set(FONTS) <= set(QFontDatabase.families()):
        font = QFont(FONTS)
        font.setPointSizeF(FONT_POINTS)  # as of every system: Qt takes the air between paragraphs from it
        application.setFont(font)
    application.setQuitOnLastWindowClosed(False)
    QCursor.setPos(0, 0)  # over nothing that answers to it
    wanted = sys.argv[1:]
    if not wanted:
        shutil.rmtree(PICTURES, ignore_errors=True)
    home = Path(gettempdir(), "Flashbulb")  # pictures show it, so it has a name that says nothing
    shutil.rmtree(home, ignore_errors=True)
    os.environ["FLASHBULB_MODELS"] = str(home / "models")
    chat(home / "chats")
    for language in LANGUAGES:
        first_start(Studio(home / f"new-{language}", language, wanted, ASSISTANT))
        data = home / language
        shutil.copytree(home / "chats", data)
        studio = Studio(data, language, wanted)
        main_window(studio)
        settings(studio)
        library(studio)
        dialogs(studio)
        studio.close()
    shutil.rmtree(home)


def chat(data: Path) -> None:
    """Measure the drive, and fill a folder with chats."""
    studio = Studio(data, ENGLISH, [])
    studio.window.show_settings.trigger()
    drive = studio.window.settings_window.memory.drive
    drive.start()
    until(lambda: not drive.running)
    studio.window.settings_window.close()
    spread = []
    for days, messages in CHATS:
        studio.window.chat.new_chat()
        for message in messages:
            studio.say(message)
        spread.append((studio.window.chat.conversation.id, days))
    studio.close()
    store = ConversationStore(data / HISTORY)
    for id_, days in spread:
        conversation = store.conversation(id_)
        conversation.updated -= days * DAY_S
        store.save(conversation, [])
    pose(store)
    store.close()


def pose(store: ConversationStore) -> None:
    """Keep what is written by hand."""
    reasoned = Conversation()
    _, answer = reasoned.ask(ASKED, attachments=(Attachment("readings.csv", READINGS),))
    answer.text, answer.finish, answer.reasoning = ANSWERED, "stop", REASONED
    answer.reasoning_seconds, answer.reasoning_tokens = 12.0, 74
    _, call = reasoned.ask(CALLED[0], answer.id)
    call.text, call.tool_calls, call.finish = CALLED[1], (CALLED[2],), "stop"
    reasoned.updated -= DAY_S
    reasoned.title = REASONED_TITLE
    store.save(reasoned, reasoned.messages.values())
    formatted = Conversation()
    _, answer = formatted.ask(FORMATTED[0])
    answer.text, answer.finish = FORMATTED[1], "stop"
    formatted.updated -= DAY_S
    formatted.pinned = True
    store.save(formatted, formatted.messages.values())


def first_start(studio: Studio) -> None:
    guide = studio.window.chat.welcome.guide
    until(lambda: guide.lists and any(label.text() for label in guide.lists.values()))
    studio.take("welcome", studio.window)
    studio.close()


def main_window(studio: Studio) -> None:
    window = studio.window
    until(lambda: bool(window.chat.conversation.messages))
    for message in FOLLOW_UPS:
        studio.say(message)
    studio.take("chat", window)
    answer = window.chat.transcript.messages()[-1]
    answer.detail_button.click()
    window.chat.transcript.go_to_end()
    studio.take("receipt", window)
    answer.detail_button.click()
    window.parameters.trigger()
    studio.take("parameters", window)
    window.parameters.trigger()
    window.chat.last_question().edit()
    studio.take("edit", window)
    window.chat.last_question().end_edit()
    window.find_in_chat.trigger()
    window.chat.find_bar.field.setText("you")
    spin(300)
    studio.take("find", window)
    window.chat.find_bar.close_button.click()
    window.search.trigger()
    window.sidebar.field.setText("great")
    spin(600)
    studio.take("search", window)
    window.sidebar.field.clear()
    head = next(head for head in window.sidebar.model.heads() if head.pinned)
    window.sidebar.opened.emit(head.id, None, "")
    until(lambda: window.chat.conversation.id == head.id)
    window.sidebar.delete(window.sidebar.model.heads()[-1].id)
    spin(300)
    studio.take("formatting", window)
    reasoning(studio)
    window.load("/Volumes/Models/opt-6.7b")
    until(lambda: window.host.state is State.FAILED)
    studio.take("no-model", window)
    window.load("starter")
    studio.wait()


def reasoning(studio: Studio) -> None:
    """A model's reasoning, a file, a table and code; then a call of a tool."""
    window = studio.window
    head = next(head for head in window.sidebar.model.heads() if head.title == REASONED_TITLE)
    window.sidebar.opened.emit(head.id, None, "")
    until(lambda: window.chat.conversation.id == head.id)
    _, answer, *_ = window.chat.transcript.messages()
    answer.reasoning.unfold()
    spin(200)
    window.chat.transcript.verticalScrollBar().setValue(0)
    studio.take("reasoning", window)
    answer.reasoning.button.setChecked(False)
    window.chat.transcript.go_to_end()
    spin(200)
    studio.take("tool-call", window)


def settings(studio: Studio) -> None:
    studio.window.show_settings.trigger()
    window = studio.window.settings_window
    for key, _, _ in window.panes:
        window.open_pane(key)
        spin(100)
        studio.take(f"settings-{key}", window)
    window.close()


def library(studio: Studio) -> None:
    studio.window.models.trigger()
    window = studio.window.library
    until(lambda: len(window.rows) > 1)
    studio.take("library", window)
    streaming = next(row for row in window.rows if row.button.isVisible() and row.row.folder is None)
    size = streaming.row.size or 9_000_000_000
    streaming.refresh(Job(streaming.row.repo, JobState.FETCHING, round(0.62 * size), size, 61e6))
    studio.take("download", window)
    window.row("starter").proof_asked.emit(window.row("starter").row)
    proof = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ProofWindow))
    spin(400)
    studio.take("proving", proof)
    until(proof.bar.isHidden)
    studio.take("proof", proof)
    proof.close()
    studio.wait()
    window.field.setText("https://huggingface.co/someone/some-model")
    spin(300)
    studio.take("repository", window)
    window.close()


def dialogs(studio: Studio) -> None:
    for name, action in (("about", studio.window.about), ("shortcuts", studio.window.shortcuts)):
        action.trigger()
        spin(100)
        dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog) and w.isVisible())
        studio.take(name, dialog)
        dialog.close()


def spin(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def until(condition: Callable[[], bool]) -> None:
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > PATIENCE_S:
            traceback.print_stack()
            os._exit(1)  # windows and threads are still there
        spin(20)


if __name__ == "__main__":
    main()
